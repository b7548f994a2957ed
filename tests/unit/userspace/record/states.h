// Connection states with fixed keys, content with a pattern, and records of any inside, for the
// tests of this room.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "ktls/base/endian.h"
#include "userspace/crypto/aead.h"
#include "userspace/record/aead_nonce.h"
#include "userspace/record/connection_state.h"
#include "userspace/record/record_header.h"
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

// Keys that differ from `seed` to `seed`.
inline TrafficKeys keys_of(const CipherSuite& suite, std::uint8_t seed = 1) {
  const std::size_t iv_size = suite.version == ProtocolVersion::kTls13
                                  ? kAeadNonceSize
                                  : suite.bulk_cipher->fixed_iv_size_12;
  return {.key = ktls::RecordKey(Bytes(suite.bulk_cipher->key_size, seed)),
          .iv = ktls::RecordIv(Bytes(iv_size, static_cast<std::uint8_t>(seed + 1)))};
}

inline ConnectionState state_of(const CipherSuite& suite, std::uint64_t sequence = 0,
                                std::uint64_t explicit_nonce = 0, std::uint8_t seed = 1) {
  return ConnectionState::create(suite, keys_of(suite, seed), sequence, explicit_nonce).value();
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
inline Bytes sealed(ConnectionState& state, ContentType type,
                    std::span<const std::uint8_t> content) {
  Bytes wire(content.size() + state.overhead());
  wire.resize(state.seal(type, content, wire).value());
  return wire;
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
