// The tables of suites and ciphers, row by row, against libssl and libcrypto.
#include "userspace/suite/cipher_suite.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <set>
#include <string>

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>

namespace tls {
namespace {

// libssl's view of a suite, by the two bytes that a ClientHello carries.
class LibsslCiphers {
 public:
  const SSL_CIPHER* find(std::uint16_t id) const {
    const std::array<unsigned char, 2> wire = {static_cast<unsigned char>(id >> 8),
                                               static_cast<unsigned char>(id & 0xff)};
    return SSL_CIPHER_find(ssl_.get(), wire.data());
  }

 private:
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_{SSL_CTX_new(TLS_method()),
                                                             SSL_CTX_free};
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_{SSL_new(context_.get()), SSL_free};
};

TEST(CipherSuite, TableHoldsTheThreeOfTls13AndSixOfTls12) {
  EXPECT_EQ(cipher_suites().size(), 9U);
  EXPECT_EQ(std::ranges::count(cipher_suites(), ProtocolVersion::kTls13, &CipherSuite::version), 3);
}

TEST(CipherSuite, IdsAscendAndNamesAreUnique) {
  std::set<std::string_view> names;
  std::uint16_t before = 0;
  for (const CipherSuite& suite : cipher_suites()) {
    EXPECT_GT(suite.id, before) << suite.name;
    before = suite.id;
    EXPECT_TRUE(names.insert(suite.name).second) << suite.name;
  }
}

TEST(CipherSuite, EachIsFoundByItsIdAndNothingElseIs) {
  std::size_t found = 0;
  for (unsigned id = 0; id <= 0xffff; ++id) {
    const CipherSuite* suite = find_cipher_suite(static_cast<std::uint16_t>(id));
    if (suite == nullptr) continue;
    EXPECT_EQ(suite->id, id);
    ++found;
  }
  EXPECT_EQ(found, cipher_suites().size());
}

TEST(CipherSuite, RowsAgreeWithLibssl) {
  const LibsslCiphers libssl;
  for (const CipherSuite& suite : cipher_suites()) {
    const SSL_CIPHER* cipher = libssl.find(suite.id);
    ASSERT_NE(cipher, nullptr) << suite.name;
    EXPECT_EQ(suite.name, SSL_CIPHER_standard_name(cipher));
    EXPECT_EQ(suite.openssl_name, SSL_CIPHER_get_name(cipher));
    EXPECT_EQ(static_cast<int>(8 * suite.bulk_cipher->key_size),
              SSL_CIPHER_get_bits(cipher, nullptr));
    EXPECT_EQ(name_of(suite.version), SSL_CIPHER_get_version(cipher));
    EXPECT_EQ(static_cast<int>(size_of(suite.prf_hash)),
              EVP_MD_get_size(SSL_CIPHER_get_handshake_digest(cipher)));
    EXPECT_EQ(SSL_CIPHER_is_aead(cipher) == 1, suite.bulk_cipher->kind == ProtectionKind::kAead);
  }
}

TEST(CipherSuite, TheNullSuiteIsNotInTheTable) {
  EXPECT_EQ(null_cipher_suite().id, 0);
  EXPECT_EQ(find_cipher_suite(null_cipher_suite().id), nullptr);
  EXPECT_EQ(null_cipher_suite().bulk_cipher->kind, ProtectionKind::kNull);
  EXPECT_FALSE(null_cipher_suite().bulk_cipher->kernel.has_value());
}

TEST(BulkCipher, NoncesOfTls12AreTwelveBytesInAll) {
  for (const BulkCipher& cipher : bulk_ciphers()) {
    EXPECT_EQ(cipher.fixed_iv_size_12 + cipher.explicit_nonce_size_12, kAeadNonceSize)
        << cipher.name;
  }
}

TEST(BulkCipher, SizesAgreeWithLibcrypto) {
  for (const BulkCipher& cipher : bulk_ciphers()) {
    const std::unique_ptr<EVP_CIPHER, decltype(&EVP_CIPHER_free)> evp(
        EVP_CIPHER_fetch(nullptr, std::string(cipher.evp_name).c_str(), nullptr), EVP_CIPHER_free);
    ASSERT_NE(evp, nullptr) << cipher.name;
    EXPECT_EQ(static_cast<int>(cipher.key_size), EVP_CIPHER_get_key_length(evp.get()));
    EXPECT_EQ(static_cast<int>(kAeadNonceSize), EVP_CIPHER_get_iv_length(evp.get()));
    EXPECT_NE(EVP_CIPHER_get_flags(evp.get()) & EVP_CIPH_FLAG_AEAD_CIPHER, 0U);
  }
}

TEST(BulkCipher, AesGcmIsLimitedToTwoToTheTwentyFourAndAHalf) {
  EXPECT_EQ(kAesGcmRecordLimit, static_cast<std::uint64_t>(std::floor(std::pow(2.0L, 24.5L))));
  for (const BulkCipher& cipher : bulk_ciphers()) {
    EXPECT_EQ(cipher.record_limit,
              cipher.name.starts_with("AES") ? kAesGcmRecordLimit : kNoRecordLimit);
  }
}

}  // namespace
}  // namespace tls
