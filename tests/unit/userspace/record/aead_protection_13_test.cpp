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

// What opening `record` as number 0 gives: the error code, and the alert that goes with it.
void expect_refused(Bytes record, ErrorCode code, AlertDescription alert) {
  ConnectionState state = test::state_of(suite());
  const auto opened = state.open(record);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, code) << opened.error().detail;
  EXPECT_EQ(opened.error().alert, code_of(alert)) << opened.error().detail;
  EXPECT_EQ(state.sequence(), 0U);
}

void expect_unexpected_message(Bytes record) {
  expect_refused(std::move(record), ErrorCode::kUnexpectedMessage,
                 AlertDescription::kUnexpectedMessage);
}

TEST(AeadProtection13, StripsPadding) {
  Bytes record = test::record_13_of(suite(), {'h', 'i', 0, 23, 0, 0, 0, 0});
  ConnectionState state = test::state_of(suite());
  const auto opened = state.open(record);
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->type, ContentType::kApplicationData);
  EXPECT_TRUE(std::ranges::equal(opened->content, Bytes{'h', 'i', 0}));
  EXPECT_EQ(opened->content.data(), record.data() + kRecordHeaderSize);
}

TEST(AeadProtection13, RefusesARecordOfNothingButZeros) {
  expect_unexpected_message(test::record_13_of(suite(), Bytes(100)));
  expect_unexpected_message(test::record_13_of(suite(), {}));
}

TEST(AeadProtection13, RefusesEveryInnerTypeThatIsNotAlertHandshakeOrApplicationData) {
  for (unsigned type = 1; type < 256; ++type) {
    Bytes record = test::record_13_of(suite(), {1, static_cast<std::uint8_t>(type)});
    if (type == 21 || type == 22 || type == 23) {
      ConnectionState state = test::state_of(suite());
      EXPECT_TRUE(state.open(record)) << type;
    } else {
      expect_unexpected_message(std::move(record));
    }
  }
}

TEST(AeadProtection13, RefusesAnEmptyHandshakeOrAlertButNotEmptyApplicationData) {
  expect_unexpected_message(test::record_13_of(suite(), {22}));
  expect_unexpected_message(test::record_13_of(suite(), {21, 0, 0}));
  Bytes record = test::record_13_of(suite(), {23, 0, 0});
  ConnectionState state = test::state_of(suite());
  const auto opened = state.open(record);
  ASSERT_TRUE(opened);
  EXPECT_TRUE(opened->content.empty());
}

TEST(AeadProtection13, CountsPaddingAgainstTheSizeOfThePlaintext) {
  Bytes inner(kPlaintextSizeMax + 1);
  inner.front() = 23;
  Bytes largest = test::record_13_of(suite(), inner);
  ConnectionState state = test::state_of(suite());
  EXPECT_TRUE(state.open(largest));

  inner.push_back(0);
  expect_refused(test::record_13_of(suite(), inner), ErrorCode::kRecordOverflow,
                 AlertDescription::kRecordOverflow);
}

TEST(AeadProtection13, RefusesABodyOverTwoToTheFourteenAndTwoHundredFiftySix) {
  expect_refused(test::with_header(23, 0x0303, Bytes(kCiphertextSizeMax13 + 1)),
                 ErrorCode::kRecordOverflow, AlertDescription::kRecordOverflow);
  expect_refused(test::with_header(23, 0x0303, Bytes(kCiphertextSizeMax13)),
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
  expect_refused(std::move(record), ErrorCode::kDecodeError, AlertDescription::kProtocolVersion);
}

TEST(AeadProtection13, TakesARecordWithoutRoomForATagForABadMac) {
  for (const std::size_t size : {0U, 1U, 15U}) {
    expect_refused(test::with_header(23, 0x0303, Bytes(size)), ErrorCode::kBadRecordMac,
                   AlertDescription::kBadRecordMac);
  }
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
