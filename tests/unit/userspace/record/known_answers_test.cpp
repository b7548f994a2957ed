// tlslite-ng's records for every suite here: what it wrote we write, and what it wrote we read.
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include "tests/unit/userspace/record/states.h"
#include "tests/vectors/vectors.h"
#include "userspace/record/record_layer.h"
#include "userspace/schedule/key_block.h"
#include "userspace/schedule/traffic_keys.h"

namespace tls {
namespace {

using vectors::Bytes;
using vectors::to_hex;
using vectors::Vector;

// Of all lines together.
constexpr std::size_t kRecords = 183;

const CipherSuite& suite_of(const Vector& line) {
  return *find_cipher_suite(static_cast<std::uint16_t>(line.hex_number("suite")));
}

// The keys that the side `role` writes with.
TrafficKeys write_keys_of(const Vector& line) {
  const bool is_client = line.text("role") == "client";
  if (suite_of(line).serves(ProtocolVersion::kTls13)) {
    const TrafficSecret secret(line.bytes(is_client ? "client_secret" : "server_secret"));
    return derive_traffic_keys(suite_of(line), secret).value();
  }
  KeyBlock block = derive_key_block(suite_of(line).version_max, suite_of(line),
                                    MasterSecret(line.bytes("master_secret")),
                                    line.bytes("client_random"), line.bytes("server_random"))
                       .value();
  return is_client ? std::move(block.client_write) : std::move(block.server_write);
}

std::uint64_t start_of(const Vector& line) {
  return line.has("start_seq") ? line.hex_number("start_seq") : 0;
}

// tlslite-ng's explicit nonce is the sequence number.
ConnectionState write_state_of(const Vector& line) {
  const CipherSuite& suite = suite_of(line);
  return ConnectionState::create(suite.version_max, suite, write_keys_of(line),
                                 {.sequence = start_of(line), .explicit_nonce = start_of(line)})
      .value();
}

ConnectionState updated_state_of(const Vector& line, const Vector& update) {
  TrafficKeys keys{.key = WriteKey(update.bytes("new_key")),
                   .iv = WriteIv(update.bytes("new_iv")),
                   .mac_key = {}};
  return ConnectionState::create(ProtocolVersion::kTls13, suite_of(line), std::move(keys)).value();
}

ContentType type_of(const Vector& record) {
  return static_cast<ContentType>(record.number("type"));
}

Bytes content_of(const Vector& record) {
  return test::content_of(record.number("len"), record.number("seed"));
}

bool is_clear(const Vector& record) {
  return record.has("encrypted") && !record.flag("encrypted");
}

std::string sha256_of(const Bytes& bytes) {
  std::array<std::uint8_t, 32> digest{};
  EXPECT_EQ(
      EVP_Q_digest(nullptr, "SHA256", nullptr, bytes.data(), bytes.size(), digest.data(), nullptr),
      1);
  return to_hex(digest);
}

void expect_wire(const Vector& record, const Bytes& wire, const std::string& id) {
  if (record.has("wire")) {
    EXPECT_EQ(to_hex(wire), record.text("wire")) << id;
  } else {
    EXPECT_EQ(wire.size(), record.number("wire_len")) << id;
    EXPECT_EQ(sha256_of(wire), record.text("wire_sha256")) << id;
  }
}

// Seals every record of `line`, compares it, and returns what was on the wire. A key update is an
// empty entry.
std::vector<Bytes> written(const Vector& line, std::size_t& compared) {
  std::vector<Bytes> wires;
  RecordLayer layer;
  layer.set_pending_write(write_state_of(line));
  EXPECT_TRUE(layer.change_write_state());
  for (const Vector& record : line.list("records")) {
    if (record.text("op") == "key_update") {
      layer.set_pending_write(updated_state_of(line, record));
      EXPECT_TRUE(layer.change_write_state());
      wires.emplace_back();
      continue;
    }
    const Bytes content = content_of(record);
    const Outgoing outgoing{.type = type_of(record),
                            .content = content,
                            .padding = record.has("pad") ? record.number("pad") : 0};
    Bytes wire(layer.sealed_record_size(outgoing));
    wire.resize(layer.seal_record(outgoing, wire).value());
    expect_wire(record, wire, line.text("id"));
    ++compared;
    wires.push_back(std::move(wire));
  }
  return wires;
}

TEST(KnownAnswers, RecordsAreSealedByteForByte) {
  std::size_t compared = 0;
  for (const Vector& line : vectors::read_lines("records.jsonl")) written(line, compared);
  EXPECT_EQ(compared, kRecords);
}

// Opens all that `rules` let pass. A type that they do not is the last of its line.
std::size_t read_all(const RecordRules& rules) {
  std::size_t sealed = 0;
  std::size_t opened = 0;
  for (const Vector& line : vectors::read_lines("records.jsonl")) {
    const std::vector<Vector> records = line.list("records");
    std::vector<Bytes> wires = written(line, sealed);
    RecordLayer layer(rules);
    layer.set_pending_read(write_state_of(line));
    EXPECT_TRUE(layer.change_read_state());
    for (std::size_t i = 0; i < wires.size(); ++i) {
      const Vector& record = records[i];
      if (record.text("op") == "key_update") {
        layer.set_pending_read(updated_state_of(line, record));
        EXPECT_TRUE(layer.change_read_state());
        continue;
      }
      // tlslite-ng passes a change_cipher_spec in the clear through at any time.
      if (is_clear(record) && !rules.takes_clear_records) continue;
      layer.feed(wires[i]);
      const auto next = layer.next_record();
      if (rules.checks_types && record.number("type") == 24) {  // heartbeat
        EXPECT_FALSE(next);
        if (next) return 0;
        EXPECT_EQ(next.error().code, ktls::ErrorCode::kUnexpectedMessage);
        EXPECT_EQ(i + 1, wires.size());
        continue;
      }
      EXPECT_TRUE(next) << line.text("id") << ' ' << i << ' ' << next.error().detail;
      if (!next) return 0;
      EXPECT_EQ(std::get<Record>(*next).type, type_of(record));
      EXPECT_TRUE(std::ranges::equal(std::get<Record>(*next).content, content_of(record)));
      ++opened;
    }
  }
  return opened;
}

TEST(KnownAnswers, RecordsAreOpened) {
  EXPECT_EQ(read_all(kStrictRules), 173U);
}

TEST(KnownAnswers, EveryRecordIsOpenedByOpenRules) {
  EXPECT_EQ(read_all(kOpenRules), kRecords);
}

TEST(KnownAnswers, KeyUpdateDerivesTheNextSecretAndItsKeys) {
  std::size_t updates = 0;
  for (const Vector& line : vectors::read_lines("records.jsonl")) {
    if (!suite_of(line).serves(ProtocolVersion::kTls13)) continue;
    TrafficSecret secret(
        line.bytes(line.text("role") == "client" ? "client_secret" : "server_secret"));
    for (const Vector& update : line.list("records")) {
      if (update.text("op") != "key_update") continue;
      secret = derive_next_traffic_secret(suite_of(line), secret).value();
      EXPECT_EQ(to_hex(secret.bytes()), update.text("new_secret"));
      const TrafficKeys keys = derive_traffic_keys(suite_of(line), secret).value();
      EXPECT_EQ(to_hex(keys.key.bytes()), update.text("new_key"));
      EXPECT_EQ(to_hex(keys.iv.bytes()), update.text("new_iv"));
      ++updates;
    }
  }
  EXPECT_EQ(updates, 6U);
}

TEST(KnownAnswers, SequenceNumbersEndWhereTlsliteEndsThem) {
  std::size_t ended = 0;
  for (const Vector& line : vectors::read_lines("records.jsonl")) {
    if (!line.has("after")) continue;
    ConnectionState writer = write_state_of(line);
    for (const Vector& record : line.list("records")) {
      (void)test::sealed(writer, type_of(record), content_of(record));
    }
    Bytes wire(100);
    EXPECT_EQ(
        writer.seal({.type = ContentType::kApplicationData, .content = {}}, wire).error().code,
        ktls::ErrorCode::kLimitReached);
    ++ended;
  }
  EXPECT_EQ(ended, 1U);
}

}  // namespace
}  // namespace tls
