// What is told of a certificate that a peer has shown.
#pragma once

#include <optional>

#include <openssl/ssl.h>

#include "userspace/handshake/negotiated.h"

namespace tls {

// After the handshake, resumed ones included. None: the peer has shown none.
[[nodiscard]] std::optional<PeerCertificate> peer_certificate_of(const SSL* ssl);

}  // namespace tls
