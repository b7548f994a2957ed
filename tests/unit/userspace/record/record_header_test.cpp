// Record headers: coding, and the checks that all records pass.
#include "userspace/record/record_header.h"

#include <array>

#include <gtest/gtest.h>

#include "userspace/suite/alert.h"

namespace tls {
namespace {

RecordHeader header_of(unsigned type, std::uint16_t version, std::size_t body_size) {
  return {.type = static_cast<ContentType>(type), .version = version, .body_size = body_size};
}

TEST(RecordHeader, DecodesWhatIsOnTheWire) {
  const std::array<std::uint8_t, 5> wire = {0x16, 0x03, 0x01, 0x12, 0x34};
  const RecordHeader header = decode_record_header(wire);
  EXPECT_EQ(header.type, ContentType::kHandshake);
  EXPECT_EQ(header.version, 0x0301);
  EXPECT_EQ(header.body_size, 0x1234U);

  std::array<std::uint8_t, 5> encoded{};
  encode_record_header(header, encoded);
  EXPECT_EQ(encoded, wire);
}

TEST(RecordHeader, RefusesEveryTypeThatIsNotFromTwentyToTwentyThree) {
  for (unsigned type = 0; type < 256; ++type) {
    const auto checked = check_record_header(header_of(type, 0x0303, 1), kPlaintextSizeMax);
    EXPECT_EQ(checked.has_value(), 20 <= type && type <= 23) << type;
    if (!checked) {
      EXPECT_EQ(checked.error().code, ktls::ErrorCode::kUnexpectedMessage);
      EXPECT_EQ(checked.error().alert, code_of(AlertDescription::kUnexpectedMessage));
    }
  }
}

TEST(RecordHeader, RefusesAVersionThatDoesNotStartWithThree) {
  EXPECT_TRUE(check_record_header(header_of(22, 0x0300, 1), kPlaintextSizeMax));
  EXPECT_TRUE(check_record_header(header_of(22, 0x03ff, 1), kPlaintextSizeMax));
  for (const std::uint16_t version : std::to_array<std::uint16_t>({0x0002, 0x0203, 0x0400})) {
    const auto checked = check_record_header(header_of(22, version, 1), kPlaintextSizeMax);
    ASSERT_FALSE(checked) << version;
    EXPECT_EQ(checked.error().alert, code_of(AlertDescription::kProtocolVersion));
  }
}

TEST(RecordHeader, RefusesABodyOverItsLimit) {
  EXPECT_TRUE(check_record_header(header_of(22, 0x0303, kCiphertextSizeMax), kCiphertextSizeMax));
  const auto checked =
      check_record_header(header_of(22, 0x0303, kCiphertextSizeMax + 1), kCiphertextSizeMax);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, ktls::ErrorCode::kRecordOverflow);
  EXPECT_EQ(checked.error().alert, code_of(AlertDescription::kRecordOverflow));
}

}  // namespace
}  // namespace tls
