// libcrypto's error queue: read into an Error, and left as it was.
#include "userspace/crypto/openssl_error.h"

#include <string>

#include <gtest/gtest.h>
#include <openssl/err.h>

#include "tests/vectors/vectors.h"
#include "userspace/crypto/kdf.h"

namespace tls {
namespace {

TEST(CryptoError, NamesTheCallAndLibcryptosReason) {
  ERR_clear_error();
  ERR_raise(ERR_LIB_EVP, ERR_R_MALLOC_FAILURE);
  const ktls::Error error = crypto_error("EVP_Something");
  ERR_clear_error();
  EXPECT_EQ(error.code, ktls::ErrorCode::kCrypto);
  EXPECT_EQ(error.alert, 80);
  EXPECT_EQ(error.detail, "EVP_Something: malloc failure");
  EXPECT_EQ(crypto_error("EVP_Something").detail, "EVP_Something");
}

TEST(ErrorMark, TakesBackWhatCameAfterItAndKeepsWhatWasBefore) {
  ERR_clear_error();
  ERR_raise(ERR_LIB_USER, 1);
  const unsigned long before = ERR_peek_last_error();
  {
    const ErrorMark mark;
    ERR_raise(ERR_LIB_USER, 2);
    ERR_raise(ERR_LIB_USER, 3);
  }
  EXPECT_EQ(ERR_get_error(), before);
  EXPECT_EQ(ERR_get_error(), 0U);
}

TEST(ErrorMark, EmptiesAQueueThatWasEmpty) {
  ERR_clear_error();
  {
    const ErrorMark mark;
    ERR_raise(ERR_LIB_USER, 2);
  }
  EXPECT_EQ(ERR_get_error(), 0U);
}

TEST(ErrorMark, StandsAroundAKdfThatFails) {
  ERR_clear_error();
  const auto derived = tls12_prf(HashAlgorithm::kSha256, vectors::Bytes(48), "key", {}, {});
  ASSERT_FALSE(derived);
  EXPECT_EQ(derived.error().detail, "EVP_KDF TLS1-PRF: invalid key length");
  EXPECT_EQ(ERR_get_error(), 0U);
}

}  // namespace
}  // namespace tls
