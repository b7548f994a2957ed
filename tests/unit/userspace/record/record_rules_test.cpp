// What a record layer does beyond TLS 1.2 and 1.3 after the handshake: open rules, early data that
// is skipped, padding policies, the first byte alone, SSLv2's framing, limits that were agreed on.
#include "userspace/record/record_rules.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/userspace/record/states.h"

namespace tls {
namespace {

using ktls::ErrorCode;
using test::Bytes;
using test::Use;

Use use_of(std::uint16_t id, ProtocolVersion version, bool encrypt_then_mac = false) {
  return {find_cipher_suite(id), version, encrypt_then_mac};
}
const Use kTls13 = use_of(0x1301, ProtocolVersion::kTls13);
const Use kGcm12 = use_of(0xC02F, ProtocolVersion::kTls12);
const Use kRc4Ssl2 = {find_ssl2_cipher_kind(0x010080)->suite, ProtocolVersion::kSsl2};
const Use kTripleDesSsl2 = {find_ssl2_cipher_kind(0x0700C0)->suite, ProtocolVersion::kSsl2};

// A layer that reads and writes with state_of(use).
RecordLayer layer_of(const Use& use, const RecordRules& rules = kOpenRules) {
  RecordLayer layer(rules);
  layer.set_version(static_cast<std::uint16_t>(use.version));
  layer.set_pending_read(test::state_of(use));
  layer.set_pending_write(test::state_of(use));
  EXPECT_TRUE(layer.change_read_state());
  EXPECT_TRUE(layer.change_write_state());
  return layer;
}

Bytes seal(RecordLayer& layer, const Bytes& content,
           ContentType type = ContentType::kApplicationData) {
  Bytes wire(layer.sealed_size(content.size()));
  const auto written = layer.seal(type, content, wire);
  EXPECT_TRUE(written);
  wire.resize(written.value_or(0));
  return wire;
}

Bytes seal_record(RecordLayer& layer, const Outgoing& outgoing) {
  Bytes wire(layer.sealed_record_size(outgoing));
  const auto written = layer.seal_record(outgoing, wire);
  EXPECT_TRUE(written);
  wire.resize(written.value_or(0));
  return wire;
}

struct Got {
  ContentType type;
  Bytes content;
  RecordHeader header;
};

// All records of `wire`, which the layer has to take.
std::vector<Got> read_all(RecordLayer& layer, Bytes wire) {
  std::vector<Got> records;
  layer.feed(wire);
  while (!layer.unread().empty()) {
    const auto next = layer.next_record();
    EXPECT_TRUE(next) << next.error().detail;
    if (!next || !std::holds_alternative<Record>(*next)) break;
    const auto& record = std::get<Record>(*next);
    records.push_back(
        {record.type, Bytes(record.content.begin(), record.content.end()), record.header});
  }
  layer.feed({});
  return records;
}

ErrorCode refusal(RecordLayer& layer, Bytes wire) {
  layer.feed(wire);
  const auto next = layer.next_record();
  layer.feed({});
  EXPECT_FALSE(next.has_value());
  return next ? ErrorCode::kSystem : next.error().code;
}

std::vector<std::size_t> sizes_of(const std::vector<Got>& records) {
  std::vector<std::size_t> sizes;
  for (const Got& got : records) sizes.push_back(got.content.size());
  return sizes;
}

using Sizes = std::vector<std::size_t>;

// --- the first byte alone --------------------------------------------------------------------

Sizes sealed_sizes(const Use& use, std::size_t size,
                   ContentType type = ContentType::kApplicationData) {
  RecordLayer layer = layer_of(use);
  const Bytes content = test::content_of(size);
  const std::vector<Got> records = read_all(layer, seal(layer, content, type));
  Bytes joined;
  for (const Got& got : records) {
    joined.insert(joined.end(), got.content.begin(), got.content.end());
  }
  EXPECT_EQ(joined, content);
  return sizes_of(records);
}

TEST(FirstByte, GoesAloneWithCbcUpToTls10) {
  for (const auto version : {ProtocolVersion::kSsl3, ProtocolVersion::kTls10}) {
    for (const bool encrypt_then_mac : {false, true}) {
      const Use use = use_of(0x002F, version, encrypt_then_mac);
      EXPECT_EQ(sealed_sizes(use, 0), (Sizes{0}));
      EXPECT_EQ(sealed_sizes(use, 1), (Sizes{1}));
      EXPECT_EQ(sealed_sizes(use, 2), (Sizes{1, 1}));
      EXPECT_EQ(sealed_sizes(use, 100), (Sizes{1, 99}));
      EXPECT_EQ(sealed_sizes(use, 16384), (Sizes{1, 16383}));
      EXPECT_EQ(sealed_sizes(use, 16385), (Sizes{1, 16384}));
      EXPECT_EQ(sealed_sizes(use, 16386), (Sizes{1, 16384, 1}));
      EXPECT_EQ(sealed_sizes(use, 100, ContentType::kHandshake), (Sizes{100}));
      EXPECT_EQ(sealed_sizes(use, 2, ContentType::kAlert), (Sizes{2}));
    }
  }
}

TEST(FirstByte, GoesWithTheOthersElsewhere) {
  for (const Use& use :
       {use_of(0x002F, ProtocolVersion::kTls11), use_of(0x002F, ProtocolVersion::kTls12),
        use_of(0x0005, ProtocolVersion::kTls10), kGcm12, kTls13}) {
    EXPECT_EQ(sealed_sizes(use, 100), (Sizes{100})) << use;
  }
}

TEST(FirstByte, NeedsANumberOfItsOwn) {
  const Use use = use_of(0x002F, ProtocolVersion::kTls10);
  RecordLayer layer(kOpenRules);
  layer.set_pending_write(test::state_of(use, UINT64_MAX));
  ASSERT_TRUE(layer.change_write_state());
  Bytes wire(layer.sealed_size(2));
  const auto sealed = layer.seal(ContentType::kApplicationData, Bytes(2), wire);
  ASSERT_FALSE(sealed);
  EXPECT_EQ(sealed.error().code, ErrorCode::kLimitReached);
  EXPECT_TRUE(layer.seal(ContentType::kApplicationData, Bytes(1), wire));
}

// --- sizes -----------------------------------------------------------------------------------

TEST(FragmentSize, IsWhatThePeerAskedFor) {
  for (const Use& use : {kGcm12, kTls13}) {
    RecordLayer layer = layer_of(use);
    layer.set_fragment_size_max(512);
    EXPECT_EQ(sizes_of(read_all(layer, seal(layer, Bytes(1100)))), (Sizes{512, 512, 76}));
  }
}

TEST(ReceiveLimit, IsRefusedOneByteAboveIt) {
  for (const Use& use : {kGcm12, kTls13, use_of(0x002F, ProtocolVersion::kTls11)}) {
    RecordLayer layer = layer_of(use);
    layer.set_receive_limit(64);
    EXPECT_EQ(sizes_of(read_all(layer, seal(layer, Bytes(64)))), (Sizes{64})) << use;
    EXPECT_EQ(refusal(layer, seal(layer, Bytes(65))), ErrorCode::kRecordOverflow) << use;
  }
}

TEST(ReceiveLimit, CountsTls13sPadding) {
  RecordLayer layer = layer_of(kTls13);
  layer.set_receive_limit(64);
  const Bytes content(4);
  const Outgoing fits{.type = ContentType::kApplicationData, .content = content, .padding = 60};
  EXPECT_EQ(read_all(layer, seal_record(layer, fits)).size(), 1U);
  const Outgoing over{.type = ContentType::kApplicationData, .content = content, .padding = 61};
  EXPECT_EQ(refusal(layer, seal_record(layer, over)), ErrorCode::kRecordOverflow);
}

TEST(ReceiveLimit, BoundsTheHeaderByTheExpansion) {
  const auto taken = [](const Use& use, std::size_t body_size) {
    RecordLayer layer = layer_of(use);
    Bytes header = test::with_header(23, 0x0303, {});
    ktls::store_big_endian(&header[3], static_cast<std::uint16_t>(body_size));
    layer.feed(header);
    return layer.next_record().has_value();
  };
  EXPECT_TRUE(taken(kGcm12, 16384 + 2048));
  EXPECT_FALSE(taken(kGcm12, 16384 + 2049));
  EXPECT_TRUE(taken(kTls13, 16384 + 256));
  EXPECT_FALSE(taken(kTls13, 16384 + 257));
  RecordLayer layer = layer_of(kGcm12);
  layer.set_expansion_max(256);
  EXPECT_EQ(refusal(layer, {23, 3, 3, 0x41, 0x01}), ErrorCode::kRecordOverflow);
}

TEST(SealRecord, KnowsNoLimitButTheHeaders) {
  RecordLayer layer = layer_of(kGcm12);
  const Bytes content = test::content_of(kBodySizeMax - 24);
  const Bytes wire =
      seal_record(layer, {.type = ContentType::kApplicationData, .content = content});
  EXPECT_EQ(wire.size(), kRecordHeaderSize + kBodySizeMax);
  const Bytes longer(content.size() + 1);
  Bytes room(2 * kBodySizeMax);
  const auto over =
      layer.seal_record({.type = ContentType::kApplicationData, .content = longer}, room);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(layer.write_state()->sequence(), 1U);
  EXPECT_FALSE(seal(layer, {1}).empty()) << "and the direction lives";
}

TEST(SealRecord, SendsTheChangeOfCompatibilityModeInTheClear) {
  RecordLayer layer = layer_of(kTls13);
  EXPECT_EQ(seal_record(layer, {.type = ContentType::kChangeCipherSpec, .content = Bytes{1}}),
            (Bytes{20, 3, 3, 0, 1, 1}));
  EXPECT_EQ(layer.write_state()->sequence(), 0U);
  layer.close_write();
  Bytes wire(100);
  EXPECT_FALSE(layer.seal_record({.type = ContentType::kAlert, .content = Bytes{1, 0}}, wire));
  EXPECT_EQ(layer.sealed_record_size({.type = ContentType::kAlert, .content = Bytes{1, 0}}), 0U);
}

// --- padding ---------------------------------------------------------------------------------

TEST(PaddingPolicy, IsAskedForEachRecordAndCutToWhatFits) {
  struct Asked {
    std::size_t content_size;
    ContentType type;
    std::size_t padding_max;
    bool operator==(const Asked&) const = default;
  };
  std::vector<Asked> asked;
  RecordLayer layer = layer_of(kTls13);
  layer.set_fragment_size_max(100);
  layer.set_padding_policy([&](std::size_t size, ContentType type, std::size_t most) {
    asked.push_back({size, type, most});
    return size == 100 ? 1000 : std::size_t{7};
  });
  Bytes wire(layer.sealed_size(130));
  const auto written = layer.seal(ContentType::kHandshake, test::content_of(130), wire);
  ASSERT_TRUE(written);
  EXPECT_LE(*written, wire.size());
  EXPECT_EQ(*written, 5U + 100 + 17 + 5 + 30 + 7 + 17);
  wire.resize(*written);
  EXPECT_EQ(asked, (std::vector<Asked>{{100, ContentType::kHandshake, 0},
                                       {30, ContentType::kHandshake, 70}}));
  EXPECT_EQ(sizes_of(read_all(layer, wire)), (Sizes{100, 30}));
}

TEST(PaddingPolicy, HidesEverySizeWhenItFillsTheRecord) {
  RecordLayer layer = layer_of(kTls13);
  layer.set_padding_policy([](std::size_t, ContentType, std::size_t most) { return most; });
  for (const std::size_t size : {0U, 1U, 5000U, 16384U}) {
    const Bytes content = test::content_of(size);
    Bytes wire = seal(layer, content);
    EXPECT_EQ(wire.size(), 5U + 16384 + 17) << size;
    const std::vector<Got> got = read_all(layer, std::move(wire));
    ASSERT_EQ(got.size(), 1U) << size;
    EXPECT_EQ(got[0].content, content);
  }
}

TEST(PaddingPolicy, IsForTls13Alone) {
  for (const Use& use : {kGcm12, use_of(0x002F, ProtocolVersion::kTls12)}) {
    RecordLayer layer = layer_of(use);
    const std::size_t size = layer.sealed_size(10);
    layer.set_padding_policy([](std::size_t, ContentType, std::size_t) {
      ADD_FAILURE() << "asked";
      return std::size_t{10};
    });
    EXPECT_EQ(layer.sealed_size(10), size);
    EXPECT_EQ(seal(layer, Bytes(10)).size(), size);
  }
  RecordLayer clear;
  clear.set_padding_policy([](std::size_t, ContentType, std::size_t) { return std::size_t{10}; });
  EXPECT_EQ(seal(clear, Bytes(10), ContentType::kHandshake).size(), 15U);
}

// --- early data ------------------------------------------------------------------------------

// A record that `kTls13`'s keys do not open, whose body has `size` bytes.
Bytes early(std::size_t size) {
  return test::with_header(23, 0x0303, Bytes(size, 0xEE));
}

TEST(EarlyData, IsSkippedUntilARecordOpens) {
  RecordLayer layer = layer_of(kTls13);
  layer.set_early_data_max(1000);
  layer.set_early_data(true);
  Bytes wire = early(100);
  for (const Bytes& next : {early(17), seal(layer, {1, 2}), seal(layer, {3})}) {
    wire.insert(wire.end(), next.begin(), next.end());
  }
  EXPECT_TRUE(layer.skips_early_data());
  EXPECT_EQ(sizes_of(read_all(layer, std::move(wire))), (Sizes{2, 1}));
  EXPECT_EQ(layer.early_data_skipped(), 0U) << "and the count begins anew";
  EXPECT_FALSE(layer.skips_early_data());
  EXPECT_EQ(layer.read_state()->sequence(), 2U) << "skipped records have no number";
  EXPECT_EQ(refusal(layer, early(17)), ErrorCode::kBadRecordMac);
}

TEST(EarlyData, AsksForWhatComesAfterIt) {
  RecordLayer layer = layer_of(kTls13);
  layer.set_early_data_max(1000);
  layer.set_early_data(true);
  Bytes wire = early(100);
  layer.feed(wire);
  const auto next = layer.next_record();
  ASSERT_TRUE(next);
  EXPECT_TRUE(std::holds_alternative<NeedBytes>(*next));
  EXPECT_TRUE(layer.unread().empty()) << "what was skipped is not kept";
}

TEST(EarlyData, EndsAtItsLimitAndBeginsAnewWhenSet) {
  RecordLayer layer = layer_of(kTls13);
  layer.set_early_data_max(200);
  layer.set_early_data(true);
  EXPECT_TRUE(read_all(layer, early(150)).empty());
  EXPECT_EQ(layer.early_data_skipped(), 150U);
  layer.set_early_data_max(180);
  EXPECT_EQ(layer.early_data_skipped(), 150U) << "another limit goes on with the count";
  layer.set_early_data(true);
  EXPECT_EQ(layer.early_data_skipped(), 0U);
  EXPECT_TRUE(read_all(layer, early(150)).empty());
  EXPECT_EQ(refusal(layer, early(60)), ErrorCode::kBadRecordMac);
}

// As tlslite-ng does: a limit is never reached, and whatever is good ends the skipping.
TEST(EarlyData, NeverReachesItsLimitAndIsEndedByAChangeCipherSpec) {
  for (const std::size_t limit : {150U, 151U}) {
    RecordLayer layer = layer_of(kTls13);
    layer.set_early_data_max(limit);
    layer.set_early_data(true);
    Bytes wire = early(150);
    layer.feed(wire);
    EXPECT_EQ(layer.next_record().has_value(), limit > 150) << limit;
  }
  RecordLayer layer = layer_of(kTls13);
  layer.set_early_data_max(1000);
  layer.set_early_data(true);
  EXPECT_EQ(read_all(layer, {20, 3, 3, 0, 1, 1}).size(), 1U);
  EXPECT_FALSE(layer.skips_early_data());
}

TEST(EarlyData, IsSkippedOnlyWhereItWasAskedFor) {
  RecordLayer layer = layer_of(kTls13);
  layer.set_early_data_max(1000);
  EXPECT_EQ(refusal(layer, early(100)), ErrorCode::kBadRecordMac);
  RecordLayer other = layer_of(kTls13);
  other.set_early_data_max(1000);
  other.set_early_data(true);
  EXPECT_EQ(refusal(other, test::with_header(22, 0x0303, Bytes(40))), ErrorCode::kUnexpectedMessage)
      << "what is wrong in another way ends the connection";
}

// After a HelloRetryRequest the second ClientHello comes in the clear.
TEST(EarlyData, IsSkippedBeforeThereAreKeys) {
  RecordLayer layer(kOpenRules);
  layer.set_version(0x0303, true);
  layer.set_early_data_max(1000);
  layer.set_early_data(true);
  Bytes wire = early(100);
  const Bytes hello = test::with_header(22, 0x0301, Bytes(7));
  wire.insert(wire.end(), hello.begin(), hello.end());
  const std::vector<Got> got = read_all(layer, std::move(wire));
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0].type, ContentType::kHandshake);
  EXPECT_EQ(layer.early_data_skipped(), 0U) << "and the count begins anew";
}

