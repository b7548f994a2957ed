// Connection states with fixed keys, content with a pattern, and records of any inside, for the
// tests of this room.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <ostream>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "ktls/base/endian.h"
#include "userspace/crypto/aead.h"
#include "userspace/crypto/cbc_cipher.h"
#include "userspace/crypto/evp_cipher.h"
#include "userspace/record/aead_nonce.h"
#include "userspace/record/connection_state.h"
#include "userspace/record/record_header.h"
#include "userspace/record/record_layer.h"
#include "userspace/suite/alert.h"
#include "userspace/suite/cipher_suite.h"

namespace tls::test {

using Bytes = std::vector<std::uint8_t>;

inline const CipherSuite& suite_of(std::uint16_t id) {
  return *find_cipher_suite(id);
}

// TLS 1.3 and 1.2 with each nonce construction.
inline constexpr std::uint16_t kAes128Gcm13 = 0x1301;
inline constexpr std::uint16_t kAes128Gcm12 = 0xC02F;
inline constexpr std::uint16_t kChaCha12 = 0xCCA8;

// One way to protect records: a row of the table in one of its versions.
struct Use {
  const CipherSuite* suite;
  ProtocolVersion version;
  bool encrypt_then_mac = false;

  [[nodiscard]] ProtectionKind kind() const { return suite->bulk_cipher->kind; }
  [[nodiscard]] bool is_ssl2() const { return version == ProtocolVersion::kSsl2; }
  // Whose padding nothing authenticates.
  [[nodiscard]] bool is_ssl3_padded() const {
    return version == ProtocolVersion::kSsl3 && kind() == ProtectionKind::kCbc && !encrypt_then_mac;
  }
};

inline std::ostream& operator<<(std::ostream& out, const Use& use) {
  return out << name_of(use.version) << ' ' << use.suite->name
             << (use.encrypt_then_mac ? " encrypt-then-MAC" : "");
}

// A suite of the handshake, which serves one version.
inline Use use_of(const CipherSuite& suite) {
  return {&suite, suite.version_max};
}

inline constexpr std::array kProtocolVersions = {ProtocolVersion::kSsl2,  ProtocolVersion::kSsl3,
                                                 ProtocolVersion::kTls10, ProtocolVersion::kTls11,
                                                 ProtocolVersion::kTls12, ProtocolVersion::kTls13};

// All that the tables allow and this libcrypto can do, SSLv2 first.
inline std::vector<Use> every_use() {
  std::vector<Use> uses;
  for (const Ssl2CipherKind& kind : ssl2_cipher_kinds()) {
    if (check_available(*kind.suite)) uses.push_back({kind.suite, ProtocolVersion::kSsl2});
  }
  for (const CipherSuite& suite : cipher_suites()) {
    if (!check_available(suite)) continue;
    for (const ProtocolVersion version : kProtocolVersions) {
      if (!suite.serves(version)) continue;
      uses.push_back({&suite, version});
      if (suite.bulk_cipher->kind == ProtectionKind::kCbc) uses.push_back({&suite, version, true});
    }
  }
  return uses;
}

// The same without rows that protect records as another does, and differ in the handshake only.
inline std::vector<Use> distinct_uses() {
  std::vector<Use> uses;
  for (const Use& use : every_use()) {
    const bool is_new = std::ranges::none_of(uses, [&](const Use& other) {
      return other.suite->bulk_cipher == use.suite->bulk_cipher && other.version == use.version &&
             other.suite->mac == use.suite->mac && other.encrypt_then_mac == use.encrypt_then_mac;
    });
    if (is_new) uses.push_back(use);
  }
  return uses;
}

// Keys that differ from `seed` to `seed`.
inline TrafficKeys keys_of(const Use& use, std::uint8_t seed = 1) {
  const BulkCipher& cipher = *use.suite->bulk_cipher;
  const bool is_13 = use.version == ProtocolVersion::kTls13;
  const std::size_t mac_key_size = use.suite->mac && !use.is_ssl2() ? size_of(*use.suite->mac) : 0;
  // Not one byte repeated: 3DES would be DES with it, and DES its own inverse.
  Bytes key(cipher.key_size);
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(seed + 3 * i);
  return {.key = WriteKey(key),
          .iv = WriteIv(Bytes(is_13 ? iv_size_13(cipher) : cipher.iv_size,
                              static_cast<std::uint8_t>(seed + 1))),
          .mac_key = MacKey(Bytes(mac_key_size, static_cast<std::uint8_t>(seed + 2)))};
}
inline TrafficKeys keys_of(const CipherSuite& suite, std::uint8_t seed = 1) {
  return keys_of(use_of(suite), seed);
}

// What CBC records of TLS 1.1 and later start with, before its encryption.
inline constexpr std::array<std::uint8_t, kBlockSizeMax> kFixedIvBlock = {
    0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe, 1, 2, 3, 5, 8, 13, 21, 34};
inline std::span<const std::uint8_t> fixed_iv_block_of(const Use& use) {
  const bool has_one = use.version >= ProtocolVersion::kTls11;
  return std::span(kFixedIvBlock).first(has_one ? use.suite->bulk_cipher->block_size : 0);
}

inline StateStart start_of(const Use& use, std::uint64_t sequence = 0,
                           std::uint64_t explicit_nonce = 0) {
  return {.sequence = sequence,
          .explicit_nonce = explicit_nonce,
          .encrypt_then_mac = use.encrypt_then_mac,
          .fixed_iv_block = fixed_iv_block_of(use)};
}

inline ConnectionState state_of(const Use& use, std::uint64_t sequence = 0,
                                std::uint64_t explicit_nonce = 0, std::uint8_t seed = 1) {
  return ConnectionState::create(use.version, *use.suite, keys_of(use, seed),
                                 start_of(use, sequence, explicit_nonce))
      .value();
}
inline ConnectionState state_of(const CipherSuite& suite, std::uint64_t sequence = 0,
                                std::uint64_t explicit_nonce = 0, std::uint8_t seed = 1) {
  return state_of(use_of(suite), sequence, explicit_nonce, seed);
}

// A layer that reads, or writes, or both, with `state_of(use)`. SSLv2's records need open rules.
inline const RecordRules& rules_of(const Use& use) {
  return use.is_ssl2() ? kOpenRules : kStrictRules;
}
inline RecordLayer reader_of(const Use& use, std::uint64_t sequence = 0) {
  RecordLayer layer(rules_of(use));
  if (use.is_ssl2()) layer.set_version(static_cast<std::uint16_t>(use.version));
  layer.set_pending_read(state_of(use, sequence));
  EXPECT_TRUE(layer.change_read_state());
  if (use.is_ssl2()) {
    // A change of keys goes on counting, so there the number comes after it.
    layer.read_state()->set_sequence_unsafely(sequence);
    layer.set_handshake_finished(true);
  }
  return layer;
}
inline RecordLayer reader_of(const CipherSuite& suite, std::uint64_t sequence = 0) {
  return reader_of(use_of(suite), sequence);
}

// The pattern of records.jsonl: no two neighbours alike, no short period.
inline Bytes content_of(std::size_t size, std::size_t seed = 0) {
  Bytes content(size);
  for (std::size_t i = 0; i < size; ++i) {
    content[i] = static_cast<std::uint8_t>(seed + 7 * i + (i >> 8));
  }
  return content;
}

// One sealed record.
inline Bytes sealed(ConnectionState& state, const Outgoing& outgoing) {
  Bytes wire(state.sealed_size(outgoing.content.size(), outgoing.padding));
  EXPECT_EQ(state.seal(outgoing, wire).value(), wire.size());
  return wire;
}
inline Bytes sealed(ConnectionState& state, ContentType type,
                    std::span<const std::uint8_t> content) {
  return sealed(state, {.type = type, .content = content});
}

// A whole record, taken apart.
struct Parts {
  RecordHeader header;
  std::span<std::uint8_t> body;
};
inline Parts parts_of(ProtocolVersion version, std::span<std::uint8_t> record) {
  if (version == ProtocolVersion::kSsl2) {
    const std::size_t size = header_size_of(record[0]);
    return {decode_ssl2_header(record.first(size)).value(), record.subspan(size)};
  }
  return {decode_record_header(record.first<kRecordHeaderSize>()),
          record.subspan(kRecordHeaderSize)};
}

// Opens a whole record in place.
inline ktls::Result<Opened> opened(ConnectionState& state, std::span<std::uint8_t> record) {
  const auto [header, body] = parts_of(state.version(), record);
  return state.open(header, body);
}

// What a layer with the strict rules makes of one record, as the first under its keys.
struct Read {
  ContentType type;
  Bytes content;
};
inline ktls::Result<Read> read_strictly(const CipherSuite& suite, Bytes record) {
  RecordLayer layer = reader_of(suite);
  layer.feed(record);
  auto next = layer.next_record();
  if (!next) return ktls::fail(std::move(next).error());
  const auto& read = std::get<Record>(*next);
  return Read{read.type, Bytes(read.content.begin(), read.content.end())};
}

inline void expect_refused(const CipherSuite& suite, const Bytes& record, ktls::ErrorCode code,
                           AlertDescription alert) {
  const auto read = read_strictly(suite, record);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, code) << read.error().detail;
  EXPECT_EQ(read.error().alert, code_of(alert)) << read.error().detail;
}

