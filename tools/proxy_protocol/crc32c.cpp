// The parameters of Castagnoli's polynomial.

#include "tools/proxy_protocol/crc32c.h"

#include <boost/crc.hpp>

namespace proxy_protocol {

std::uint32_t crc32c(std::span<const std::uint8_t> bytes) {
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> checksum;
  checksum.process_bytes(bytes.data(), bytes.size());
  return checksum.checksum();
}

}  // namespace proxy_protocol
