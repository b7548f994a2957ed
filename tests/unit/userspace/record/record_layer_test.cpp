// The record layer: framing, fragmenting, and the order in which states may change.
#include "userspace/record/record_layer.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include <gtest/gtest.h>

#include "tests/unit/userspace/record/states.h"

namespace tls {
namespace {

using ktls::ErrorCode;
using test::Bytes;

const CipherSuite& suite() {
  return test::suite_of(test::kAes128Gcm13);
}

// A layer whose directions both use state_of(suite()): it can read what it wrote.
RecordLayer protected_layer(std::uint64_t sequence = 0) {
  RecordLayer layer;
  layer.set_pending_read(test::state_of(suite(), sequence));
  layer.set_pending_write(test::state_of(suite(), sequence));
  EXPECT_TRUE(layer.change_read_state());
  EXPECT_TRUE(layer.change_write_state());
  return layer;
}

Bytes seal(RecordLayer& layer, ContentType type, const Bytes& content) {
  Bytes wire(layer.sealed_size(content.size()));
  const auto written = layer.seal(type, content, wire);
  EXPECT_EQ(written, wire.size());
  return wire;
}

template <typename T>
ErrorCode code_of_error(const ktls::Result<T>& result) {
  EXPECT_FALSE(result.has_value());
  return result.has_value() ? ErrorCode::kSystem : result.error().code;
}

// --- reading ---------------------------------------------------------------------------------

TEST(RecordLayer, StartsInTheClearInBothDirections) {
  RecordLayer layer;
  ASSERT_TRUE(layer.read_state() && layer.write_state());
  EXPECT_TRUE(layer.read_state()->is_null() && layer.write_state()->is_null());
  const Bytes wire = seal(layer, ContentType::kHandshake, {1, 2, 3});
  EXPECT_EQ(wire, (Bytes{22, 3, 3, 0, 3, 1, 2, 3}));

  Bytes hello = {22, 3, 1, 0, 2, 9, 8};
  layer.feed(hello);
  const auto next = layer.next_record();
  ASSERT_TRUE(next);
  const auto& record = std::get<Record>(*next);
  EXPECT_EQ(record.type, ContentType::kHandshake);
  EXPECT_TRUE(std::ranges::equal(record.content, Bytes{9, 8}));
  EXPECT_TRUE(layer.unread().empty());
}

TEST(RecordLayer, RefusesClearRecordsOverTheirLimit) {
  RecordLayer layer;
  Bytes largest = test::with_header(22, 0x0303, Bytes(kPlaintextSizeMax));
  layer.feed(largest);
  EXPECT_TRUE(layer.next_record());
  Bytes header = {22, 3, 3, 0x40, 0x01};
  layer.feed(header);
  EXPECT_EQ(code_of_error(layer.next_record()), ErrorCode::kRecordOverflow);
}

TEST(RecordLayer, AsksForTheHeaderAndThenForExactlyTheBody) {
  RecordLayer layer = protected_layer();
  Bytes wire = seal(layer, ContentType::kApplicationData, test::content_of(100));
  for (std::size_t have = 0; have < wire.size(); ++have) {
    layer.feed(std::span(wire).first(have));
    const auto next = layer.next_record();
    ASSERT_TRUE(next);
    const std::size_t expected = have < 5 ? 5 - have : wire.size() - have;
    EXPECT_EQ(std::get<NeedBytes>(*next).count, expected) << have;
    EXPECT_EQ(layer.unread().size(), have);
  }
  layer.feed(wire);
  EXPECT_TRUE(std::holds_alternative<Record>(*layer.next_record()));
  EXPECT_EQ(std::get<NeedBytes>(*layer.next_record()).count, 5U);
}

TEST(RecordLayer, RefusesABadHeaderBeforeItsBodyCame) {
  for (const Bytes& bad : {Bytes{22, 3, 3, 0, 40}, Bytes{23, 3, 1, 0, 40}, Bytes{23, 3, 3, 0x41, 1},
                           Bytes{0x80, 0x2e, 1, 0, 2}, Bytes{'G', 'E', 'T', ' ', '/'}}) {
    RecordLayer layer = protected_layer();
    Bytes header = bad;
    layer.feed(header);
    EXPECT_FALSE(layer.next_record()) << static_cast<int>(bad[0]);
  }
}

TEST(RecordLayer, AnswersTheSameErrorOnceADirectionIsDead) {
  RecordLayer layer = protected_layer();
  Bytes good = seal(layer, ContentType::kApplicationData, {1, 2, 3});
  Bytes bad = good;
  bad.back() ^= 1;
  layer.feed(bad);
  const auto first = layer.next_record();
  ASSERT_EQ(code_of_error(first), ErrorCode::kBadRecordMac);
  EXPECT_EQ(first.error().alert, code_of(AlertDescription::kBadRecordMac));

  layer.feed(good);
  const auto again = layer.next_record();
  ASSERT_EQ(code_of_error(again), ErrorCode::kBadRecordMac);
  EXPECT_EQ(again.error().detail, first.error().detail);
  EXPECT_EQ(again.error().alert, first.error().alert);
  layer.set_pending_read(test::state_of(suite()));
  EXPECT_EQ(code_of_error(layer.change_read_state()), ErrorCode::kBadRecordMac);
  EXPECT_EQ(code_of_error(layer.release_read()), ErrorCode::kBadRecordMac);

  EXPECT_FALSE(seal(layer, ContentType::kAlert, {2, 20}).empty()) << "the alert can still be sent";
}

TEST(RecordLayer, TakesSoManyEmptyRecordsInARowAndNoMore) {
  RecordLayer layer = protected_layer();
  Bytes wire;
  const auto append = [&](const Bytes& content) {
    const Bytes record = seal(layer, ContentType::kApplicationData, content);
    wire.insert(wire.end(), record.begin(), record.end());
  };
  for (std::size_t i = 0; i < kEmptyRecordsMax; ++i) append({});
  append({1});
  for (std::size_t i = 0; i < kEmptyRecordsMax + 1; ++i) append({});
  layer.feed(wire);
  for (std::size_t i = 0; i < 2 * kEmptyRecordsMax + 1; ++i) {
    ASSERT_TRUE(layer.next_record()) << i;
  }
  const auto last = layer.next_record();
  ASSERT_EQ(code_of_error(last), ErrorCode::kLimitReached);
  EXPECT_EQ(last.error().alert, code_of(AlertDescription::kUnexpectedMessage));
}

// --- writing ---------------------------------------------------------------------------------

TEST(RecordLayer, CutsContentIntoFullRecordsAndARest) {
  RecordLayer layer = protected_layer();
  const Bytes content = test::content_of(2 * kPlaintextSizeMax + 10);
  EXPECT_EQ(layer.sealed_size(content.size()), content.size() + 3 * 22);
  Bytes wire = seal(layer, ContentType::kApplicationData, content);
  EXPECT_EQ(layer.write_state()->sequence(), 3U);
  layer.feed(wire);
  Bytes read;
  for (const std::size_t size : {kPlaintextSizeMax, kPlaintextSizeMax, std::size_t{10}}) {
    const auto next = layer.next_record();
    ASSERT_TRUE(next);
    const auto& record = std::get<Record>(*next);
    EXPECT_EQ(record.content.size(), size);
    read.insert(read.end(), record.content.begin(), record.content.end());
  }
  EXPECT_EQ(read, content);
}

TEST(RecordLayer, SealedSizeIsExactAtTheEdgesOfARecord) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, kPlaintextSizeMax - 1,
                                 kPlaintextSizeMax, kPlaintextSizeMax + 1, 2 * kPlaintextSizeMax}) {
    RecordLayer layer = protected_layer();
    Bytes wire(layer.sealed_size(size) + 100, 0xAA);
    const auto written = layer.seal(ContentType::kApplicationData, test::content_of(size), wire);
    EXPECT_EQ(written, layer.sealed_size(size));
    EXPECT_TRUE(std::ranges::all_of(std::span(wire).subspan(*written),
                                    [](std::uint8_t byte) { return byte == 0xAA; }));
  }
}

