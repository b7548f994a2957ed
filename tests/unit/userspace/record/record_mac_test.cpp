// MACs before AEADs, against the standards' words, and the same MACs where the size is a secret.
#include "userspace/record/record_mac.h"

#include <array>
#include <string>
#include <type_traits>
#include <vector>

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "tests/unit/userspace/record/states.h"
#include "tests/vectors/vectors.h"

namespace tls {
namespace {

using ktls::ErrorCode;
using test::Bytes;
using vectors::to_hex;

static_assert(!std::is_copy_constructible_v<RecordMac>);

constexpr std::uint64_t kSequence = 0x0102030405060708;
constexpr std::array kVersions = {ProtocolVersion::kSsl3, ProtocolVersion::kTls10,
                                  ProtocolVersion::kTls11, ProtocolVersion::kTls12};
constexpr std::array kHashes = {HashAlgorithm::kMd5, HashAlgorithm::kSha1, HashAlgorithm::kSha256,
                                HashAlgorithm::kSha384};

bool has(ProtocolVersion version, HashAlgorithm hash) {
  return version != ProtocolVersion::kSsl3 || hash == HashAlgorithm::kMd5 ||
         hash == HashAlgorithm::kSha1;
}

MacKey key_of(HashAlgorithm hash) {
  return MacKey(test::content_of(size_of(hash), 0x42));
}

RecordMac mac_of(ProtocolVersion version, HashAlgorithm hash) {
  return RecordMac::create(version, hash, key_of(hash)).value();
}

const EVP_MD* evp_of(HashAlgorithm hash) {
  return EVP_get_digestbyname(std::string(name_of(hash)).c_str());
}

void append(Bytes& to, std::span<const std::uint8_t> bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

Bytes header_of(ProtocolVersion version, ContentType type, std::size_t size) {
  Bytes header = {1, 2, 3, 4, 5, 6, 7, 8, static_cast<std::uint8_t>(type)};
  if (version != ProtocolVersion::kSsl3) {
    append(header, Bytes{3, static_cast<std::uint8_t>(static_cast<unsigned>(version) & 0xffU)});
  }
  append(header, Bytes{static_cast<std::uint8_t>(size >> 8), static_cast<std::uint8_t>(size)});
  return header;
}

Bytes digest(const EVP_MD* md, const Bytes& message) {
  Bytes out(static_cast<std::size_t>(EVP_MD_get_size(md)));
  EXPECT_EQ(EVP_Digest(message.data(), message.size(), out.data(), nullptr, md, nullptr), 1);
  return out;
}

// RFC 5246 section 6.2.3.1 and RFC 6101 section 5.2.3.1, read anew.
Bytes expected_mac(ProtocolVersion version, HashAlgorithm hash, ContentType type,
                   const Bytes& content) {
  const EVP_MD* const md = evp_of(hash);
  const MacKey key = key_of(hash);
  Bytes message = header_of(version, type, content.size());
  append(message, content);
  if (version != ProtocolVersion::kSsl3) {
    Bytes out(key.size());
    EXPECT_NE(HMAC(md, key.bytes().data(), static_cast<int>(key.size()), message.data(),
                   message.size(), out.data(), nullptr),
              nullptr);
    return out;
  }
  const std::size_t pad_size = hash == HashAlgorithm::kMd5 ? 48 : 40;
  Bytes inner(key.bytes().begin(), key.bytes().end());
  append(inner, Bytes(pad_size, 0x36));
  append(inner, message);
  Bytes outer(key.bytes().begin(), key.bytes().end());
  append(outer, Bytes(pad_size, 0x5c));
  append(outer, digest(md, inner));
  return digest(md, outer);
}

TEST(RecordMac, IsWhatTheStandardsSay) {
  for (const ProtocolVersion version : kVersions) {
    for (const HashAlgorithm hash : kHashes) {
      if (!has(version, hash)) continue;
      RecordMac mac = mac_of(version, hash);
      ASSERT_EQ(mac.size(), size_of(hash));
      for (const std::size_t size : {0U, 1U, 55U, 64U, 300U, 16384U}) {
        const Bytes content = test::content_of(size);
        Bytes out(mac.size());
        ASSERT_TRUE(mac.compute(kSequence, ContentType::kAlert, content, out));
        EXPECT_EQ(to_hex(out), to_hex(expected_mac(version, hash, ContentType::kAlert, content)))
            << name_of(version) << ' ' << name_of(hash) << ' ' << size;
      }
    }
  }
}

TEST(RecordMac, ComputesSecretlyWhatItComputesOpenly) {
  for (const ProtocolVersion version : kVersions) {
    for (const HashAlgorithm hash : kHashes) {
      if (!has(version, hash)) continue;
      RecordMac mac = mac_of(version, hash);
      // SSLv3 pads to the next block of 16 bytes, TLS by anything.
      const std::size_t padding_max = version == ProtocolVersion::kSsl3 ? 16 : 255;
      for (const std::size_t record_size : {mac.size() + 1, std::size_t{64}, std::size_t{129},
                                            std::size_t{512}, std::size_t{16384 + 300}}) {
        const Bytes record = test::content_of(record_size, 3);
        const std::size_t largest = record_size - mac.size() - 1;
        const std::size_t smallest = largest < padding_max ? 0 : largest - padding_max;
        for (std::size_t size = smallest; size <= largest; ++size) {
          const Bytes content(record.begin(), record.begin() + static_cast<std::ptrdiff_t>(size));
          Bytes openly(mac.size());
          ASSERT_TRUE(mac.compute(kSequence, ContentType::kHandshake, content, openly));
          Bytes secretly(mac.size(), 0xEE);
          ASSERT_TRUE(mac.compute_secretly(kSequence, ContentType::kHandshake, record, size,
                                           padding_max, secretly));
          ASSERT_EQ(to_hex(secretly), to_hex(openly))
              << name_of(version) << ' ' << name_of(hash) << ' ' << record_size << ' ' << size;
        }
      }
    }
  }
}

TEST(RecordMac, EverythingInItCounts) {
  for (const ProtocolVersion version : kVersions) {
    RecordMac mac = mac_of(version, HashAlgorithm::kSha1);
    const auto computed = [&](std::uint64_t sequence, ContentType type, const Bytes& content) {
      Bytes out(mac.size());
      EXPECT_TRUE(mac.compute(sequence, type, content, out));
      return out;
    };
    const Bytes base = computed(1, ContentType::kAlert, {1, 2});
    EXPECT_EQ(computed(1, ContentType::kAlert, {1, 2}), base);
    EXPECT_NE(computed(2, ContentType::kAlert, {1, 2}), base);
    EXPECT_NE(computed(1ULL << 32 | 1, ContentType::kAlert, {1, 2}), base);
    EXPECT_NE(computed(1, ContentType::kHandshake, {1, 2}), base);
    EXPECT_NE(computed(1, ContentType::kAlert, {1, 3}), base);
    EXPECT_NE(computed(1, ContentType::kAlert, {1}), base);
  }
}

TEST(RecordMac, RefusesKeysOfAnotherSizeAndHashesThatSslv3HasNot) {
  for (const ProtocolVersion version : kVersions) {
    for (const HashAlgorithm hash : kHashes) {
      for (const std::size_t size : {std::size_t{0}, size_of(hash) - 1}) {
        const auto created = RecordMac::create(version, hash, MacKey::with_size(size));
        ASSERT_FALSE(created);
        EXPECT_EQ(created.error().code, ErrorCode::kInvalidArgument);
      }
      const auto created = RecordMac::create(version, hash, key_of(hash));
      ASSERT_EQ(created.has_value(), has(version, hash));
      if (!created) {
        EXPECT_EQ(created.error().code, ErrorCode::kUnsupported);
      }
    }
  }
}

}  // namespace
}  // namespace tls
