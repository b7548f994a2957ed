// How large a record the peer takes: record_size_limit (RFC 8449), which libssl 3.0 does not know
// and takes as a custom extension, and max_fragment_length (RFC 6066 section 4), which is libssl's.
#pragma once

#include <cstddef>

#include <openssl/ssl.h>

#include "ktls/base/result.h"
#include "userspace/handshake/openssl/ssl_connection.h"

namespace tls {

// Has each connection of `context`, full or resumed, tell the peer that we take records of every
// size, and keep the peer's limit with its SslConnection. A limit that the peer may not send ends
// the handshake with illegal_parameter. Error: kCrypto.
[[nodiscard]] ktls::Result<void> add_record_size_limit(SSL_CTX* context);

// Content bytes of the largest record that may be sent after `connection`'s handshake: 2^14, or
// less where the peer said so by either extension.
[[nodiscard]] std::size_t fragment_size_max(const SslConnection& connection);

}  // namespace tls