TEST(RecordLayer, EmptyContentIsOneEmptyRecordOfApplicationDataOnly) {
  RecordLayer layer = protected_layer();
  EXPECT_EQ(seal(layer, ContentType::kApplicationData, {}).size(), 22U);
  Bytes wire(100);
  for (const ContentType type : {ContentType::kHandshake, ContentType::kAlert}) {
    EXPECT_EQ(code_of_error(layer.seal(type, {}, wire)), ErrorCode::kInvalidArgument);
  }
  EXPECT_EQ(layer.write_state()->sequence(), 1U);
}

TEST(RecordLayer, CallerErrorsLeaveTheWritingDirectionAlive) {
  RecordLayer layer = protected_layer();
  Bytes wire(layer.sealed_size(10));
  const Bytes content(10);
  EXPECT_EQ(code_of_error(layer.seal(ContentType::kApplicationData, content,
                                     std::span(wire).first(wire.size() - 1))),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of_error(layer.seal(ContentType::kInvalid, content, wire)),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(layer.write_state()->sequence(), 0U);
  EXPECT_EQ(layer.seal(ContentType::kApplicationData, content, wire), wire.size());
}

TEST(RecordLayer, SealsNothingWhenTheNumbersDoNotReachForAll) {
  RecordLayer layer = protected_layer(UINT64_MAX - 1);
  const Bytes three_records(2 * kPlaintextSizeMax + 1);
  Bytes wire(layer.sealed_size(three_records.size()));
  EXPECT_EQ(code_of_error(layer.seal(ContentType::kApplicationData, three_records, wire)),
            ErrorCode::kLimitReached);
  EXPECT_EQ(layer.write_state()->sequence(), UINT64_MAX - 1);
  EXPECT_EQ(wire, Bytes(wire.size()));
  EXPECT_FALSE(seal(layer, ContentType::kApplicationData, Bytes(2 * kPlaintextSizeMax)).empty());
}

// --- connection states -----------------------------------------------------------------------

TEST(RecordLayer, RefusesAChangeWithoutAPendingState) {
  RecordLayer layer;
  EXPECT_EQ(code_of_error(layer.change_read_state()), ErrorCode::kProtocolViolation);
  EXPECT_EQ(code_of_error(layer.change_write_state()), ErrorCode::kProtocolViolation);
}

TEST(RecordLayer, RefusesASecondChangeWithoutASecondState) {
  RecordLayer layer = protected_layer();
  EXPECT_EQ(code_of_error(layer.change_read_state()), ErrorCode::kProtocolViolation);
  EXPECT_EQ(code_of_error(layer.change_write_state()), ErrorCode::kProtocolViolation);
  EXPECT_FALSE(layer.read_state()->is_null()) << "and never falls back to the clear";
}

TEST(RecordLayer, ChangesOneDirectionWithoutTheOther) {
  RecordLayer layer;
  layer.set_pending_write(test::state_of(suite()));
  EXPECT_TRUE(layer.write_state()->is_null()) << "pending is not current";
  ASSERT_TRUE(layer.change_write_state());
  EXPECT_FALSE(layer.write_state()->is_null());
  EXPECT_TRUE(layer.read_state()->is_null());
}

TEST(RecordLayer, RefusesToReleaseTheNullState) {
  RecordLayer layer;
  EXPECT_EQ(code_of_error(layer.release_read()), ErrorCode::kProtocolViolation);
  EXPECT_EQ(code_of_error(layer.release_write()), ErrorCode::kProtocolViolation);
  EXPECT_EQ(seal(layer, ContentType::kHandshake, {1}).size(), 6U) << "and goes on";
}

TEST(RecordLayer, RefusesToReleaseReadWhileCiphertextIsBuffered) {
  RecordLayer layer = protected_layer();
  Bytes wire = seal(layer, ContentType::kApplicationData, {1, 2, 3});
  layer.feed(std::span(wire).first(1));
  EXPECT_EQ(code_of_error(layer.release_read()), ErrorCode::kProtocolViolation);
  layer.feed(wire);
  EXPECT_EQ(code_of_error(layer.release_read()), ErrorCode::kProtocolViolation);
  ASSERT_TRUE(layer.next_record());
  const auto state = layer.release_read();
  ASSERT_TRUE(state);
  EXPECT_EQ(state->sequence(), 1U);
}

TEST(RecordLayer, RefusesToReleaseAStateWhoseLastNumberWasUsed) {
  RecordLayer layer = protected_layer(UINT64_MAX);
  Bytes wire = seal(layer, ContentType::kApplicationData, {1});
  EXPECT_EQ(code_of_error(layer.release_write()), ErrorCode::kLimitReached);
  EXPECT_TRUE(layer.write_state()) << "and keeps it";
  layer.feed(wire);
  ASSERT_TRUE(layer.next_record());
  EXPECT_EQ(code_of_error(layer.release_read()), ErrorCode::kLimitReached);
  EXPECT_EQ(protected_layer(UINT64_MAX).release_write()->sequence(), UINT64_MAX);
}

TEST(RecordLayer, HasNoNumberLeftInSslv2WhateverChanges) {
  const CipherSuite& rc4 = *find_ssl2_cipher_kind(0x010080)->suite;
  RecordLayer layer(kOpenRules);
  layer.set_version(0x0002);
  layer.write_state()->set_sequence_unsafely(UINT64_MAX);
  ASSERT_FALSE(seal(layer, ContentType::kHandshake, {1}).empty());
  layer.set_version(0x0200);
  EXPECT_EQ(layer.write_state()->records_left(), 0U);
  layer.set_pending_write(test::state_of(test::Use{&rc4, ProtocolVersion::kSsl2}));
  ASSERT_TRUE(layer.change_write_state());
  EXPECT_EQ(layer.write_state()->records_left(), 0U);
}

TEST(RecordLayer, RefusesEverythingOnAReleasedDirection) {
  RecordLayer layer = protected_layer();
  ASSERT_TRUE(layer.release_write());
  Bytes wire(100);
  EXPECT_EQ(layer.sealed_size(10), 0U);
  EXPECT_FALSE(layer.write_state());
  EXPECT_EQ(code_of_error(layer.seal(ContentType::kApplicationData, Bytes(10), wire)),
            ErrorCode::kProtocolViolation);
  EXPECT_EQ(code_of_error(layer.release_write()), ErrorCode::kProtocolViolation);
  layer.set_pending_write(test::state_of(suite()));
  EXPECT_EQ(code_of_error(layer.change_write_state()), ErrorCode::kProtocolViolation);
  EXPECT_TRUE(layer.next_record()) << "the other direction lives";

  ASSERT_TRUE(layer.release_read());
  EXPECT_FALSE(layer.read_state());
  layer.feed(wire);
  EXPECT_EQ(code_of_error(layer.next_record()), ErrorCode::kProtocolViolation);
  layer.feed({});
  EXPECT_EQ(code_of_error(layer.release_read()), ErrorCode::kProtocolViolation);
  layer.set_pending_read(test::state_of(suite()));
  EXPECT_EQ(code_of_error(layer.change_read_state()), ErrorCode::kProtocolViolation);
}

TEST(RecordLayer, TheReleasedStateGoesOnWhereTheLayerStopped) {
  RecordLayer layer = protected_layer();
  Bytes first = seal(layer, ContentType::kApplicationData, {1});
  ConnectionState writer = layer.release_write().value();
  Bytes second = test::sealed(writer, ContentType::kApplicationData, Bytes{2});
  first.insert(first.end(), second.begin(), second.end());
  layer.feed(first);
  for (const std::uint8_t expected : Bytes{1, 2}) {
    const auto next = layer.next_record();
    ASSERT_TRUE(next);
    EXPECT_EQ(std::get<Record>(*next).content.front(), expected);
  }
}

TEST(RecordLayer, ChangesKeysBetweenTwoRecordsOfOneFeed) {
  RecordLayer layer = protected_layer();
  const Bytes key_update = {24, 0, 0, 1, 0};
  Bytes wire = seal(layer, ContentType::kHandshake, key_update);
  layer.set_pending_write(test::state_of(suite(), 0, 0, 77));
  ASSERT_TRUE(layer.change_write_state());
  const Bytes after = seal(layer, ContentType::kApplicationData, {1, 2, 3});
  wire.insert(wire.end(), after.begin(), after.end());

  layer.feed(wire);
  const auto update = layer.next_record();
  ASSERT_TRUE(update);
  ASSERT_TRUE(std::ranges::equal(std::get<Record>(*update).content, key_update));
  EXPECT_FALSE(layer.unread().empty());
  layer.set_pending_read(test::state_of(suite(), 0, 0, 77));
  ASSERT_TRUE(layer.change_read_state());
  const auto data = layer.next_record();
  ASSERT_TRUE(data);
  EXPECT_TRUE(std::ranges::equal(std::get<Record>(*data).content, Bytes{1, 2, 3}));
}

}  // namespace
}  // namespace tls
