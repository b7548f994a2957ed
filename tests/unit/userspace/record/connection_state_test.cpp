// Connection states: who holds a sequence number, and what becomes of it.
#include "userspace/record/connection_state.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include <gtest/gtest.h>

#include "tests/unit/userspace/record/states.h"

namespace tls {
namespace {

using ktls::ErrorCode;
using test::Bytes;

static_assert(!std::is_copy_constructible_v<ConnectionState>);
static_assert(!std::is_copy_assignable_v<ConnectionState>);
static_assert(std::is_nothrow_move_constructible_v<ConnectionState>);
static_assert(std::is_nothrow_move_assignable_v<ConnectionState>);

constexpr std::uint64_t kLast = UINT64_MAX;

TEST(ConnectionState, RefusesKeysThatDoNotFitTheSuite) {
  for (const CipherSuite& suite : cipher_suites()) {
    TrafficKeys short_key = test::keys_of(suite);
    short_key.key = ktls::RecordKey(Bytes(suite.bulk_cipher->key_size - 1));
    TrafficKeys wrong_iv = test::keys_of(suite);
    wrong_iv.iv = ktls::RecordIv(Bytes(wrong_iv.iv.size() == 12 ? 4 : 12));
    for (TrafficKeys* keys : {&short_key, &wrong_iv}) {
      const auto created = ConnectionState::create(suite, std::move(*keys), 0, 0);
      ASSERT_FALSE(created) << suite.name;
      EXPECT_EQ(created.error().code, ErrorCode::kInvalidArgument);
    }
  }
}

TEST(ConnectionState, CannotBeCreatedFromTheNullSuite) {
  const auto created = ConnectionState::create(null_cipher_suite(), {}, 0, 0);
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().code, ErrorCode::kInvalidArgument);
}

TEST(ConnectionState, OverheadIsHeaderNonceTypeAndTag) {
  for (const CipherSuite& suite : cipher_suites()) {
    const bool is_13 = suite.version == ProtocolVersion::kTls13;
    const std::size_t expected = 5 + 16 + (is_13 ? 1 : suite.bulk_cipher->explicit_nonce_size_12);
    EXPECT_EQ(test::state_of(suite).overhead(), expected) << suite.name;
  }
  EXPECT_EQ(ConnectionState::null().overhead(), 5U);
}

TEST(ConnectionState, SealsAndOpensEachTypeOfEverySuite) {
  for (const CipherSuite& suite : cipher_suites()) {
    ConnectionState writer = test::state_of(suite);
    ConnectionState reader = test::state_of(suite);
    for (const ContentType type :
         {ContentType::kHandshake, ContentType::kAlert, ContentType::kApplicationData}) {
      Bytes wire = test::sealed(writer, type, Bytes{4, 5, 6});
      const auto opened = reader.open(wire);
      ASSERT_TRUE(opened) << suite.name;
      EXPECT_EQ(opened->type, type);
      EXPECT_TRUE(std::ranges::equal(opened->content, Bytes{4, 5, 6}));
    }
    EXPECT_EQ(writer.sequence(), 3U);
    EXPECT_EQ(reader.sequence(), 3U);
  }
}

TEST(ConnectionState, CallerErrorsConsumeNoNumber) {
  ConnectionState state = test::state_of(test::suite_of(test::kAes128Gcm13));
  Bytes wire(kPlaintextSizeMax + 100);
  const Bytes too_long(kPlaintextSizeMax + 1);
  const auto over = state.seal(ContentType::kApplicationData, too_long, wire);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code, ErrorCode::kInvalidArgument);
  const auto tight =
      state.seal(ContentType::kApplicationData, Bytes(10), std::span(wire).first(31));
  ASSERT_FALSE(tight);
  EXPECT_EQ(tight.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(state.sequence(), 0U);
  EXPECT_EQ(state.seal(ContentType::kApplicationData, Bytes(10), std::span(wire).first(32)), 32U);
}

TEST(ConnectionState, ARecordThatDoesNotOpenConsumesNoNumber) {
  for (const CipherSuite& suite : cipher_suites()) {
    ConnectionState writer = test::state_of(suite);
    ConnectionState reader = test::state_of(suite);
    const Bytes wire = test::sealed(writer, ContentType::kApplicationData, Bytes{1, 2, 3});
    Bytes forged = wire;
    forged.back() ^= 0x80;
    ASSERT_FALSE(reader.open(forged));
    EXPECT_EQ(reader.sequence(), 0U);
    Bytes genuine = wire;
    EXPECT_TRUE(reader.open(genuine)) << suite.name;
    Bytes replayed = wire;
    EXPECT_FALSE(reader.open(replayed)) << suite.name;
  }
}

TEST(ConnectionState, OpensExactlyOneWholeRecord) {
  const CipherSuite& suite = test::suite_of(test::kAes128Gcm13);
  ConnectionState writer = test::state_of(suite);
  ConnectionState reader = test::state_of(suite);
  const Bytes wire = test::sealed(writer, ContentType::kApplicationData, Bytes{1, 2, 3});
  Bytes longer = wire;
  longer.push_back(0);
  Bytes shorter(wire.begin(), wire.end() - 1);
  Bytes header_only(wire.begin(), wire.begin() + 4);
  Bytes nothing;
  for (Bytes* record : {&longer, &shorter, &header_only, &nothing}) {
    const auto opened = reader.open(*record);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, ErrorCode::kDecodeError);
  }
}

