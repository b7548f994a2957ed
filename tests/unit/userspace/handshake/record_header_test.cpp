// How many bytes follow a record header during the handshake.
#include "userspace/handshake/record_header.h"

#include <array>

#include <gtest/gtest.h>

namespace tls::test {
namespace {

using Header = std::array<std::uint8_t, kRecordHeaderSize>;

TEST(RecordBodySize, IsTheLengthOfEveryTypeAndMinorVersion) {
  for (std::uint8_t type = 20; type <= 23; ++type) {
    for (std::uint8_t minor = 0; minor <= 4; ++minor) {
      EXPECT_EQ(record_body_size(Header{type, 3, minor, 1, 2}), 0x0102U);
    }
  }
  EXPECT_EQ(record_body_size(Header{22, 3, 3, 0, 0}), 0U);
  EXPECT_EQ(record_body_size(Header{23, 3, 3, 0x48, 0x00}), kCiphertextSizeMax);
}

TEST(RecordBodySize, IsNoneForWhatCannotBeARecord) {
  EXPECT_FALSE(record_body_size(Header{19, 3, 3, 0, 1}));
  EXPECT_FALSE(record_body_size(Header{24, 3, 3, 0, 1}));
  EXPECT_FALSE(record_body_size(Header{22, 2, 3, 0, 1}));
  EXPECT_FALSE(record_body_size(Header{22, 4, 3, 0, 1}));
  EXPECT_FALSE(record_body_size(Header{23, 3, 3, 0x48, 0x01}));
  EXPECT_FALSE(record_body_size(Header{'G', 'E', 'T', ' ', '/'}));
  EXPECT_FALSE(record_body_size(Header{0x80, 0x2e, 1, 3, 3}));
}

}  // namespace
}  // namespace tls::test
