// Pins: the public keys that a peer may have, as "sha256//BASE64" (curl's --pinnedpubkey, and
// RFC 7469 section 2.4): the SHA-256 of the SubjectPublicKeyInfo of its certificate.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ktls/base/result.h"

struct ssl_ctx_st;

namespace tls {

// The pins of `text`, one or several with ";" between. Error: kInvalidArgument, which says what is
// wrong with the first that is none.
[[nodiscard]] ktls::Result<std::vector<std::string>> parse_pins(std::string_view text);

// Has `context`, of a SslContext in the client role with pins, end handshakes with a peer whose
// certificate has none of these keys, besides what else is verified.
void require_pins(ssl_ctx_st* context);

}  // namespace tls
