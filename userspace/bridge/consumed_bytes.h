// consumed_bytes(): how far a TCP stream has been read, by whoever reads it.
#pragma once

#include <cstdint>

#include "ktls/base/result.h"

namespace bridge {

// Bytes of the peer's stream that were received and are not in the queue any more. With kTLS that
// is the end of the last record that was decrypted, or a little behind it where memory was short
// (net/tls/tls_strp.c, tls_strp_read_copy). Errors: kSystem; EAGAIN where bytes came faster than
// they could be counted.
[[nodiscard]] ktls::Result<std::uint64_t> consumed_bytes(int fd);

}  // namespace bridge
