// Two witnesses of a handshake's records that agree, and every way in which they may not.
#include "userspace/handshake/openssl/record_counter.h"

#include <vector>

#include <gtest/gtest.h>

#include "userspace/handshake/message_type.h"

namespace tls::test {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint8_t kChange = 20, kHandshake = 22, kData = 23;
constexpr auto kFinished = static_cast<std::uint8_t>(MessageType::kFinished);
constexpr auto kClientHello = static_cast<std::uint8_t>(MessageType::kClientHello);
constexpr auto kTls12 = ProtocolVersion::kTls12;
constexpr auto kTls13 = ProtocolVersion::kTls13;

Bytes record(std::uint8_t type, std::uint8_t body_size = 3) {
  Bytes bytes = {type, 3, 3, 0, body_size};
  bytes.resize(bytes.size() + body_size, type);
  return bytes;
}

void announce(RecordCounter& counter, const Bytes& bytes) {
  counter.announce_record(std::span(bytes).first<kRecordHeaderSize>());
}

// A record that both witnesses have seen.
void carry(RecordCounter& counter, std::uint8_t type, std::uint8_t body_size = 3) {
  const Bytes bytes = record(type, body_size);
  announce(counter, bytes);
  counter.observe(bytes);
}

RecordCounter finished_12() {
  RecordCounter counter;
  carry(counter, kHandshake);
  counter.announce_handshake_message(kClientHello);
  carry(counter, kChange, 1);
  carry(counter, kHandshake);
  counter.announce_handshake_message(kFinished);
  return counter;
}

RecordCounter finished_13() {
  RecordCounter counter;
  carry(counter, kHandshake);
  carry(counter, kChange, 1);
  carry(counter, kData);
  carry(counter, kData);
  counter.announce_handshake_message(kFinished);
  return counter;
}

void expect_violation(const RecordCounter& counter, ProtocolVersion version) {
  const auto sequence = counter.sequence(version);
  ASSERT_FALSE(sequence);
  EXPECT_EQ(sequence.error().code, ktls::ErrorCode::kSequenceUnknown);
}

TEST(RecordCounter, CountsFromChangeCipherSpecInTls12) {
  RecordCounter counter = finished_12();
  EXPECT_EQ(counter.sequence(kTls12).value(), 1U);
  carry(counter, kData);
  EXPECT_EQ(counter.sequence(kTls12).value(), 2U);
}

TEST(RecordCounter, CountsBothRecordsOfASplitFinishedInTls12) {
  RecordCounter counter;
  carry(counter, kChange, 1);
  carry(counter, kHandshake);
  carry(counter, kHandshake);
  counter.announce_handshake_message(kFinished);
  EXPECT_EQ(counter.sequence(kTls12).value(), 2U);
}

TEST(RecordCounter, CountsFromFinishedInTls13) {
  RecordCounter counter = finished_13();
  EXPECT_EQ(counter.sequence(kTls13).value(), 0U);
  carry(counter, kData);
  carry(counter, kData);
  EXPECT_EQ(counter.sequence(kTls13).value(), 2U);
}

TEST(RecordCounter, TakesBytesCutAnywhere) {
  RecordCounter counter;
  for (const auto& bytes : {record(kHandshake), record(kChange, 1), record(kHandshake, 0)}) {
    announce(counter, bytes);
    for (const std::uint8_t byte : bytes) counter.observe({&byte, 1});
  }
  counter.announce_handshake_message(kFinished);
  EXPECT_EQ(counter.sequence(kTls12).value(), 1U);
  EXPECT_EQ(counter.records_observed(), 3U);
}

TEST(RecordCounter, TakesManyRecordsAtOnce) {
  RecordCounter counter;
  Bytes wire;
  for (const std::uint8_t type : {kHandshake, kChange, kHandshake}) {
    const Bytes bytes = record(type);
    announce(counter, bytes);
    wire.insert(wire.end(), bytes.begin(), bytes.end());
  }
  counter.announce_handshake_message(kFinished);
  counter.observe(wire);
  EXPECT_EQ(counter.sequence(kTls12).value(), 1U);
}

TEST(RecordCounter, KeepsTheLastWholeRecord) {
  RecordCounter counter = finished_12();
  const Bytes last = record(kData, 7);
  announce(counter, last);
  counter.observe(last);
  EXPECT_TRUE(std::ranges::equal(counter.last_record(), last));
}

TEST(RecordCounter, RefusesARecordThatLibsslDidNotAnnounce) {
  RecordCounter tls12 = finished_12();
  tls12.observe(record(kData));
  expect_violation(tls12, kTls12);
  RecordCounter tls13 = finished_13();
  tls13.observe(record(kData));
  expect_violation(tls13, kTls13);
}

TEST(RecordCounter, RefusesARecordThatTheWireDidNotCarry) {
  RecordCounter tls12 = finished_12();
  announce(tls12, record(kData));
  expect_violation(tls12, kTls12);
  RecordCounter tls13 = finished_13();
  announce(tls13, record(kData));
  expect_violation(tls13, kTls13);
}

TEST(RecordCounter, RefusesAsManyRecordsOfOtherSizes) {
  RecordCounter counter = finished_13();
  announce(counter, record(kData, 4));
  counter.observe(record(kData, 5));
  expect_violation(counter, kTls13);
}

TEST(RecordCounter, RefusesAHandshakeThatEndsInsideARecord) {
  RecordCounter counter = finished_13();
  const Bytes bytes = record(kData);
  counter.observe(std::span(bytes).first(6));
  expect_violation(counter, kTls13);
}

TEST(RecordCounter, RefusesAnEpochThatHasNotBegun) {
  RecordCounter counter;
  expect_violation(counter, kTls12);
  expect_violation(counter, kTls13);
  carry(counter, kHandshake);
  expect_violation(counter, kTls12);
  expect_violation(counter, kTls13);
  counter.announce_handshake_message(kFinished);  // but no ChangeCipherSpec, and in the clear
  expect_violation(counter, kTls12);
  expect_violation(counter, kTls13);
}

TEST(RecordCounter, RefusesFinishedBeforeChangeCipherSpec) {
  RecordCounter counter;
  carry(counter, kHandshake);
  counter.announce_handshake_message(kFinished);
  carry(counter, kChange, 1);
  expect_violation(counter, kTls12);
}

TEST(RecordCounter, RefusesASecondChangeCipherSpec) {
  RecordCounter counter = finished_12();
  carry(counter, kChange, 1);
  expect_violation(counter, kTls12);
}

TEST(RecordCounter, RefusesAnUnprotectedRecordAfterFinishedInTls13) {
  RecordCounter counter = finished_13();
  carry(counter, kChange, 1);
  expect_violation(counter, kTls13);
}

}  // namespace
}  // namespace tls::test