// --- open rules ------------------------------------------------------------------------------

TEST(OpenRules, TakeChangeCipherSpecInTheClearUnderKeysOfTls13) {
  RecordLayer layer = layer_of(kTls13);
  Bytes wire = {20, 3, 3, 0, 1, 1};
  const Bytes after = seal(layer, {1, 2, 3});
  wire.insert(wire.end(), after.begin(), after.end());
  const std::vector<Got> got = read_all(layer, wire);
  ASSERT_EQ(got.size(), 2U);
  EXPECT_EQ(got[0].type, ContentType::kChangeCipherSpec);
  EXPECT_EQ(got[0].content, (Bytes{1}));
  EXPECT_EQ(got[1].type, ContentType::kApplicationData);

  RecordLayer strict = layer_of(kTls13, kStrictRules);
  EXPECT_EQ(refusal(strict, {20, 3, 3, 0, 1, 1}), ErrorCode::kUnexpectedMessage);
}

TEST(OpenRules, TakeAnAlertInTheClearBeforeTheFirstProtectedRecordOnly) {
  const Bytes alert = {21, 3, 3, 0, 2, 2, 40};
  RecordLayer layer = layer_of(kTls13);
  const std::vector<Got> got = read_all(layer, alert);
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0].type, ContentType::kAlert);
  EXPECT_EQ(got[0].content, (Bytes{2, 40}));
  ASSERT_EQ(read_all(layer, seal(layer, {1})).size(), 1U);
  EXPECT_EQ(refusal(layer, alert), ErrorCode::kBadRecordMac);

  RecordLayer longer = layer_of(kTls13);
  EXPECT_NE(refusal(longer, test::with_header(21, 0x0303, Bytes(40))), ErrorCode::kSystem);
  RecordLayer of_12 = layer_of(kGcm12);
  EXPECT_EQ(refusal(of_12, alert), ErrorCode::kBadRecordMac);
}

