// RFC 8448's records, byte for byte, from traffic secret to wire and back.
#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "tests/vectors/vectors.h"
#include "userspace/record/record_layer.h"
#include "userspace/schedule/traffic_keys.h"

namespace tls {
namespace {

using vectors::Bytes;
using vectors::to_hex;

ConnectionState state_of(const vectors::Vector& line) {
  const CipherSuite& suite = *find_cipher_suite(0x1301);
  TrafficKeys keys = derive_traffic_keys(suite, TrafficSecret(line.bytes("secret"))).value();
  return ConnectionState::create(ProtocolVersion::kTls13, suite, std::move(keys)).value();
}

ContentType type_of(const vectors::Vector& record) {
  return static_cast<ContentType>(record.number("type"));
}

TEST(Rfc8448, RecordsAreSealedByteForByte) {
  std::size_t records = 0;
  for (const auto& line : vectors::read_lines("rfc8448.jsonl")) {
    RecordLayer layer;
    layer.set_pending_write(state_of(line));
    ASSERT_TRUE(layer.change_write_state());
    for (const auto& record : line.list("records")) {
      const Bytes content = record.bytes("content");
      Bytes wire(layer.sealed_size(content.size()));
      ASSERT_EQ(layer.seal(type_of(record), content, wire), wire.size());
      EXPECT_EQ(to_hex(wire), record.text("wire")) << line.text("name");
      ++records;
    }
  }
  EXPECT_EQ(records, 15U);
}

TEST(Rfc8448, RecordsAreOpened) {
  std::set<ContentType> types;
  for (const auto& line : vectors::read_lines("rfc8448.jsonl")) {
    RecordLayer layer;
    layer.set_pending_read(state_of(line));
    ASSERT_TRUE(layer.change_read_state());
    Bytes wire;
    for (const auto& record : line.list("records")) {
      const Bytes bytes = record.bytes("wire");
      wire.insert(wire.end(), bytes.begin(), bytes.end());
    }
    layer.feed(wire);
    for (const auto& record : line.list("records")) {
      const auto next = layer.next_record();
      ASSERT_TRUE(next) << next.error().detail;
      const auto& opened = std::get<Record>(*next);
      EXPECT_EQ(opened.type, type_of(record));
      EXPECT_EQ(to_hex(opened.content), record.text("content"));
      types.insert(opened.type);
    }
    EXPECT_TRUE(layer.unread().empty());
  }
  EXPECT_EQ(types.size(), 3U);
}

}  // namespace
}  // namespace tls
