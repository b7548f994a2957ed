// The last record of a handshake as proof of keys, sequence number and nonce.
#include "userspace/handshake/openssl/handover.h"

#include <array>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "userspace/handshake/message_type.h"
#include "userspace/record/record_header.h"

namespace tls::test {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint16_t kGcm13 = 0x1301, kGcm12 = 0xc02f, kCcm12 = 0xc0ac, kChaCha12 = 0xcca8;
constexpr std::uint64_t kFirstNonce = 0xfffffffffffffff0;

TrafficKeys keys_of(const CipherSuite& suite, std::uint8_t byte) {
  const bool tls13 = suite.serves(ProtocolVersion::kTls13);
  const Bytes key(suite.bulk_cipher->key_size, byte);
  const Bytes iv(tls13 ? kAeadNonceSize : suite.bulk_cipher->iv_size, byte);
  return {WriteKey(key), WriteIv(iv), {}};
}

ConnectionKeys keys_of(const CipherSuite& suite) {
  ConnectionKeys keys;
  keys.read = keys_of(suite, 1);
  keys.write = keys_of(suite, 2);
  return keys;
}

void carry(RecordCounter& counter, const Bytes& record) {
  counter.announce_record(std::span(record).first<kRecordHeaderSize>());
  counter.observe(record);
}

// One direction at the end of a handshake: `sealed` records under `keys`, from number `first` on.
RecordCounter direction(const CipherSuite& suite, const TrafficKeys& keys, int sealed,
                        std::uint64_t first = 0, ContentType type = ContentType::kHandshake) {
  RecordCounter counter;
  carry(counter, suite.version_max == ProtocolVersion::kTls13 ? Bytes{23, 3, 3, 0, 1, 0}
                                                              : Bytes{20, 3, 3, 0, 1, 1});
  const auto finished = static_cast<std::uint8_t>(MessageType::kFinished);
  if (suite.version_max == ProtocolVersion::kTls13) counter.announce_handshake_message(finished);
  auto state = ConnectionState::create(suite.version_max, suite, duplicate(keys),
                                       {.sequence = first, .explicit_nonce = kFirstNonce})
                   .value();
  for (int i = 0; i < sealed; ++i) {
    const std::array<std::uint8_t, 4> content = {4, 0, 0, 0};
    Bytes record(state.sealed_size(content.size()));
    record.resize(state.seal({.type = type, .content = content}, record).value());
    carry(counter, record);
  }
  if (suite.version_max == ProtocolVersion::kTls12) counter.announce_handshake_message(finished);
  return counter;
}

class HandoverOf : public testing::TestWithParam<std::uint16_t> {
 protected:
  const CipherSuite& suite_ = *find_cipher_suite(GetParam());
  const ConnectionKeys keys_ = keys_of(suite_);
};

INSTANTIATE_TEST_SUITE_P(Handover, HandoverOf, testing::Values(kGcm13, kGcm12, kCcm12, kChaCha12));

TEST_P(HandoverOf, ContinuesWhereTheHandshakeStopped) {
  auto states = hand_over_states(suite_.version_max, suite_, direction(suite_, keys_.read, 1),
                                 direction(suite_, keys_.write, 3), keys_);
  ASSERT_TRUE(states) << states.error().detail;
  EXPECT_EQ(states->read.sequence(), 1U);
  EXPECT_EQ(states->write.sequence(), 3U);
  const auto record_keys = ConnectionState::into_record_keys(std::move(states->write)).value();
  const bool nonce_is_explicit = GetParam() == kGcm12 || GetParam() == kCcm12;
  EXPECT_EQ(record_keys.explicit_nonce, nonce_is_explicit ? kFirstNonce + 3 : 0);
}

TEST_P(HandoverOf, RefusesOtherKeys) {
  const auto read = direction(suite_, keys_.read, 1);
  const auto states = hand_over_states(suite_.version_max, suite_, read,
                                       direction(suite_, keys_of(suite_, 3), 1), keys_);
  ASSERT_FALSE(states);
  EXPECT_EQ(states.error().code, ktls::ErrorCode::kSequenceUnknown);
  EXPECT_TRUE(states.error().detail.starts_with("writing"));
}

TEST_P(HandoverOf, RefusesACountThatTheLastRecordDisproves) {
  // Sealed as number 1, counted as number 0.
  const auto states =
      hand_over_states(suite_.version_max, suite_, direction(suite_, keys_.read, 1, 1),
                       direction(suite_, keys_.write, 1), keys_);
  ASSERT_FALSE(states);
  EXPECT_EQ(states.error().code, ktls::ErrorCode::kSequenceUnknown);
  EXPECT_TRUE(states.error().detail.starts_with("reading"));
}

TEST_P(HandoverOf, RefusesALastRecordThatIsNoHandshake) {
  const auto states =
      hand_over_states(suite_.version_max, suite_, direction(suite_, keys_.read, 1),
                       direction(suite_, keys_.write, 1, 0, ContentType::kApplicationData), keys_);
  ASSERT_FALSE(states);
  EXPECT_EQ(states.error().code, ktls::ErrorCode::kSequenceUnknown);
}

TEST(Handover, TakesATls13DirectionThatHasNoRecordYet) {
  const CipherSuite& suite = *find_cipher_suite(kGcm13);
  const ConnectionKeys keys = keys_of(suite);
  const auto states = hand_over_states(suite.version_max, suite, direction(suite, keys.read, 0),
                                       direction(suite, keys.write, 0), keys);
  ASSERT_TRUE(states) << states.error().detail;
  EXPECT_EQ(states->read.sequence(), 0U);
  EXPECT_EQ(states->write.sequence(), 0U);
}

TEST(Handover, RefusesCountersWhoseWitnessesDisagree) {
  const CipherSuite& suite = *find_cipher_suite(kGcm13);
  const ConnectionKeys keys = keys_of(suite);
  auto write = direction(suite, keys.write, 1);
  write.observe(Bytes{23, 3, 3, 0, 1, 0});
  const auto states =
      hand_over_states(suite.version_max, suite, direction(suite, keys.read, 0), write, keys);
  ASSERT_FALSE(states);
  EXPECT_EQ(states.error().code, ktls::ErrorCode::kSequenceUnknown);
}

}  // namespace
}  // namespace tls::test