TEST(OpenRules, TakeTypesAndEmptyRecordsThatStrictRulesDoNot) {
  RecordLayer layer = layer_of(kTls13);
  Bytes wire;
  for (const ContentType type : {ContentType::kChangeCipherSpec, static_cast<ContentType>(24),
                                 static_cast<ContentType>(99)}) {
    const Bytes record = test::record_13_of(*kTls13.suite, {1, static_cast<std::uint8_t>(type)});
    RecordLayer fresh = layer_of(kTls13);
    const std::vector<Got> got = read_all(fresh, record);
    ASSERT_EQ(got.size(), 1U);
    EXPECT_EQ(got[0].type, type);
    RecordLayer strict = layer_of(kTls13, kStrictRules);
    EXPECT_EQ(refusal(strict, record), ErrorCode::kUnexpectedMessage);
  }
  for (std::size_t i = 0; i < 3 * kEmptyRecordsMax; ++i) {
    const Bytes record = seal_record(layer, {.type = ContentType::kHandshake, .content = {}});
    wire.insert(wire.end(), record.begin(), record.end());
  }
  EXPECT_EQ(read_all(layer, wire).size(), 3 * kEmptyRecordsMax);
}

TEST(OpenRules, StillRefuseATls13RecordWithoutAType) {
  RecordLayer layer = layer_of(kTls13);
  EXPECT_EQ(refusal(layer, test::record_13_of(*kTls13.suite, Bytes(9))),
            ErrorCode::kUnexpectedMessage);
}

