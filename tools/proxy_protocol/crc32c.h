// CRC32c, the checksum that a binary header may carry (RFC 4960, appendix B).
#pragma once

#include <cstdint>
#include <span>

namespace proxy_protocol {

[[nodiscard]] std::uint32_t crc32c(std::span<const std::uint8_t> bytes);

}  // namespace proxy_protocol
