// The key derivation functions against published vectors.
#include "userspace/crypto/kdf.h"

#include <string>

#include <gtest/gtest.h>

#include "tests/vectors/vectors.h"

namespace tls {
namespace {

using vectors::Bytes;
using vectors::to_hex;

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
  EXPECT_EQ(out, Bytes(32));
}

TEST(Tls12Prf, RefusesALongerSeedThanLibcryptoTakes) {
  Bytes out(32);
  EXPECT_TRUE(tls12_prf(HashAlgorithm::kSha256, Bytes(48), "", Bytes(1024), out));
  EXPECT_FALSE(tls12_prf(HashAlgorithm::kSha256, Bytes(48), "", Bytes(1025), out));
}

TEST(HkdfExpandLabel, RefusesMoreOutputThanHkdfHas) {
  const Bytes secret(32);
  Bytes out(255 * 32 + 1);
  EXPECT_FALSE(hkdf_expand_label(HashAlgorithm::kSha256, secret, "key", {}, out));
}

}  // namespace
}  // namespace tls
