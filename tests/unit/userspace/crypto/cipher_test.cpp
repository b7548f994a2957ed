// Block ciphers in CBC mode and stream ciphers, for every row of the table, and which of the rows
// this libcrypto has.
#include <algorithm>
#include <set>
#include <string>
#include <string_view>

#include <gtest/gtest.h>
#include <openssl/err.h>

#include "tests/vectors/vectors.h"
#include "userspace/crypto/cbc_cipher.h"
#include "userspace/crypto/constant_time_compare.h"
#include "userspace/crypto/evp_cipher.h"
#include "userspace/crypto/stream_cipher.h"

namespace tls {
namespace {

using ktls::ErrorCode;
using vectors::Bytes;
using vectors::from_hex;
using vectors::to_hex;

static_assert(!std::is_copy_constructible_v<CbcCipher> && !std::is_copy_assignable_v<CbcCipher>);
static_assert(!std::is_copy_constructible_v<StreamCipher>);

const BulkCipher& cipher_named(std::string_view name) {
  return *std::ranges::find(bulk_ciphers(), name, &BulkCipher::name);
}

Bytes key_of(const BulkCipher& cipher) {
  Bytes key(cipher.key_size);
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(17 * i + 5);
  return key;
}

// Debian 12's OpenSSL 3.0 is built without IDEA, and lacks Camellia's GCM and SM4's AEADs, which
// came to libcrypto later if at all: nothing else that a row names.
TEST(EvpCipher, OffersAllButTheNewestAndTheStrangest) {
  std::set<std::string_view> missing;
  for (const BulkCipher& cipher : bulk_ciphers()) {
    if (cipher.evp_name.empty()) continue;
    const auto evp = evp_cipher_of(cipher);
    if (evp) continue;
    EXPECT_EQ(evp.error().code, ErrorCode::kUnsupported);
    EXPECT_NE(evp.error().detail.find(cipher.evp_name), std::string::npos);
    missing.insert(cipher.name);
  }
  const std::set<std::string_view> may_be_missing = {"IDEA-CBC", "CAMELLIA-128-GCM",
                                                     "CAMELLIA-256-GCM", "SM4-GCM", "SM4-CCM"};
  EXPECT_TRUE(std::ranges::includes(may_be_missing, missing)) << testing::PrintToString(missing);
  RecordProperty("missing", testing::PrintToString(missing));
}

TEST(EvpCipher, ChecksASuiteByItsCipher) {
  for (const CipherSuite& suite : cipher_suites()) {
    const bool expected =
        suite.bulk_cipher->evp_name.empty() || evp_cipher_of(*suite.bulk_cipher).has_value();
    EXPECT_EQ(check_available(suite).has_value(), expected) << suite.name;
  }
}

TEST(EvpCipher, RefusesWhatNoRowNames) {
  BulkCipher unknown = cipher_named("AES-128-GCM");
  unknown.evp_name = "AES-128-OFB";
  const auto evp = evp_cipher_of(unknown);
  ASSERT_FALSE(evp);
  EXPECT_EQ(evp.error().code, ErrorCode::kUnsupported);
}

TEST(EvpCipher, LeavesTheErrorQueueAsItWas) {
  ERR_clear_error();
  for (const BulkCipher& cipher : bulk_ciphers()) (void)evp_cipher_of(cipher);
  EXPECT_EQ(ERR_peek_error(), 0U);
}

TEST(CbcCipher, DecryptsWhatItEncryptedInPlaceAndElsewhere) {
  int checked = 0;
  for (const BulkCipher& cipher : bulk_ciphers()) {
    if (cipher.kind != ProtectionKind::kCbc || !evp_cipher_of(cipher)) continue;
    SCOPED_TRACE(cipher.name);
    CbcCipher cbc = CbcCipher::create(cipher, key_of(cipher)).value();
    ASSERT_EQ(cbc.block_size(), cipher.block_size);
    const Bytes iv(cipher.block_size, 0x33);
    for (const std::size_t blocks : {0U, 1U, 2U, 7U, 64U}) {
      const Bytes plain(blocks * cipher.block_size, 0x61);
      Bytes ciphertext(plain.size());
      ASSERT_TRUE(cbc.encrypt(iv, plain, ciphertext));
      if (blocks != 0) {
        EXPECT_NE(ciphertext, plain);
      }
      Bytes in_place = plain;
      ASSERT_TRUE(cbc.encrypt(iv, in_place, in_place)) << "keeps no chain between calls";
      EXPECT_EQ(in_place, ciphertext);
      Bytes elsewhere(plain.size());
      ASSERT_TRUE(cbc.decrypt(iv, ciphertext, elsewhere));
      EXPECT_EQ(elsewhere, plain);
      ASSERT_TRUE(cbc.decrypt(iv, in_place, in_place));
      EXPECT_EQ(in_place, plain);
    }
    ++checked;
  }
  EXPECT_GE(checked, 10);
}

TEST(CbcCipher, ChainsFromCallToCallByItsIv) {
  for (const BulkCipher& cipher : bulk_ciphers()) {
    if (cipher.kind != ProtectionKind::kCbc || !evp_cipher_of(cipher)) continue;
    CbcCipher cbc = CbcCipher::create(cipher, key_of(cipher)).value();
    const std::size_t block = cipher.block_size;
    const Bytes iv(block, 0x33);
    const Bytes plain(4 * block, 0x61);
    Bytes whole(plain.size());
    ASSERT_TRUE(cbc.encrypt(iv, plain, whole));
    Bytes parts(plain.size());
    const std::span<std::uint8_t> first = std::span(parts).first(block);
    ASSERT_TRUE(cbc.encrypt(iv, std::span(plain).first(block), first));
    ASSERT_TRUE(
        cbc.encrypt(first, std::span(plain).subspan(block), std::span(parts).subspan(block)));
    EXPECT_EQ(parts, whole) << cipher.name;
  }
}

TEST(CbcCipher, AgreesWithNist) {
  // NIST SP 800-38A, F.2.1 CBC-AES128.Encrypt, first two blocks.
  CbcCipher cbc =
      CbcCipher::create(cipher_named("AES-128-CBC"), from_hex("2b7e151628aed2a6abf7158809cf4f3c"))
          .value();
  const Bytes plain = from_hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51");
  Bytes out(plain.size());
  ASSERT_TRUE(cbc.encrypt(from_hex("000102030405060708090a0b0c0d0e0f"), plain, out));
  EXPECT_EQ(to_hex(out), "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2");
}

TEST(CbcCipher, AgreesWithRfc2268ForOneHundredTwentyEightBits) {
  // RFC 2268 section 5: key 88bca90e90875a7f0f79c384627bafb2, effective key length 128.
  const BulkCipher& cipher = cipher_named("RC2-128-CBC");
  CbcCipher cbc = CbcCipher::create(cipher, from_hex("88bca90e90875a7f0f79c384627bafb2")).value();
  Bytes out(8);
  ASSERT_TRUE(cbc.encrypt(Bytes(8), Bytes(8), out));
  EXPECT_EQ(to_hex(out), "2269552ab0f85ca6");
}

TEST(CbcCipher, RefusesSizesThatDoNotFitAndOtherCiphers) {
  const BulkCipher& cipher = cipher_named("AES-128-CBC");
  for (const std::size_t size : {0U, 15U, 17U, 32U}) {
    const auto created = CbcCipher::create(cipher, Bytes(size));
    ASSERT_FALSE(created) << size;
    EXPECT_EQ(created.error().code, ErrorCode::kInvalidArgument);
  }
  CbcCipher cbc = CbcCipher::create(cipher, Bytes(16)).value();
  Bytes out(32);
  for (const auto& refused :
       {cbc.encrypt(Bytes(15), Bytes(32), out), cbc.encrypt(Bytes(16), Bytes(31), out),
        cbc.encrypt(Bytes(16), Bytes(16), out),
        cbc.decrypt(Bytes(16), Bytes(31), std::span(out).first(31))}) {
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  }
  for (const BulkCipher& other : bulk_ciphers()) {
    if (other.kind == ProtectionKind::kCbc) continue;
    const auto created = CbcCipher::create(other, Bytes(other.key_size));
    ASSERT_FALSE(created) << other.name;
    EXPECT_EQ(created.error().code, ErrorCode::kUnsupported) << other.name;
  }
}

TEST(StreamCipher, AgreesWithRfc6229AndRunsOn) {
  // RFC 6229 section 2, key 0x0102030405060708090a0b0c0d0e0f10, offsets 0 and 16.
  StreamCipher cipher =
      StreamCipher::create(cipher_named("RC4-128"), from_hex("0102030405060708090a0b0c0d0e0f10"))
          .value();
  Bytes stream(32);
  for (const std::size_t size : {1U, 0U, 15U, 16U}) {
    const std::size_t at = size == 1 ? 0 : size == 15 ? 1 : 16;
    const auto part = std::span(stream).subspan(size == 0 ? 1 : at, size);
    ASSERT_TRUE(cipher.apply(part, part));
  }
  EXPECT_EQ(to_hex(stream), "9ac7cc9a609d1ef7b2932899cde41b975248c4959014126a6e8a84f11d1a9e1c");
}

TEST(StreamCipher, RefusesSizesThatDoNotFitAndOtherCiphers) {
  const auto short_key = StreamCipher::create(cipher_named("RC4-128"), Bytes(15));
  ASSERT_FALSE(short_key);
  EXPECT_EQ(short_key.error().code, ErrorCode::kInvalidArgument);
  for (const BulkCipher& other : bulk_ciphers()) {
    if (other.kind == ProtectionKind::kStream) continue;
    const auto created = StreamCipher::create(other, Bytes(other.key_size));
    ASSERT_FALSE(created) << other.name;
    EXPECT_EQ(created.error().code, ErrorCode::kUnsupported) << other.name;
  }
}

TEST(SameBytes, ComparesSizeAndContent) {
  EXPECT_TRUE(same_bytes({}, {}));
  EXPECT_TRUE(same_bytes(Bytes{1, 2, 3}, Bytes{1, 2, 3}));
  EXPECT_FALSE(same_bytes(Bytes{1, 2, 3}, Bytes{1, 2}));
  EXPECT_FALSE(same_bytes(Bytes{1, 2}, Bytes{1, 2, 3}));
  for (std::size_t bit = 0; bit < 24; ++bit) {
    Bytes other = {1, 2, 3};
    other[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    EXPECT_FALSE(same_bytes(Bytes{1, 2, 3}, other));
  }
}

}  // namespace
}  // namespace tls
