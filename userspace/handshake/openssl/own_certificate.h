// What is told of the certificate that we have shown.
#pragma once

#include <openssl/ssl.h>

#include "userspace/handshake/negotiated.h"

namespace tls {

// After the handshake. Empty where none was shown: sessions that are resumed, and keys that both
// sides had before.
[[nodiscard]] OwnCertificate own_certificate_of(const SSL* ssl);

}  // namespace tls
