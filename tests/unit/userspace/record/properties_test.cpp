// What holds for every suite and every input: records come back as they went, however the bytes
// are cut, and not one bit can be changed.
#include <algorithm>
#include <utility>
#include <variant>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "tests/unit/userspace/record/states.h"
#include "userspace/record/record_layer.h"

namespace tls {
namespace {

using test::Bytes;
using test::Use;

struct Message {
  ContentType type;
  Bytes content;
  bool operator==(const Message&) const = default;
};

Use any_use() {
  static const std::vector<Use> uses = test::every_use();
  return uses[*rc::gen::inRange<std::size_t>(0, uses.size())];
}

// SSLv2's padded records hold less: 16,383 bytes, of which whole blocks, MAC and a byte of padding.
constexpr std::size_t kSsl2ContentMax = 16'359;
std::size_t content_max(const Use& use) {
  return use.is_ssl2() ? kSsl2ContentMax : kPlaintextSizeMax;
}

// Sizes near the ends of the range as often as those between.
std::size_t any_size(std::size_t least, std::size_t most) {
  return *rc::gen::oneOf(rc::gen::inRange<std::size_t>(least, 40),
                         rc::gen::inRange<std::size_t>(least, most + 1),
                         rc::gen::inRange<std::size_t>(most - 3, most + 1));
}

Message any_message(const Use& use) {
  const auto type = *rc::gen::element(ContentType::kAlert, ContentType::kHandshake,
                                      ContentType::kApplicationData);
  const std::size_t least = type == ContentType::kApplicationData ? 0 : 1;
  return {type, test::content_of(any_size(least, content_max(use)),
                                 *rc::gen::inRange<std::size_t>(0, 256))};
}

// SSLv2's records have no type: what comes under keys is application data.
Message as_read(const Use& use, Message message) {
  if (use.is_ssl2()) message.type = ContentType::kApplicationData;
  return message;
}

RC_GTEST_PROP(RecordProperties, AnySplitOfTheInputGivesTheSameRecords, ()) {
  const Use use = any_use();
  const auto sequence = *rc::gen::arbitrary<std::uint64_t>();
  RC_PRE(sequence < UINT64_MAX - 100);
  ConnectionState writer = test::state_of(use, sequence, *rc::gen::arbitrary<std::uint64_t>());
  std::vector<Message> sent;
  Bytes wire;
  for (int i = *rc::gen::inRange(1, 8); i > 0; --i) {
    const Message message = any_message(use);
    const Bytes record = test::sealed(writer, message.type, message.content);
    sent.push_back(as_read(use, message));
    wire.insert(wire.end(), record.begin(), record.end());
  }

  RecordLayer reader = test::reader_of(use, sequence);
  std::vector<Message> received;
  Bytes buffer;
  for (std::size_t at = 0; at < wire.size();) {
    const std::size_t most = *rc::gen::element<std::size_t>(1, 7, 100, 5000, 100'000);
    const std::size_t count =
        std::min(wire.size() - at, *rc::gen::inRange<std::size_t>(1, most + 1));
    const Bytes rest(reader.unread().begin(), reader.unread().end());
    buffer = rest;
    buffer.insert(buffer.end(), wire.begin() + static_cast<std::ptrdiff_t>(at),
                  wire.begin() + static_cast<std::ptrdiff_t>(at + count));
    at += count;
    reader.feed(buffer);
    for (;;) {
      const auto next = reader.next_record();
      RC_ASSERT(next.has_value());
      if (std::holds_alternative<NeedBytes>(*next)) break;
      const auto& record = std::get<Record>(*next);
      received.push_back({record.type, Bytes(record.content.begin(), record.content.end())});
    }
  }
  RC_ASSERT(received == sent);
  RC_ASSERT(reader.unread().empty());
  RC_ASSERT(reader.read_state()->sequence() == writer.sequence());
}

RC_GTEST_PROP(RecordProperties, AReaderThatAsksForWhatIsNeededNeverReadsPastARecord, ()) {
  const Use use = any_use();
  ConnectionState writer = test::state_of(use);
  const Message sent = any_message(use);
  const Bytes wire = test::sealed(writer, sent.type, sent.content);
  RecordLayer reader = test::reader_of(use);
  Bytes buffer;
  for (int asked = 0;; ++asked) {
    RC_ASSERT(asked < (use.is_ssl2() ? 4 : 3));  // the header, the body, the record
    reader.feed(buffer);
    const auto next = reader.next_record();
    RC_ASSERT(next.has_value());
    if (std::holds_alternative<Record>(*next)) break;
    const std::size_t count = std::get<NeedBytes>(*next).count;
    RC_ASSERT(buffer.size() + count <= wire.size());
    buffer.assign(wire.begin(), wire.begin() + static_cast<std::ptrdiff_t>(buffer.size() + count));
  }
  RC_ASSERT(buffer.size() == wire.size());
}

// What may be changed in a record without anybody noticing is left out: the header of SSLv2, which
// nothing authenticates, and the last block of SSLv3's CBC records, which may be all padding (as
// POODLE knows).
struct Authenticated {
  std::size_t first;
  std::size_t last;
};
Authenticated authenticated_of(const Use& use, std::span<const std::uint8_t> wire) {
  const std::size_t padding = use.is_ssl3_padded() ? use.suite->bulk_cipher->block_size : 0;
  return {use.is_ssl2() ? header_size_of(wire[0]) : 0, wire.size() - padding};
}

// A record with one bit changed: refused, or a header that asks for more than came.
bool is_refused(const Use& use, Bytes forged) {
  RecordLayer reader = test::reader_of(use);
  reader.feed(forged);
  const auto next = reader.next_record();
  return reader.read_state()->sequence() == 0 &&
         (!next.has_value() || std::holds_alternative<NeedBytes>(*next));
}

RC_GTEST_PROP(RecordProperties, OneFlippedBitNeverOpens, ()) {
  const Use use = any_use();
  ConnectionState writer = test::state_of(use);
  const Message sent = any_message(use);
  const Bytes wire = test::sealed(writer, sent.type, sent.content);
  const auto [first, last] = authenticated_of(use, wire);
  for (int i = 0; i < 20; ++i) {
    Bytes forged = wire;
    const std::size_t bit = *rc::gen::inRange<std::size_t>(8 * first, 8 * last);
    forged[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    RC_ASSERT(is_refused(use, std::move(forged)));
  }
}

RC_GTEST_PROP(RecordProperties, BytesFromAnywhereAreRefusedOrAskForMoreButNeverOpen, ()) {
  const Use use = any_use();
  RecordLayer reader = test::reader_of(use);
  auto bytes = *rc::gen::arbitrary<std::vector<std::uint8_t>>();
  // Without this nearly every input would end at its first byte.
  if (bytes.size() >= 3 && *rc::gen::arbitrary<bool>()) {
    const auto version = use.version == ProtocolVersion::kTls13
                             ? kRecordVersion
                             : static_cast<std::uint16_t>(use.version);
    bytes[0] = 23;
    ktls::store_big_endian(&bytes[1], version);
  }
  reader.feed(bytes);
  const auto next = reader.next_record();
  RC_ASSERT(!next.has_value() || std::holds_alternative<NeedBytes>(*next));
}

RC_GTEST_PROP(RecordProperties, RandomBodiesNeverOpen, ()) {
  const Use use = any_use();
  const auto size = *rc::gen::inRange<std::size_t>(0, 400);
  const std::size_t unit = std::max<std::size_t>(1, use.suite->bulk_cipher->block_size);
  const std::size_t whole = use.kind() == ProtectionKind::kCbc ? size / unit * unit : size;
  auto body = *rc::gen::container<Bytes>(whole, rc::gen::arbitrary<std::uint8_t>());
  ConnectionState state = test::state_of(use);
  const auto version = use.version == ProtocolVersion::kTls13
                           ? kRecordVersion
                           : static_cast<std::uint16_t>(use.version);
  const RecordHeader header{.type = ContentType::kApplicationData,
                            .version = version,
                            .body_size = body.size(),
                            .is_ssl2 = use.is_ssl2()};
  const auto opened = state.open(header, body);
  RC_ASSERT(!opened.has_value());
  RC_ASSERT(opened.error().code == ktls::ErrorCode::kBadRecordMac);
  RC_ASSERT(state.sequence() == 0U);
}

void expect_size_comes_back(ConnectionState& writer, ConnectionState& reader,
                            std::span<const std::uint8_t> part, std::span<std::uint8_t> wire) {
  const auto written = writer.seal({.type = ContentType::kApplicationData, .content = part}, wire);
  ASSERT_EQ(written, writer.sealed_size(part.size())) << part.size();
  const auto opened = test::opened(reader, wire.first(*written));
  ASSERT_TRUE(opened) << part.size();
  ASSERT_TRUE(std::ranges::equal(opened->content, part)) << part.size();
}

TEST(RecordProperties, EverySizeOfEverySuiteOfTheHandshakeComesBackAsItWent) {
  const Bytes content = test::content_of(kPlaintextSizeMax);
  Bytes wire(kRecordSizeMax);
  for (const CipherSuite* suite : handshake_suites()) {
    SCOPED_TRACE(suite->name);
    ConnectionState writer = test::state_of(*suite);
    ConnectionState reader = test::state_of(*suite);
    for (std::size_t size = 0; size <= kPlaintextSizeMax; ++size) {
      expect_size_comes_back(writer, reader, std::span(content).first(size), wire);
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

// All that padding and hash blocks make of a size shows within a few of them.
TEST(RecordProperties, SmallAndLargestSizesOfAllOthersComeBackAsTheyWent) {
  const Bytes content = test::content_of(kPlaintextSizeMax);
  Bytes wire(kRecordSizeMax);
  for (const Use& use : test::distinct_uses()) {
    SCOPED_TRACE(testing::PrintToString(use));
    ConnectionState writer = test::state_of(use);
    ConnectionState reader = test::state_of(use);
    const std::size_t largest = content_max(use);
    for (std::size_t size = 0; size <= largest; size = size == 600 ? largest - 40 : size + 1) {
      expect_size_comes_back(writer, reader, std::span(content).first(size), wire);
      if (testing::Test::HasFatalFailure()) return;
    }
    EXPECT_EQ(reader.sequence(), writer.sequence());
  }
}

TEST(RecordProperties, EveryFlippedBitOfASmallRecordIsRefused) {
  for (const Use& use : test::distinct_uses()) {
    ConnectionState writer = test::state_of(use);
    const Bytes wire = test::sealed(writer, ContentType::kHandshake, test::content_of(50));
    const auto [first, last] = authenticated_of(use, wire);
    for (std::size_t bit = 8 * first; bit < 8 * last; ++bit) {
      Bytes forged = wire;
      forged[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
      ASSERT_TRUE(is_refused(use, std::move(forged))) << use << ' ' << bit;
    }
    RecordLayer reader = test::reader_of(use);
    Bytes genuine = wire;
    reader.feed(genuine);
    const auto next = reader.next_record();
    ASSERT_TRUE(next) << use;
    EXPECT_TRUE(std::holds_alternative<Record>(*next)) << use;
  }
}

}  // namespace
}  // namespace tls
