#include "tools/proxy_protocol/crc32c.h"

#include <array>
#include <cstdint>
#include <numeric>

#include <gtest/gtest.h>

namespace proxy_protocol {
namespace {

// RFC 3720, appendix B.4. It prints the bytes in the order in which iSCSI sends them, the least
// significant one first.
TEST(Crc32c, IsThatOfTheExamplesOfRfc3720) {
  std::array<std::uint8_t, 32> bytes{};
  EXPECT_EQ(crc32c(bytes), 0x8a9136aaU);
  bytes.fill(0xff);
  EXPECT_EQ(crc32c(bytes), 0x62a8ab43U);
  std::iota(bytes.begin(), bytes.end(), std::uint8_t{0});
  EXPECT_EQ(crc32c(bytes), 0x46dd794eU);
}

}  // namespace
}  // namespace proxy_protocol
