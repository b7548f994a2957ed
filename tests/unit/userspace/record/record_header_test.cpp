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

// --- SSLv2 -----------------------------------------------------------------------------------

TEST(Ssl2RecordHeader, IsKnownByItsFirstByte) {
  for (unsigned first = 0; first < 256; ++first) {
    const std::size_t expected = 20 <= first && first <= 24 ? 5 : first >= 0x80 ? 2 : 3;
    EXPECT_EQ(header_size_of(static_cast<std::uint8_t>(first)), expected) << first;
  }
}

TEST(Ssl2RecordHeader, DecodesBothForms) {
  const auto of_two = decode_ssl2_header(std::to_array<std::uint8_t>({0x92, 0x34}));
  ASSERT_TRUE(of_two);
  EXPECT_TRUE(of_two->is_ssl2);
  EXPECT_EQ(of_two->type, ContentType::kHandshake);
  EXPECT_EQ(of_two->version, 0x0200);
  EXPECT_EQ(of_two->body_size, 0x1234U);
  EXPECT_EQ(of_two->padding, 0);
  EXPECT_FALSE(of_two->security_escape);

  const auto of_three = decode_ssl2_header(std::to_array<std::uint8_t>({0x52, 0x38, 7}));
  ASSERT_TRUE(of_three);
  EXPECT_TRUE(of_three->is_ssl2);
  EXPECT_EQ(of_three->body_size, 0x1238U);
  EXPECT_EQ(of_three->padding, 7);
  EXPECT_TRUE(of_three->security_escape);
}

TEST(Ssl2RecordHeader, RefusesPaddingThatDoesNotFitTheBody) {
  using Header = std::array<std::uint8_t, 3>;
  for (const Header& bytes :
       {Header{0, 8, 9}, Header{0, 0, 1}, Header{0, 9, 1}, Header{0, 15, 7}}) {
    const auto header = decode_ssl2_header(bytes);
    ASSERT_FALSE(header);
    EXPECT_EQ(header.error().code, ktls::ErrorCode::kIllegalParameter);
    EXPECT_EQ(header.error().alert, code_of(AlertDescription::kIllegalParameter));
  }
  for (const Header& bytes :
       {Header{0, 8, 8}, Header{0, 16, 0}, Header{0, 9, 0}, Header{0, 0, 0}}) {
    EXPECT_TRUE(decode_ssl2_header(bytes));
  }
}

TEST(Ssl2RecordHeader, ComesBackAsItWent) {
  for (const bool escape : {false, true}) {
    for (const std::uint8_t padding : std::to_array<std::uint8_t>({0, 1, 8})) {
      for (const std::size_t size :
           {std::size_t{8}, std::size_t{256}, std::size_t{0x3ff8}, std::size_t{0x7ff8}}) {
        const RecordHeader header{.type = ContentType::kHandshake,
                                  .version = 0x0200,
                                  .body_size = size,
                                  .is_ssl2 = true,
                                  .security_escape = escape,
                                  .padding = padding};
        std::array<std::uint8_t, 3> bytes{};
        const auto written = encode_ssl2_header(header, bytes);
        const bool is_short = !escape && padding == 0;
        ASSERT_EQ(written.has_value(), is_short || size < 0x4000) << size;
        if (!written) {
          EXPECT_EQ(written.error().code, ktls::ErrorCode::kInvalidArgument);
          continue;
        }
        ASSERT_EQ(*written, is_short ? 2U : 3U);
        const auto decoded = decode_ssl2_header(std::span(bytes).first(*written));
        ASSERT_TRUE(decoded);
        EXPECT_EQ(decoded->body_size, size);
        EXPECT_EQ(decoded->padding, padding);
        EXPECT_EQ(decoded->security_escape, escape);
        EXPECT_EQ((bytes[0] & 0x80U) != 0, is_short);
      }
    }
  }
}

TEST(Ssl2RecordHeader, SaysThirtyTwoKilobytesAtMost) {
  std::array<std::uint8_t, 3> bytes{};
  RecordHeader header{.type = ContentType::kHandshake, .version = 0, .body_size = 0x7fff};
  EXPECT_TRUE(encode_ssl2_header(header, bytes));
  header.body_size = 0x8000;
  EXPECT_FALSE(encode_ssl2_header(header, bytes));
}

}  // namespace
}  // namespace tls
