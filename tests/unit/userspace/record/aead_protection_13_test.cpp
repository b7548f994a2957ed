// TLS 1.3 records: what may be inside, and every way in which one can be wrong.
#include "userspace/record/aead_protection_13.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/unit/userspace/record/states.h"

namespace tls {
namespace {

using ktls::ErrorCode;
using test::Bytes;

const CipherSuite& suite() {
  return test::suite_of(test::kAes128Gcm13);
}

void expect_refused(const Bytes& record, ErrorCode code, AlertDescription alert) {
  test::expect_refused(suite(), record, code, alert);
}

void expect_unexpected_message(const Bytes& record) {
  expect_refused(record, ErrorCode::kUnexpectedMessage, AlertDescription::kUnexpectedMessage);
}

TEST(AeadProtection13, StripsPadding) {
  Bytes record = test::record_13_of(suite(), {'h', 'i', 0, 23, 0, 0, 0, 0});
  ConnectionState state = test::state_of(suite());
  const auto opened = test::opened(state, record);
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->type, ContentType::kApplicationData);
  EXPECT_EQ(opened->inner_size, 8U);
  EXPECT_TRUE(std::ranges::equal(opened->content, Bytes{'h', 'i', 0}));
  EXPECT_EQ(opened->content.data(), record.data() + kRecordHeaderSize);
}

TEST(AeadProtection13, RefusesARecordOfNothingButZeros) {
  expect_unexpected_message(test::record_13_of(suite(), Bytes(100)));
  expect_unexpected_message(test::record_13_of(suite(), {}));
}

TEST(AeadProtection13, RefusesEveryInnerTypeThatIsNotAlertHandshakeOrApplicationData) {
  for (unsigned type = 1; type < 256; ++type) {
    const Bytes record = test::record_13_of(suite(), {1, static_cast<std::uint8_t>(type)});
    if (type == 21 || type == 22 || type == 23) {
      EXPECT_TRUE(test::read_strictly(suite(), record)) << type;
    } else {
      expect_unexpected_message(record);
    }
  }
}

TEST(AeadProtection13, RefusesAnEmptyHandshakeOrAlertButNotEmptyApplicationData) {
  expect_unexpected_message(test::record_13_of(suite(), {22}));
  expect_unexpected_message(test::record_13_of(suite(), {21, 0, 0}));
  const auto read = test::read_strictly(suite(), test::record_13_of(suite(), {23, 0, 0}));
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->content.empty());
}

TEST(AeadProtection13, CountsPaddingAgainstTheSizeOfThePlaintext) {
  Bytes inner(kPlaintextSizeMax + 1);
  inner.front() = 23;
  EXPECT_TRUE(test::read_strictly(suite(), test::record_13_of(suite(), inner)));

  inner.push_back(0);
  expect_refused(test::record_13_of(suite(), inner), ErrorCode::kRecordOverflow,
                 AlertDescription::kRecordOverflow);
}

TEST(AeadProtection13, RefusesABodyOverTwoToTheFourteenAndTwoHundredFiftySix) {
  expect_refused(test::with_header(23, 0x0303, Bytes((kPlaintextSizeMax + kExpansionMax13) + 1)),
                 ErrorCode::kRecordOverflow, AlertDescription::kRecordOverflow);
  expect_refused(test::with_header(23, 0x0303, Bytes((kPlaintextSizeMax + kExpansionMax13))),
                 ErrorCode::kBadRecordMac, AlertDescription::kBadRecordMac);
}

TEST(AeadProtection13, RefusesUnprotectedRecords) {
  expect_unexpected_message(test::with_header(20, 0x0303, {1}));
  expect_unexpected_message(test::with_header(21, 0x0303, {1, 0}));
  expect_unexpected_message(test::with_header(22, 0x0303, Bytes(40)));
}

TEST(AeadProtection13, RefusesAnotherVersionThanThreeThree) {
  Bytes record = test::record_13_of(suite(), {1, 23});
  record[2] = 0x04;
  expect_refused(record, ErrorCode::kDecodeError, AlertDescription::kProtocolVersion);
}

TEST(AeadProtection13, TakesARecordWithoutRoomForATagForABadMac) {
  for (const std::size_t size : {0U, 1U, 15U}) {
    expect_refused(test::with_header(23, 0x0303, Bytes(size)), ErrorCode::kBadRecordMac,
                   AlertDescription::kBadRecordMac);
  }
}

// The state alone, without a layer's rules: what it needs to open a record it checks itself.
TEST(AeadProtection13, OpensNothingUnderAnotherHeader) {
  const Bytes good = test::record_13_of(suite(), {1, 23});
  struct Row {
    std::size_t at;
    std::uint8_t flip;
    ErrorCode code;
  };
  for (const Row& row :
       {Row{0, 1, ErrorCode::kUnexpectedMessage}, Row{1, 1, ErrorCode::kIllegalParameter},
        Row{2, 7, ErrorCode::kIllegalParameter}, Row{4, 1, ErrorCode::kBadRecordMac}}) {
    Bytes record = good;
    record[row.at] ^= row.flip;
    ConnectionState state = test::state_of(suite());
    const auto opened = test::opened(state, record);
    ASSERT_FALSE(opened) << row.at;
    EXPECT_EQ(opened.error().code, row.code) << row.at;
    EXPECT_EQ(state.sequence(), 0U);
  }
}

TEST(AeadProtection13, SaysThatThereWasNoTypeInsteadOfInventingOne) {
  Bytes record = test::record_13_of(suite(), Bytes(5));
  ConnectionState state = test::state_of(suite());
  const auto opened = test::opened(state, record);
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->type, ContentType::kInvalid);
  EXPECT_EQ(opened->inner_size, 5U);
  EXPECT_TRUE(opened->content.empty());
}

TEST(AeadProtection13, PadsWithZerosAfterTheType) {
  ConnectionState state = test::state_of(suite());
  const Bytes wire =
      test::sealed(state, {.type = ContentType::kHandshake, .content = Bytes{1, 2}, .padding = 4});
  EXPECT_EQ(wire, test::record_13_of(suite(), {1, 2, 22, 0, 0, 0, 0}));
}

TEST(AeadProtection13, HidesTheTypeAndAddsNoPadding) {
  ConnectionState state = test::state_of(suite());
  const Bytes wire = test::sealed(state, ContentType::kAlert, Bytes{1, 0});
  EXPECT_EQ(wire.size(), 5U + 2 + 1 + 16);
  EXPECT_EQ((Bytes{wire.begin(), wire.begin() + 5}), (Bytes{23, 3, 3, 0, 19}));
  EXPECT_EQ(wire, test::record_13_of(suite(), {1, 0, 21}));
}

}  // namespace
}  // namespace tls