TEST(Record, SaysOfTls13WhatItsHeaderWouldBeInTheClear) {
  for (const RecordRules& rules : {kOpenRules, kStrictRules}) {
    RecordLayer layer = layer_of(kTls13, rules);
    const std::vector<Got> got = read_all(
        layer,
        seal_record(layer,
                    {.type = ContentType::kHandshake, .content = Bytes{1, 2, 3}, .padding = 20}));
    ASSERT_EQ(got.size(), 1U);
    EXPECT_EQ(got[0].header.type, ContentType::kHandshake);
    EXPECT_EQ(got[0].header.version, 0x0304);
    EXPECT_EQ(got[0].header.body_size, 3U);
  }
  RecordLayer layer = layer_of(kGcm12);
  const std::vector<Got> got = read_all(layer, seal(layer, {1, 2, 3}));
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0].header.version, 0x0303);
  EXPECT_EQ(got[0].header.body_size, 8U + 3 + 16);
}

TEST(OpenBody, OpensWhatWasTakenApartElsewhereAndDiesOfWhatDoesNotOpen) {
  RecordLayer layer = layer_of(kGcm12, kStrictRules);
  Bytes wire = seal(layer, {1, 2, 3});
  const auto [header, body] = test::parts_of(ProtocolVersion::kTls12, wire);
  const auto record = layer.open_body(header, body);
  ASSERT_TRUE(record);
  EXPECT_TRUE(std::ranges::equal(record->content, Bytes{1, 2, 3}));
  const auto again = layer.open_body(header, body);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::kBadRecordMac);
  Bytes next = seal(layer, {4});
  EXPECT_EQ(refusal(layer, next), ErrorCode::kBadRecordMac);
}

