// What holds for every suite and every input: records come back as they went, however the bytes
// are cut, and not one bit can be changed.
#include <algorithm>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "tests/unit/userspace/record/states.h"
#include "userspace/record/record_layer.h"

namespace tls {
namespace {

using test::Bytes;

struct Message {
  ContentType type;
  Bytes content;
  bool operator==(const Message&) const = default;
};

const CipherSuite& any_suite() {
  return cipher_suites()[*rc::gen::inRange<std::size_t>(0, cipher_suites().size())];
}

// Sizes near the ends of the range as often as those between.
std::size_t any_size(std::size_t least) {
  return *rc::gen::oneOf(
      rc::gen::inRange<std::size_t>(least, 40),
      rc::gen::inRange<std::size_t>(least, kPlaintextSizeMax + 1),
      rc::gen::inRange<std::size_t>(kPlaintextSizeMax - 3, kPlaintextSizeMax + 1));
}

Message any_message() {
  const auto type = *rc::gen::element(ContentType::kAlert, ContentType::kHandshake,
                                      ContentType::kApplicationData);
  const std::size_t least = type == ContentType::kApplicationData ? 0 : 1;
  return {type, test::content_of(any_size(least), *rc::gen::inRange<std::size_t>(0, 256))};
}

RecordLayer reader_of(const CipherSuite& suite, std::uint64_t sequence) {
  RecordLayer layer;
  layer.set_pending_read(test::state_of(suite, sequence));
  RC_ASSERT(layer.change_read_state().has_value());
  return layer;
}

RC_GTEST_PROP(RecordProperties, AnySplitOfTheInputGivesTheSameRecords, ()) {
  const CipherSuite& suite = any_suite();
  const auto sequence = *rc::gen::arbitrary<std::uint64_t>();
  RC_PRE(sequence < UINT64_MAX - 100);
  ConnectionState writer = test::state_of(suite, sequence, *rc::gen::arbitrary<std::uint64_t>());
  std::vector<Message> sent;
  Bytes wire;
  for (int i = *rc::gen::inRange(1, 8); i > 0; --i) {
    sent.push_back(any_message());
    const Bytes record = test::sealed(writer, sent.back().type, sent.back().content);
    wire.insert(wire.end(), record.begin(), record.end());
  }

  RecordLayer reader = reader_of(suite, sequence);
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
  const CipherSuite& suite = any_suite();
  ConnectionState writer = test::state_of(suite);
  const Message sent = any_message();
  const Bytes wire = test::sealed(writer, sent.type, sent.content);
  RecordLayer reader = reader_of(suite, 0);
  Bytes buffer;
  for (int asked = 0;; ++asked) {
    RC_ASSERT(asked < 3);  // the header, the body, the record
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

RC_GTEST_PROP(RecordProperties, OneFlippedBitNeverOpens, ()) {
  const CipherSuite& suite = any_suite();
  ConnectionState writer = test::state_of(suite);
  const Message sent = any_message();
  const Bytes wire = test::sealed(writer, sent.type, sent.content);
  for (int i = 0; i < 20; ++i) {
    Bytes forged = wire;
    const std::size_t bit = *rc::gen::inRange<std::size_t>(0, 8 * wire.size());
    forged[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    ConnectionState reader = test::state_of(suite);
    RC_ASSERT(!reader.open(forged).has_value());
    RC_ASSERT(reader.sequence() == 0U);
  }
}

RC_GTEST_PROP(RecordProperties, BytesFromAnywhereAreRefusedOrAskForMoreButNeverOpen, ()) {
  RecordLayer reader = reader_of(any_suite(), 0);
  auto bytes = *rc::gen::arbitrary<std::vector<std::uint8_t>>();
  // Without this nearly every input would end at its first byte.
  if (bytes.size() >= 3 && *rc::gen::arbitrary<bool>()) {
    bytes[0] = 23;
    bytes[1] = 3;
    bytes[2] = 3;
  }
  reader.feed(bytes);
  const auto next = reader.next_record();
  RC_ASSERT(!next.has_value() || std::holds_alternative<NeedBytes>(*next));
}

TEST(RecordProperties, EverySizeOfEverySuiteComesBackAsItWent) {
  const Bytes content = test::content_of(kPlaintextSizeMax);
  Bytes wire(kRecordSizeMax);
  for (const CipherSuite& suite : cipher_suites()) {
    ConnectionState writer = test::state_of(suite);
    ConnectionState reader = test::state_of(suite);
    for (std::size_t size = 0; size <= kPlaintextSizeMax; ++size) {
      const auto part = std::span(content).first(size);
      const auto written = writer.seal(ContentType::kApplicationData, part, wire);
      ASSERT_EQ(written, size + writer.overhead()) << suite.name;
      const auto opened = reader.open(std::span(wire).first(*written));
      ASSERT_TRUE(opened) << suite.name << ' ' << size;
      ASSERT_EQ(opened->type, ContentType::kApplicationData);
      ASSERT_TRUE(std::ranges::equal(opened->content, part)) << suite.name << ' ' << size;
    }
  }
}

TEST(RecordProperties, EveryFlippedBitOfASmallRecordIsRefused) {
  for (const CipherSuite& suite : cipher_suites()) {
    ConnectionState writer = test::state_of(suite);
    ConnectionState reader = test::state_of(suite);
    const Bytes wire = test::sealed(writer, ContentType::kHandshake, test::content_of(50));
    for (std::size_t bit = 0; bit < 8 * wire.size(); ++bit) {
      Bytes forged = wire;
      forged[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
      ASSERT_FALSE(reader.open(forged)) << suite.name << ' ' << bit;
    }
    Bytes genuine = wire;
    EXPECT_TRUE(reader.open(genuine)) << suite.name;
  }
}

}  // namespace
}  // namespace tls