TEST(ConnectionState, UsesTheLastSequenceNumberAndThenNoMore) {
  for (const CipherSuite& suite : cipher_suites()) {
    ConnectionState writer = test::state_of(suite, kLast - 1);
    ConnectionState reader = test::state_of(suite, kLast - 1);
    for (std::uint64_t left = 2; left > 0; --left) {
      EXPECT_EQ(writer.records_left(), left);
      Bytes wire = test::sealed(writer, ContentType::kApplicationData, Bytes{1});
      EXPECT_TRUE(reader.open(wire)) << suite.name;
    }
    EXPECT_EQ(writer.records_left(), 0U);
    Bytes wire(100);
    const auto sealed = writer.seal(ContentType::kApplicationData, Bytes{1}, wire);
    ASSERT_FALSE(sealed) << suite.name;
    EXPECT_EQ(sealed.error().code, ErrorCode::kLimitReached);
    EXPECT_EQ(wire, Bytes(100));
    Bytes next = test::with_header(23, 0x0303, Bytes(40));
    const auto opened = reader.open(next);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, ErrorCode::kLimitReached);
    const auto keys = ConnectionState::into_record_keys(std::move(writer));
    ASSERT_FALSE(keys) << "the kernel would use the last number a second time";
    EXPECT_EQ(keys.error().code, ErrorCode::kLimitReached);
  }
}

TEST(ConnectionState, HandsTheKernelWhatTheNextRecordNeeds) {
  for (const CipherSuite& suite : cipher_suites()) {
    ConnectionState state = test::state_of(suite, 5, 0xff00);
    for (int i = 0; i < 3; ++i) {
      (void)test::sealed(state, ContentType::kApplicationData, Bytes{1});
    }
    const auto keys = ConnectionState::into_record_keys(std::move(state));
    ASSERT_TRUE(keys) << suite.name;
    const TrafficKeys expected = test::keys_of(suite);
    EXPECT_EQ(static_cast<std::uint16_t>(keys->version), static_cast<std::uint16_t>(suite.version));
    EXPECT_EQ(keys->cipher, suite.bulk_cipher->kernel);
    EXPECT_TRUE(std::ranges::equal(keys->key.bytes(), expected.key.bytes()));
    EXPECT_TRUE(std::ranges::equal(keys->iv.bytes(), expected.iv.bytes()));
    EXPECT_EQ(keys->sequence, 8U);
    const bool carries_nonce =
        suite.version == ProtocolVersion::kTls12 && suite.bulk_cipher->explicit_nonce_size_12 != 0;
    EXPECT_EQ(keys->explicit_nonce, carries_nonce ? 0xff03U : 0U) << suite.name;
  }
}

TEST(ConnectionState, TheNullStateHasNothingForTheKernel) {
  const auto keys = ConnectionState::into_record_keys(ConnectionState::null());
  ASSERT_FALSE(keys);
  EXPECT_EQ(keys.error().code, ErrorCode::kUnsupported);
}

TEST(ConnectionState, RefusesEverythingOnceItWasMovedFrom) {
  ConnectionState state = test::state_of(test::suite_of(test::kAes128Gcm12));
  const ConnectionState holder = std::move(state);
  Bytes wire = test::with_header(23, 0x0303, Bytes(40));
  // NOLINTBEGIN(bugprone-use-after-move): what a spent state answers is what is tested.
  const auto sealed = state.seal(ContentType::kApplicationData, Bytes{1}, wire);
  ASSERT_FALSE(sealed);
  EXPECT_EQ(sealed.error().code, ErrorCode::kProtocolViolation);
  EXPECT_EQ(state.open(wire).error().code, ErrorCode::kProtocolViolation);
  EXPECT_EQ(state.check_header({}).error().code, ErrorCode::kProtocolViolation);
  EXPECT_EQ(state.overhead(), 0U);
  EXPECT_EQ(ConnectionState::into_record_keys(std::move(state)).error().code,
            ErrorCode::kProtocolViolation);
  // NOLINTEND(bugprone-use-after-move)
}

}  // namespace
}  // namespace tls
