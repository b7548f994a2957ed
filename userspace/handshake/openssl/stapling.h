// Stapling: OCSP responses for the clients that ask for one (status_request, RFC 6066 section 8).
#pragma once

#include <openssl/ssl.h>

namespace tls {

// Has `context`, of a SslContext in the server role, send the staple of the certificate that a
// client is shown, for as long as it is current.
void staple_on_request(SSL_CTX* context);

}  // namespace tls
