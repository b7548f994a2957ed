// encode(), byte for byte, for every cipher and version.
#include "ktls/core/crypto_info.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <ostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace ktls {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes counting(std::uint8_t from, std::size_t size) {
  Bytes bytes(size);
  std::iota(bytes.begin(), bytes.end(), from);
  return bytes;
}

// Key 10 11 12 ..., IV a0 a1 a2 ..., explicit nonce e1 ... e8, sequence number c1 ... c8.
RecordKeys keys_of(Version version, Cipher cipher, std::size_t key_size, std::size_t iv_size) {
  RecordKeys keys;
  keys.version = version;
  keys.cipher = cipher;
  keys.key = RecordKey(counting(0x10, key_size));
  keys.iv = RecordIv(counting(0xa0, iv_size));
  keys.explicit_nonce = 0xe1e2e3e4e5e6e7e8;
  keys.sequence = 0xc1c2c3c4c5c6c7c8;
  return keys;
}

Bytes encoded(const RecordKeys& keys) {
  const auto info = encode(keys);
  if (!info) return {};
  return {info->bytes().begin(), info->bytes().end()};
}

// Header words are in host order; the tests below are written for the order of x86.
Bytes joined(std::initializer_list<Bytes> fields) {
  Bytes bytes;
  for (const Bytes& field : fields) bytes.insert(bytes.end(), field.begin(), field.end());
  return bytes;
}
Bytes header(std::uint16_t version, std::uint16_t cipher) {
  const std::array<std::uint16_t, 2> words{version, cipher};
  const auto* at = reinterpret_cast<const std::uint8_t*>(words.data());
  return {at, at + sizeof words};
}

const Bytes kSequence{0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8};
const Bytes kExplicit{0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8};

// The ciphers whose IV is a salt of 4 bytes and 8 more, by number and length of the key.
struct SaltedCipher {
  std::uint16_t number;
  std::size_t key_size;
};
constexpr std::array<SaltedCipher, 7> kSaltedCiphers{
    {{51, 16}, {52, 32}, {53, 16}, {55, 16}, {56, 16}, {57, 16}, {58, 32}}};

TEST(Encode, PutsTheImplicitIvIntoSaltForTls12) {
  for (const auto& [number, key_size] : kSaltedCiphers) {
    EXPECT_EQ(encoded(keys_of(Version::kTls12, static_cast<Cipher>(number), key_size, 4)),
              joined({header(0x0303, number), kExplicit, counting(0x10, key_size),
                      counting(0xa0, 4), kSequence}))
        << number;
  }
}

TEST(Encode, SplitsTheIvIntoSaltAndIvForTls13) {
  for (const auto& [number, key_size] : kSaltedCiphers) {
    if (number >= 57) continue;
    EXPECT_EQ(encoded(keys_of(Version::kTls13, static_cast<Cipher>(number), key_size, 12)),
              joined({header(0x0304, number), counting(0xa4, 8), counting(0x10, key_size),
                      counting(0xa0, 4), kSequence}))
        << number;
  }
}

TEST(Encode, RefusesAriaWithTls13) {
  for (const Cipher aria : {Cipher::kAria128Gcm, Cipher::kAria256Gcm}) {
    const auto keys = keys_of(Version::kTls13, aria, layout_of(aria).key_size, 12);
    EXPECT_EQ(encode(keys).error().code, ErrorCode::kInvalidArgument);
  }
}

TEST(Encode, GivesChaCha20TheWholeIvAndNoSaltInBothVersions) {
  for (const Version version : {Version::kTls12, Version::kTls13}) {
    EXPECT_EQ(encoded(keys_of(version, Cipher::kChaCha20Poly1305, 32, 12)),
              joined({header(static_cast<std::uint16_t>(version), 54), counting(0xa0, 12),
                      counting(0x10, 32), kSequence}));
  }
}

TEST(Encode, RefusesEveryOtherKeyAndIvLength) {
  for (const CipherLayout& layout : cipher_layouts()) {
    for (const Version version : {Version::kTls12, Version::kTls13}) {
      if (!layout.serves(version)) continue;
      const std::size_t iv_size = iv_size_of(version, layout.cipher);
      EXPECT_TRUE(encode(keys_of(version, layout.cipher, layout.key_size, iv_size)).has_value());
      for (std::size_t size = 0; size <= RecordKey::kCapacity; ++size) {
        if (size == layout.key_size) continue;
        const auto refused = encode(keys_of(version, layout.cipher, size, iv_size));
        ASSERT_FALSE(refused.has_value()) << layout.name << " key of " << size;
        EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
      }
      for (std::size_t size = 0; size <= RecordIv::kCapacity; ++size) {
        if (size == iv_size) continue;
        const auto refused = encode(keys_of(version, layout.cipher, layout.key_size, size));
        ASSERT_FALSE(refused.has_value()) << layout.name << " iv of " << size;
        EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
      }
    }
  }
}

TEST(Encode, RefusesVersionsAndCiphersThatAreNotEnumerators) {
  for (const std::uint16_t version : {std::uint16_t{0}, std::uint16_t{0x0302}}) {
    const auto keys = keys_of(static_cast<Version>(version), Cipher::kAes128Gcm, 16, 12);
    EXPECT_EQ(encode(keys).error().code, ErrorCode::kInvalidArgument);
  }
  for (const std::uint16_t cipher : {std::uint16_t{0}, std::uint16_t{50}, std::uint16_t{59}}) {
    const auto keys = keys_of(Version::kTls13, static_cast<Cipher>(cipher), 16, 12);
    EXPECT_EQ(encode(keys).error().code, ErrorCode::kInvalidArgument);
  }
}

TEST(Encode, LeavesTheKeysToTheirHolder) {
  const RecordKeys keys = keys_of(Version::kTls13, Cipher::kAes256Gcm, 32, 12);
  EXPECT_EQ(encoded(keys), encoded(keys));
  EXPECT_EQ(keys.key.size(), 32U);
}

TEST(CipherLayouts, AreInOrderAndFindThemselves) {
  const auto layouts = cipher_layouts();
  ASSERT_EQ(layouts.size(), kCipherCount);
  EXPECT_TRUE(std::ranges::is_sorted(layouts, {}, &CipherLayout::cipher));
  for (const CipherLayout& layout : layouts) EXPECT_EQ(&layout_of(layout.cipher), &layout);
}

TEST(CipherLayouts, SayHowLongTheIvIs) {
  for (const CipherLayout& layout : cipher_layouts()) {
    EXPECT_EQ(iv_size_of(Version::kTls12, layout.cipher),
              layout.cipher == Cipher::kChaCha20Poly1305 ? 12U : 4U)
        << layout.name;
    EXPECT_EQ(iv_size_of(Version::kTls13, layout.cipher), 12U) << layout.name;
  }
}

TEST(CipherLayoutsDeathTest, HaveNoRowForANumberThatIsNoCipher) {
  EXPECT_DEATH(static_cast<void>(layout_of(static_cast<Cipher>(50))), "");
}

}  // namespace
}  // namespace ktls