TEST(ChangesToClearUnsafely, IsWhatItSays) {
  RecordRules rules = kOpenRules;
  rules.changes_to_clear_unsafely = true;
  RecordLayer layer = layer_of(kGcm12, rules);
  ASSERT_TRUE(layer.change_write_state());
  EXPECT_TRUE(layer.write_state()->is_null());
  EXPECT_FALSE(layer.read_state()->is_null());
  RecordLayer other = layer_of(kGcm12, kOpenRules);
  EXPECT_FALSE(other.change_write_state());
}

// --- versions and SSLv2 ----------------------------------------------------------------------

TEST(Version, IsWhatRecordsInTheClearSay) {
  RecordLayer layer;
  for (const std::uint16_t version : std::to_array<std::uint16_t>({0x0300, 0x0301, 0x0302})) {
    layer.set_version(version);
    const auto minor = static_cast<std::uint8_t>(version & 0xff);
    EXPECT_EQ(seal(layer, {9}, ContentType::kHandshake), (Bytes{22, 3, minor, 0, 1, 9}));
  }
  RecordLayer under_keys = layer_of(use_of(0x002F, ProtocolVersion::kTls11), kStrictRules);
  under_keys.set_version(0x0300);
  const Bytes wire = seal(under_keys, {1});
  EXPECT_EQ(wire[2], 2) << "keys have their own";
}