inline Bytes with_header(std::uint8_t type, std::uint16_t version, Bytes body) {
  Bytes record(kRecordHeaderSize);
  encode_record_header(
      {.type = static_cast<ContentType>(type), .version = version, .body_size = body.size()},
      std::span(record).first<kRecordHeaderSize>());
  record.insert(record.end(), body.begin(), body.end());
  return record;
}

// A TLS 1.3 record with keys_of(suite), number 0, that holds exactly `inner`, legal or not.
inline Bytes record_13_of(const CipherSuite& suite, const Bytes& inner) {
  const TrafficKeys keys = keys_of(suite);
  Aead aead = Aead::create(*suite.bulk_cipher, keys.key.bytes()).value();
  Bytes record = with_header(23, kRecordVersion, Bytes(inner.size() + aead.tag_size()));
  const std::span<std::uint8_t> wire = record;
  EXPECT_TRUE(aead.seal(nonce_of(keys.iv.bytes(), 0), wire.first(kRecordHeaderSize), inner, {},
                        wire.subspan(kRecordHeaderSize)));
  return record;
}

// A TLS 1.2 ChaCha20 record with keys_of(suite), number 0, of any type and size.
inline Bytes record_12_of(const CipherSuite& suite, std::uint8_t type, const Bytes& content) {
  const TrafficKeys keys = keys_of(suite);
  Aead aead = Aead::create(*suite.bulk_cipher, keys.key.bytes()).value();
  Bytes data(sizeof(std::uint64_t));
  const Bytes header = with_header(type, kRecordVersion, Bytes(content.size()));
  data.insert(data.end(), header.begin(), header.begin() + kRecordHeaderSize);
  Bytes body(content.size() + aead.tag_size());
  EXPECT_TRUE(aead.seal(nonce_of(keys.iv.bytes(), 0), data, content, {}, body));
  return with_header(type, kRecordVersion, std::move(body));
}

}  // namespace tls::test
