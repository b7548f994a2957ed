// The key derivation functions against published vectors.
#include "userspace/crypto/kdf.h"

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "tests/vectors/vectors.h"

namespace tls {
namespace {

using vectors::Bytes;
using vectors::to_hex;

Bytes sequence_of(std::size_t size, std::uint8_t first) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(first + 7 * i);
  return bytes;
}

TEST(Tls12Prf, AgreesWithPublishedVectors) {
  for (const auto& line : vectors::read_lines("tls12_prf.jsonl")) {
    const auto hash =
        line.text("hash") == "sha384" ? HashAlgorithm::kSha384 : HashAlgorithm::kSha256;
    const Bytes expected = line.bytes("output");
    Bytes out(expected.size());
    ASSERT_TRUE(tls12_prf(hash, line.bytes("secret"), line.text("label"), line.bytes("seed"), out));
    EXPECT_EQ(to_hex(out), to_hex(expected)) << line.text("source");
  }
}

TEST(HkdfExpandLabel, AgreesWithTheTraceForAContext) {
  // RFC 8448 section 3: {server} derive secret "tls13 s ap traffic".
  const Bytes master =
      vectors::from_hex("18df06843d13a08bf2a449844c5f8a478001bc4d4c627984d5a41da8d0402919");
  const Bytes transcript =
      vectors::from_hex("9608102a0f1ccc6db6250b7b7e417b1a000eaada3daae4777a7686c9ff83df13");
  Bytes out(32);
  ASSERT_TRUE(hkdf_expand_label(HashAlgorithm::kSha256, master, "s ap traffic", transcript, out));
  EXPECT_EQ(to_hex(out), "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643");
}

TEST(HkdfExpandLabel, RefusesALabelThatDoesNotFitItsLengthByte) {
  const Bytes secret(32);
  Bytes out(32);
  const auto derived =
      hkdf_expand_label(HashAlgorithm::kSha256, secret, std::string(250, 'x'), {}, out);
  ASSERT_FALSE(derived);
  EXPECT_EQ(derived.error().code, ktls::ErrorCode::kCrypto);
}

TEST(Kdf, RefusesAnEmptySecret) {
  Bytes out(32);
  const auto of_13 = hkdf_expand_label(HashAlgorithm::kSha256, {}, "key", {}, out);
  ASSERT_FALSE(of_13);
  EXPECT_EQ(of_13.error().code, ktls::ErrorCode::kInvalidArgument);
  const auto of_12 = tls12_prf(HashAlgorithm::kSha256, {}, "key expansion", Bytes(64), out);
  ASSERT_FALSE(of_12);
  EXPECT_EQ(of_12.error().code, ktls::ErrorCode::kInvalidArgument);
  const auto of_10 = tls10_prf({}, "key expansion", Bytes(64), out);
  ASSERT_FALSE(of_10);
  EXPECT_EQ(of_10.error().code, ktls::ErrorCode::kInvalidArgument);
  EXPECT_EQ(out, Bytes(32));
}

void expect_invalid(const ktls::Result<void>& derived) {
  ASSERT_FALSE(derived);
  EXPECT_EQ(derived.error().code, ktls::ErrorCode::kInvalidArgument);
}

TEST(Tls12Prf, RefusesALongerSeedThanLibcryptoTakes) {
  Bytes out(32);
  EXPECT_TRUE(tls12_prf(HashAlgorithm::kSha256, Bytes(48), "", Bytes(1024), out));
  expect_invalid(tls12_prf(HashAlgorithm::kSha256, Bytes(48), "", Bytes(1025), out));
  EXPECT_TRUE(tls10_prf(Bytes(48), "key", Bytes(1021), out));
  expect_invalid(tls10_prf(Bytes(48), "key", Bytes(1022), out));
}

TEST(Kdf, SaysThatASizeIsTheCallersMistake) {
  Bytes out(32);
  expect_invalid(tls12_prf(HashAlgorithm::kSha256, Bytes(48), "", {}, out));
  expect_invalid(tls10_prf(Bytes(48), "", {}, out));
  expect_invalid(ssl3_prf(Bytes(48), Bytes(64), {}));
  expect_invalid(ssl2_key_material(Bytes(16), Bytes(16), Bytes(16), {}));
}

// RFC 5246 section 5, read anew: A(0) = seed, A(i) = HMAC(secret, A(i-1)), and the output is
// HMAC(secret, A(1) + seed) + HMAC(secret, A(2) + seed) + ...
Bytes p_hash(const EVP_MD* md, const Bytes& secret, const Bytes& seed, std::size_t size) {
  const auto hmac = [&](const Bytes& message) {
    Bytes out(static_cast<std::size_t>(EVP_MD_get_size(md)));
    EXPECT_NE(HMAC(md, secret.data(), static_cast<int>(secret.size()), message.data(),
                   message.size(), out.data(), nullptr),
              nullptr);
    return out;
  };
  Bytes out;
  for (Bytes a = hmac(seed); out.size() < size; a = hmac(a)) {
    Bytes message = a;
    message.insert(message.end(), seed.begin(), seed.end());
    const Bytes block = hmac(message);
    out.insert(out.end(), block.begin(), block.end());
  }
  out.resize(size);
  return out;
}

TEST(Tls10Prf, IsTheTwoHashesOverTheHalvesOfTheSecret) {
  const std::string label = "key expansion";
  const Bytes seed = sequence_of(64, 0x80);
  Bytes labelled(label.begin(), label.end());
  labelled.insert(labelled.end(), seed.begin(), seed.end());
  for (const std::size_t secret_size : {std::size_t{48}, std::size_t{47}, std::size_t{1}}) {
    const Bytes secret = sequence_of(secret_size, 3);
    // RFC 4346 section 5: "L_S1 = L_S2 = ceil(L_S / 2)", so that an odd one's middle is in both.
    const auto half = static_cast<std::ptrdiff_t>((secret_size + 1) / 2);
    for (const std::size_t size :
         {std::size_t{1}, std::size_t{12}, std::size_t{104}, std::size_t{136}}) {
      Bytes expected =
          p_hash(EVP_md5(), Bytes(secret.begin(), secret.begin() + half), labelled, size);
      const Bytes of_sha1 =
          p_hash(EVP_sha1(), Bytes(secret.end() - half, secret.end()), labelled, size);
      for (std::size_t i = 0; i < size; ++i) expected[i] ^= of_sha1[i];
      Bytes out(size);
      ASSERT_TRUE(tls10_prf(secret, label, seed, out));
      EXPECT_EQ(to_hex(out), to_hex(expected)) << secret_size << ' ' << size;
    }
  }
}

Bytes digest_of(const char* name, const std::vector<Bytes>& parts) {
  Bytes message;
  for (const Bytes& part : parts) message.insert(message.end(), part.begin(), part.end());
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> out{};
  std::size_t size = 0;
  EXPECT_EQ(EVP_Q_digest(nullptr, name, nullptr, message.data(), message.size(), out.data(), &size),
            1);
  return {out.begin(), out.begin() + static_cast<std::ptrdiff_t>(size)};
}

TEST(Ssl3Prf, IsMd5OverSha1WithOneLetterMoreEachRound) {
  const Bytes secret = sequence_of(48, 5);
  const Bytes seed = sequence_of(64, 9);
  Bytes expected;
  for (std::size_t round = 0; round < 26; ++round) {
    const Bytes letters(round + 1, static_cast<std::uint8_t>('A' + round));
    const Bytes block = digest_of("MD5", {secret, digest_of("SHA1", {letters, secret, seed})});
    expected.insert(expected.end(), block.begin(), block.end());
  }
  for (const std::size_t size :
       {std::size_t{1}, std::size_t{16}, std::size_t{17}, std::size_t{136}, std::size_t{416}}) {
    Bytes out(size);
    ASSERT_TRUE(ssl3_prf(secret, seed, out));
    EXPECT_TRUE(std::ranges::equal(out, std::span(expected).first(size))) << size;
  }
  Bytes out(417);
  expect_invalid(ssl3_prf(secret, seed, out));
}

TEST(Ssl2KeyMaterial, IsMd5WithADigitThatCounts) {
  const Bytes master = sequence_of(24, 5);
  const Bytes challenge = sequence_of(16, 9);
  const Bytes connection_id = sequence_of(32, 100);
  Bytes expected;
  for (std::uint8_t digit = '0'; digit <= '9'; ++digit) {
    const Bytes block = digest_of("MD5", {master, Bytes{digit}, challenge, connection_id});
    expected.insert(expected.end(), block.begin(), block.end());
  }
  for (const std::size_t size :
       {std::size_t{16}, std::size_t{32}, std::size_t{48}, std::size_t{160}}) {
    Bytes out(size);
    ASSERT_TRUE(ssl2_key_material(master, challenge, connection_id, out));
    EXPECT_TRUE(std::ranges::equal(out, std::span(expected).first(size))) << size;
  }
  Bytes out(161);
  expect_invalid(ssl2_key_material(master, challenge, connection_id, out));
}

TEST(HkdfExpandLabel, RefusesMoreOutputThanHkdfHas) {
  const Bytes secret(32);
  Bytes out(255 * 32 + 1);
  EXPECT_FALSE(hkdf_expand_label(HashAlgorithm::kSha256, secret, "key", {}, out));
}

}  // namespace
}  // namespace tls