TEST(Version, OfAnotherConnectionIsRefusedByStrictRulesInEveryVersion) {
  for (const Use& use :
       {use_of(0x002F, ProtocolVersion::kSsl3), use_of(0x002F, ProtocolVersion::kTls10),
        use_of(0x0005, ProtocolVersion::kTls11), kGcm12, kTls13}) {
    for (const std::uint8_t minor : Bytes{0, 1, 2, 3, 4}) {
      RecordLayer layer = layer_of(use, kStrictRules);
      Bytes wire = seal(layer, {1});
      if (wire[2] == minor) continue;
      wire[2] = minor;
      EXPECT_EQ(refusal(layer, wire), ErrorCode::kDecodeError) << use;
    }
  }
}

TEST(Ssl2, HelloIsTakenByOpenRulesWhateverTheVersionIs) {
  const Bytes hello = {0x80, 3, 1, 3, 1};
  RecordLayer layer(kOpenRules);
  const std::vector<Got> got = read_all(layer, hello);
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0].type, ContentType::kHandshake);
  EXPECT_TRUE(got[0].header.is_ssl2);
  EXPECT_EQ(got[0].content, (Bytes{1, 3, 1}));
  RecordLayer strict;
  EXPECT_EQ(refusal(strict, hello), ErrorCode::kUnexpectedMessage);
}

