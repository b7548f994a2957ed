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

using nlohmann::json;
using vectors::Bytes;
using vectors::bytes_of;
using vectors::to_hex;

const CipherSuite& suite_of(const json& line) {
  return *find_cipher_suite(
      static_cast<std::uint16_t>(std::stoul(line.at("suite").get<std::string>(), nullptr, 16)));
}

// The keys that the side `role` writes with.
TrafficKeys write_keys_of(const json& line) {
  const bool is_client = line.at("role") == "client";
  if (suite_of(line).version == ProtocolVersion::kTls13) {
    const TrafficSecret secret(bytes_of(line, is_client ? "client_secret" : "server_secret"));
    return derive_traffic_keys(suite_of(line), secret).value();
  }
  KeyBlock block =
      derive_key_block(suite_of(line), MasterSecret(bytes_of(line, "master_secret")),
                       bytes_of(line, "client_random"), bytes_of(line, "server_random"))
          .value();
  return is_client ? std::move(block.client_write) : std::move(block.server_write);
}

std::uint64_t start_of(const json& line) {
  if (!line.contains("start_seq")) return 0;
  return std::stoull(line.at("start_seq").get<std::string>(), nullptr, 16);
}

// tlslite-ng's explicit nonce is the sequence number.
ConnectionState write_state_of(const json& line) {
  return ConnectionState::create(suite_of(line), write_keys_of(line), start_of(line),
                                 start_of(line))
      .value();
}

ConnectionState updated_state_of(const json& line, const json& update) {
  TrafficKeys keys{.key = ktls::RecordKey(bytes_of(update, "new_key")),
                   .iv = ktls::RecordIv(bytes_of(update, "new_iv"))};
  return ConnectionState::create(suite_of(line), std::move(keys), 0, 0).value();
}

ContentType type_of(const json& record) {
  return static_cast<ContentType>(record.at("type").get<int>());
}

Bytes content_of(const json& record) {
  return test::content_of(record.at("len").get<std::size_t>(),
                          record.at("seed").get<std::size_t>());
}

bool is_clear(const json& record) {
  return !record.value("encrypted", true);
}

std::string sha256_of(const Bytes& bytes) {
  std::array<std::uint8_t, 32> digest{};
  EXPECT_EQ(
      EVP_Q_digest(nullptr, "SHA256", nullptr, bytes.data(), bytes.size(), digest.data(), nullptr),
      1);
  return to_hex(digest);
}

void expect_wire(const json& record, const Bytes& wire, const json& id) {
  if (record.contains("wire")) {
    EXPECT_EQ(to_hex(wire), record.at("wire")) << id;
  } else {
    EXPECT_EQ(wire.size(), record.at("wire_len").get<std::size_t>()) << id;
    EXPECT_EQ(sha256_of(wire), record.at("wire_sha256")) << id;
  }
}

// Seals every record of `line`, compares it, and returns what was on the wire, the padded ones
// (which this layer reads, but does not write) from the vector. A key update is an empty entry.
std::vector<Bytes> written(const json& line, std::size_t& compared) {
  std::vector<Bytes> wires;
  ConnectionState writer = write_state_of(line);
  for (const json& record : line.at("records")) {
    if (record.at("op") == "key_update") {
      writer = updated_state_of(line, record);
      wires.emplace_back();
    } else if (is_clear(record)) {
      wires.push_back(bytes_of(record, "wire"));
    } else {
      Bytes wire = test::sealed(writer, type_of(record), content_of(record));
      if (record.value("pad", 0) != 0) {
        wire = bytes_of(record, "wire");
      } else {
        expect_wire(record, wire, line.at("id"));
        ++compared;
      }
      wires.push_back(std::move(wire));
    }
  }
  return wires;
}

TEST(KnownAnswers, RecordsAreSealedByteForByte) {
  std::size_t compared = 0;
  for (const json& line : vectors::read_lines("records.jsonl")) written(line, compared);
  EXPECT_EQ(compared, 154U);
}

TEST(KnownAnswers, RecordsAreOpened) {
  std::size_t sealed = 0;
  std::size_t opened = 0;
  for (const json& line : vectors::read_lines("records.jsonl")) {
    std::vector<Bytes> wires = written(line, sealed);
    RecordLayer layer;
    layer.set_pending_read(write_state_of(line));
    ASSERT_TRUE(layer.change_read_state());
    for (std::size_t i = 0; i < wires.size(); ++i) {
      const json& record = line.at("records").at(i);
      if (record.at("op") == "key_update") {
        layer.set_pending_read(updated_state_of(line, record));
        ASSERT_TRUE(layer.change_read_state());
        continue;
      }
      // tlslite-ng passes a change_cipher_spec in the clear through at any time.
      if (is_clear(record)) continue;
      layer.feed(wires[i]);
      const auto next = layer.next_record();
      if (record.at("type") == 24) {  // heartbeat, in the end of some lines
        ASSERT_FALSE(next);
        EXPECT_EQ(next.error().code, ktls::ErrorCode::kUnexpectedMessage);
        ASSERT_EQ(i + 1, wires.size());
        continue;
      }
      ASSERT_TRUE(next) << line.at("id") << ' ' << i << ' ' << next.error().detail;
      EXPECT_EQ(std::get<Record>(*next).type, type_of(record));
      EXPECT_TRUE(std::ranges::equal(std::get<Record>(*next).content, content_of(record)));
      ++opened;
    }
  }
  EXPECT_EQ(opened, 173U);
}

TEST(KnownAnswers, KeyUpdateDerivesTheNextSecretAndItsKeys) {
  std::size_t updates = 0;
  for (const json& line : vectors::read_lines("records.jsonl")) {
    if (suite_of(line).version != ProtocolVersion::kTls13) continue;
    TrafficSecret secret(
        bytes_of(line, line.at("role") == "client" ? "client_secret" : "server_secret"));
    for (const json& update : line.at("records")) {
      if (update.at("op") != "key_update") continue;
      secret = derive_next_traffic_secret(suite_of(line), secret).value();
      EXPECT_EQ(to_hex(secret.bytes()), update.at("new_secret"));
      const TrafficKeys keys = derive_traffic_keys(suite_of(line), secret).value();
      EXPECT_EQ(to_hex(keys.key.bytes()), update.at("new_key"));
      EXPECT_EQ(to_hex(keys.iv.bytes()), update.at("new_iv"));
      ++updates;
    }
  }
  EXPECT_EQ(updates, 6U);
}

TEST(KnownAnswers, SequenceNumbersEndWhereTlsliteEndsThem) {
  std::size_t ended = 0;
  for (const json& line : vectors::read_lines("records.jsonl")) {
    if (!line.contains("after")) continue;
    ConnectionState writer = write_state_of(line);
    for (const json& record : line.at("records")) {
      (void)test::sealed(writer, type_of(record), content_of(record));
    }
    Bytes wire(100);
    EXPECT_EQ(writer.seal(ContentType::kApplicationData, {}, wire).error().code,
              ktls::ErrorCode::kLimitReached);
    ++ended;
  }
  EXPECT_EQ(ended, 1U);
}

}  // namespace
}  // namespace tls