TEST(Ssl2, AsksForItsHeaderByteByByte) {
  RecordLayer layer(kOpenRules);
  EXPECT_EQ(std::get<NeedBytes>(*layer.next_record()).count, 1U);
  struct Row {
    Bytes bytes;
    std::size_t count;
  };
  for (const Row& row : {Row{{22}, 4}, Row{{22, 3, 1}, 2}, Row{{0x80}, 1}, Row{{0x80, 9}, 9},
                         Row{{0x00}, 2}, Row{{0x00, 8}, 1}, Row{{0x00, 8, 8}, 8}}) {
    Bytes bytes = row.bytes;
    layer.feed(bytes);
    EXPECT_EQ(std::get<NeedBytes>(*layer.next_record()).count, row.count)
        << static_cast<int>(bytes[0]) << ' ' << bytes.size();
  }
  EXPECT_EQ(refusal(layer, {0x00, 8, 9}), ErrorCode::kIllegalParameter);
}

TEST(Ssl2, CountsClearRecordsAndGoesOnUnderKeys) {
  for (const Use& use : {kRc4Ssl2, kTripleDesSsl2}) {
    RecordLayer layer(kOpenRules);
    layer.set_version(0x0002);
    const Bytes clear = seal(layer, {1, 2, 3}, ContentType::kHandshake);
    EXPECT_EQ(clear, (Bytes{0x80, 3, 1, 2, 3}));
    const std::vector<Got> hello = read_all(layer, clear);
    ASSERT_EQ(hello.size(), 1U);
    layer.set_pending_write(test::state_of(use));
    layer.set_pending_read(test::state_of(use));
    ASSERT_TRUE(layer.change_write_state() && layer.change_read_state());
    EXPECT_EQ(layer.write_state()->sequence(), 1U);
    EXPECT_EQ(layer.read_state()->sequence(), 1U);
    const Bytes wire = seal(layer, test::content_of(40));
    const std::vector<Got> finished = read_all(layer, wire);
    for (const Got& got : finished) EXPECT_EQ(got.type, ContentType::kHandshake) << use;
    layer.set_handshake_finished(true);
    const std::vector<Got> data = read_all(layer, seal(layer, test::content_of(40)));
    ASSERT_FALSE(data.empty());
    for (const Got& got : data) {
      EXPECT_EQ(got.type, ContentType::kApplicationData) << use;
      EXPECT_TRUE(got.header.is_ssl2);
    }
    EXPECT_EQ(layer.read_state()->sequence(), layer.write_state()->sequence());
  }
}

TEST(Ssl2, WritesRecordsThatItsHeaderCanSay) {
  for (const Use& use : {kRc4Ssl2, kTripleDesSsl2}) {
    RecordLayer layer = layer_of(use);
    const Bytes content = test::content_of(50'000);
    Bytes joined;
    for (const Got& got : read_all(layer, seal(layer, content))) {
      joined.insert(joined.end(), got.content.begin(), got.content.end());
    }
    EXPECT_EQ(joined, content) << use;
  }
}

TEST(Ssl2, RecordsDoNotOpenUnderKeysOfTlsNorTlsRecordsUnderTheirs) {
  for (const Use& use : {kGcm12, kTls13, use_of(0x0005, ProtocolVersion::kTls10)}) {
    RecordLayer layer = layer_of(use);
    EXPECT_EQ(refusal(layer, {0x80, 3, 1, 2, 3}), ErrorCode::kBadRecordMac) << use;
  }
  RecordLayer cbc = layer_of(use_of(0x002F, ProtocolVersion::kTls10));
  EXPECT_EQ(refusal(cbc, {0x80, 3, 1, 2, 3}), ErrorCode::kDecryptionFailed);
  RecordLayer ssl2 = layer_of(kRc4Ssl2);
  Bytes body = {1};
  const auto opened = ssl2.open_body(
      {.type = ContentType::kApplicationData, .version = 0x0300, .body_size = 1}, body);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kUnexpectedMessage);
}

}  // namespace
}  // namespace tls
