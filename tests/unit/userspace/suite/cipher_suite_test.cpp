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
#include <openssl/provider.h>
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

TEST(CipherSuite, TablesHoldAsManyRowsAsWereWritten) {
  EXPECT_EQ(cipher_suites().size(), 314U);
  EXPECT_EQ(bulk_ciphers().size(), 29U);
  EXPECT_EQ(ssl2_cipher_kinds().size(), 7U);
}

TEST(CipherSuite, HandshakeOffersFourOfTls13AndSevenOfTls12) {
  EXPECT_EQ(handshake_suites().size(), 11U);
  EXPECT_EQ(std::ranges::count(handshake_suites(), ProtocolVersion::kTls13,
                               [](const CipherSuite* suite) { return suite->version_min; }),
            4);
  for (const CipherSuite* suite : handshake_suites()) {
    EXPECT_EQ(suite, find_cipher_suite(suite->id)) << suite->name;
    EXPECT_EQ(suite->version_min, suite->version_max) << suite->name;
    EXPECT_TRUE(suite->bulk_cipher->kernel.has_value()) << suite->name;
  }
}

TEST(CipherSuite, HandshakePrefersCcmLast) {
  const auto suites = handshake_suites();
  EXPECT_TRUE(std::ranges::is_partitioned(
      suites, [](const CipherSuite* suite) { return suite->bulk_cipher->name != "AES-128-CCM"; }));
}

TEST(CipherSuite, KernelCiphersOfTheHandshakeAreThoseOfItsSuites) {
  std::set<ktls::Cipher> used;
  for (const CipherSuite* suite : handshake_suites()) used.insert(*suite->bulk_cipher->kernel);
  const auto told = handshake_kernel_ciphers();
  EXPECT_EQ(told.size(), used.size());
  EXPECT_EQ(std::set<ktls::Cipher>(told.begin(), told.end()), used);
}

TEST(CipherSuite, ServesTheVersionsFromItsFirstToItsLast) {
  const CipherSuite& suite = *find_cipher_suite(0x002F);
  for (unsigned version = 0x0200; version < 0x0400; ++version) {
    EXPECT_EQ(suite.serves(static_cast<ProtocolVersion>(version)),
              0x0300 <= version && version <= 0x0303)
        << version;
  }
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

// libssl tells the first version: "TLSv1.0" where it says "TLSv1" elsewhere. It took older suites
// over into SSLv3, and newer ones out of it, by its own lights.
bool agrees(const CipherSuite& suite, std::string_view libssl_version) {
  if (libssl_version == "TLSv1.0" || libssl_version == "SSLv3") {
    return suite.version_min == ProtocolVersion::kSsl3 ||
           suite.version_min == ProtocolVersion::kTls10;
  }
  return libssl_version == name_of(suite.version_min);
}

TEST(CipherSuite, RowsAgreeWithLibssl) {
  const LibsslCiphers libssl;
  int known = 0;
  for (const CipherSuite& suite : cipher_suites()) {
    const SSL_CIPHER* cipher = libssl.find(suite.id);
    if (cipher == nullptr) continue;
    ++known;
    EXPECT_EQ(suite.name, SSL_CIPHER_standard_name(cipher));
    EXPECT_EQ(static_cast<int>(8 * suite.bulk_cipher->key_size),
              SSL_CIPHER_get_bits(cipher, nullptr))
        << suite.name;
    EXPECT_TRUE(agrees(suite, SSL_CIPHER_get_version(cipher)))
        << suite.name << ' ' << SSL_CIPHER_get_version(cipher);
    if (suite.version_max >= ProtocolVersion::kTls12) {
      const EVP_MD* const digest = SSL_CIPHER_get_handshake_digest(cipher);
      // libssl's MD5-SHA1, of suites that are older than TLS 1.2, is SHA-256 in it.
      const int size = EVP_MD_get_type(digest) == NID_md5_sha1 ? 32 : EVP_MD_get_size(digest);
      EXPECT_EQ(static_cast<int>(size_of(suite.prf_hash)), size) << suite.name;
    }
    const bool is_aead = suite.bulk_cipher->kind == ProtectionKind::kAead;
    EXPECT_EQ(SSL_CIPHER_is_aead(cipher) == 1, is_aead) << suite.name;
    if (!is_aead) {
      const EVP_MD* const mac = EVP_get_digestbynid(SSL_CIPHER_get_digest_nid(cipher));
      EXPECT_EQ(static_cast<int>(size_of(*suite.mac)), EVP_MD_get_size(mac)) << suite.name;
    }
  }
  EXPECT_GE(known, 100);
}

// What a row says twice, or must say in only one way.
TEST(CipherSuite, RowsAreConsistent) {
  for (const CipherSuite& suite : cipher_suites()) {
    SCOPED_TRACE(suite.name);
    const BulkCipher& cipher = *suite.bulk_cipher;
    EXPECT_LE(suite.version_min, suite.version_max);
    const bool authenticates =
        cipher.kind == ProtectionKind::kAead || cipher.kind == ProtectionKind::kIntegrity;
    EXPECT_EQ(suite.mac.has_value(), !authenticates);
    const bool is_13 = suite.version_min == ProtocolVersion::kTls13;
    EXPECT_EQ(is_13, suite.version_max == ProtocolVersion::kTls13) << "no suite serves both worlds";
    EXPECT_EQ(is_13, suite.id >> 8 == 0x13 || suite.name.find("_WITH_") == std::string_view::npos);
    if (cipher.kind == ProtectionKind::kAead) {
      EXPECT_TRUE(is_13 || suite.version_min == ProtocolVersion::kTls12);
    }
    EXPECT_EQ(cipher.kind == ProtectionKind::kIntegrity && !is_13, false);
    // RFC 5246 section 5: "New cipher suites MUST explicitly specify a PRF and, in general, SHOULD
    // use the TLS PRF with SHA-256 or a stronger standard hash function."
    EXPECT_GE(size_of(suite.prf_hash), 32U);
    if (suite.mac) {
      EXPECT_EQ(size_of(suite.prf_hash), std::max(size_of(*suite.mac), std::size_t{32}));
    }
    // RFC 6101 has MACs of MD5 and SHA-1 only.
    if (suite.version_min == ProtocolVersion::kSsl3) {
      EXPECT_TRUE(suite.mac == HashAlgorithm::kMd5 || suite.mac == HashAlgorithm::kSha1);
    }
  }
}

struct NamePart {
  std::string_view text;
  std::string_view bulk_cipher;
};

TEST(CipherSuite, NamesSayTheCipherAndTheHash) {
  constexpr std::array kCiphers = {
      NamePart{"_NULL_", "NULL"},
      NamePart{"_RC4_128_", "RC4-128"},
      NamePart{"_IDEA_CBC_", "IDEA-CBC"},
      NamePart{"_DES_CBC_", "DES-CBC"},
      NamePart{"_3DES_EDE_CBC_", "3DES-EDE-CBC"},
      NamePart{"_AES_128_CBC_", "AES-128-CBC"},
      NamePart{"_AES_256_CBC_", "AES-256-CBC"},
      NamePart{"_CAMELLIA_128_CBC_", "CAMELLIA-128-CBC"},
      NamePart{"_CAMELLIA_256_CBC_", "CAMELLIA-256-CBC"},
      NamePart{"_ARIA_128_CBC_", "ARIA-128-CBC"},
      NamePart{"_ARIA_256_CBC_", "ARIA-256-CBC"},
      NamePart{"_SEED_CBC_", "SEED-CBC"},
      NamePart{"_AES_128_GCM_", "AES-128-GCM"},
      NamePart{"_AES_256_GCM_", "AES-256-GCM"},
      NamePart{"_AES_128_CCM_8", "AES-128-CCM-8"},
      NamePart{"_AES_256_CCM_8", "AES-256-CCM-8"},
      NamePart{"_AES_128_CCM", "AES-128-CCM"},
      NamePart{"_AES_256_CCM", "AES-256-CCM"},
      NamePart{"_ARIA_128_GCM_", "ARIA-128-GCM"},
      NamePart{"_ARIA_256_GCM_", "ARIA-256-GCM"},
      NamePart{"_CAMELLIA_128_GCM_", "CAMELLIA-128-GCM"},
      NamePart{"_CAMELLIA_256_GCM_", "CAMELLIA-256-GCM"},
      NamePart{"_SM4_GCM_", "SM4-GCM"},
      NamePart{"_SM4_CCM_", "SM4-CCM"},
      NamePart{"_CHACHA20_POLY1305_", "CHACHA20-POLY1305"},
      NamePart{"TLS_SHA256_SHA256", "HMAC-SHA256"},
      NamePart{"TLS_SHA384_SHA384", "HMAC-SHA384"},
  };
  for (const CipherSuite& suite : cipher_suites()) {
    SCOPED_TRACE(suite.name);
    const auto* const part = std::ranges::find_if(kCiphers, [&](const NamePart& row) {
      return suite.name.find(row.text) != std::string_view::npos;
    });
    ASSERT_NE(part, kCiphers.end());
    EXPECT_TRUE(suite.bulk_cipher->name.starts_with(part->bulk_cipher)) << suite.bulk_cipher->name;
    const auto hash = [&](std::string_view end) { return suite.name.ends_with(end); };
    if (suite.mac) {
      EXPECT_EQ(suite.mac, hash("_MD5")      ? HashAlgorithm::kMd5
                           : hash("_SHA")    ? HashAlgorithm::kSha1
                           : hash("_SHA256") ? HashAlgorithm::kSha256
                                             : HashAlgorithm::kSha384);
    } else {
      EXPECT_EQ(suite.prf_hash, hash("_SHA384") ? HashAlgorithm::kSha384
                                : hash("_SM3")  ? HashAlgorithm::kSm3
                                                : HashAlgorithm::kSha256);
    }
  }
}

TEST(Ssl2CipherKind, EachIsFoundAndIsOfSslv2Only) {
  for (const Ssl2CipherKind& kind : ssl2_cipher_kinds()) {
    EXPECT_EQ(find_ssl2_cipher_kind(kind.id), &kind);
    EXPECT_EQ(kind.suite->id, 0);
    EXPECT_EQ(kind.suite->version_min, ProtocolVersion::kSsl2);
    EXPECT_EQ(kind.suite->version_max, ProtocolVersion::kSsl2);
    EXPECT_EQ(kind.suite->mac, HashAlgorithm::kMd5);
    // draft-hickman-netscape-ssl-00: the last two bytes are the key's bits, parity included.
    EXPECT_EQ(8 * kind.suite->bulk_cipher->key_size, kind.id & 0xffffU) << kind.suite->name;
    EXPECT_TRUE(kind.suite->bulk_cipher->kind == ProtectionKind::kStream ||
                kind.suite->bulk_cipher->block_size == 8)
        << kind.suite->name;
  }
  EXPECT_EQ(find_ssl2_cipher_kind(0), nullptr);
  EXPECT_EQ(find_ssl2_cipher_kind(0x010081), nullptr);
}

TEST(CipherSuite, TheNullSuiteIsNotInTheTable) {
  EXPECT_EQ(null_cipher_suite().id, 0);
  EXPECT_EQ(find_cipher_suite(null_cipher_suite().id), nullptr);
  EXPECT_EQ(null_cipher_suite().bulk_cipher->kind, ProtectionKind::kNull);
  EXPECT_FALSE(null_cipher_suite().bulk_cipher->kernel.has_value());
}

TEST(BulkCipher, NoncesOfTls12AreTwelveBytesInAll) {
  for (const BulkCipher& cipher : bulk_ciphers()) {
    if (cipher.kind != ProtectionKind::kAead || cipher.name == "CHACHA20-POLY1305-DRAFT00")
      continue;
    EXPECT_EQ(cipher.iv_size + cipher.explicit_nonce_size, kAeadNonceSize) << cipher.name;
  }
}

TEST(BulkCipher, HasTheSizesThatItsKindNeedsAndNoOthers) {
  for (const BulkCipher& cipher : bulk_ciphers()) {
    SCOPED_TRACE(cipher.name);
    EXPECT_EQ(cipher.block_size != 0, cipher.kind == ProtectionKind::kCbc);
    EXPECT_EQ(cipher.explicit_nonce_size != 0 && cipher.kind != ProtectionKind::kAead, false);
    EXPECT_EQ(cipher.tag_size != 0,
              cipher.kind == ProtectionKind::kAead || cipher.kind == ProtectionKind::kIntegrity);
    EXPECT_EQ(cipher.key_size != 0, cipher.kind != ProtectionKind::kNull);
    EXPECT_EQ(cipher.evp_name.empty(),
              cipher.kind == ProtectionKind::kNull || cipher.kind == ProtectionKind::kIntegrity);
    if (cipher.kind == ProtectionKind::kCbc) {
      EXPECT_EQ(cipher.iv_size, cipher.block_size);
    }
    // RFC 9150 section 6: key and IV are as long as the hash, and so is the tag.
    if (cipher.kind == ProtectionKind::kIntegrity) {
      EXPECT_EQ(cipher.iv_size, cipher.key_size);
      EXPECT_EQ(cipher.tag_size, cipher.key_size);
    }
    if (cipher.kernel) {
      const ktls::CipherLayout& layout = ktls::layout_of(*cipher.kernel);
      EXPECT_EQ(cipher.kind, ProtectionKind::kAead);
      EXPECT_EQ(cipher.key_size, layout.key_size);
      EXPECT_EQ(cipher.iv_size, ktls::iv_size_of(ktls::Version::kTls12, *cipher.kernel));
      EXPECT_EQ(cipher.explicit_nonce_size, layout.salt_size == 0 ? 0 : layout.iv_size);
      EXPECT_EQ(cipher.tag_size, 16U);
    }
  }
}

TEST(BulkCipher, OfTheKernelEachHasOneRowAndAllItsSuitesAreOfVersionsThatItServes) {
  for (const ktls::CipherLayout& layout : ktls::cipher_layouts()) {
    EXPECT_EQ(std::ranges::count(bulk_ciphers(), layout.cipher, &BulkCipher::kernel), 1)
        << layout.name;
  }
  for (const CipherSuite& suite : cipher_suites()) {
    if (!suite.bulk_cipher->kernel || suite.version_max < ProtocolVersion::kTls13) continue;
    EXPECT_TRUE(ktls::layout_of(*suite.bulk_cipher->kernel).serves(ktls::Version::kTls13))
        << suite.name;
  }
}

TEST(BulkCipher, NamesAreUniqueAndEachIsUsed) {
  std::set<std::string_view> names;
  for (const BulkCipher& cipher : bulk_ciphers()) {
    EXPECT_TRUE(names.insert(cipher.name).second) << cipher.name;
    const bool is_used = std::ranges::any_of(
        cipher_suites(), [&](const CipherSuite& suite) { return suite.bulk_cipher == &cipher; });
    const bool is_used_by_ssl2 = std::ranges::any_of(
        ssl2_cipher_kinds(),
        [&](const Ssl2CipherKind& kind) { return kind.suite->bulk_cipher == &cipher; });
    EXPECT_TRUE(is_used || is_used_by_ssl2) << cipher.name;
  }
}

using EvpCipher = std::unique_ptr<EVP_CIPHER, decltype(&EVP_CIPHER_free)>;

EvpCipher fetched(std::string_view name) {
  static OSSL_LIB_CTX* const legacy = [] {
    OSSL_LIB_CTX* const made = OSSL_LIB_CTX_new();
    OSSL_PROVIDER_load(made, "legacy");
    return made;
  }();
  const std::string text(name);
  EvpCipher cipher(EVP_CIPHER_fetch(nullptr, text.c_str(), nullptr), EVP_CIPHER_free);
  if (cipher != nullptr) return cipher;
  return {EVP_CIPHER_fetch(legacy, text.c_str(), nullptr), EVP_CIPHER_free};
}

TEST(BulkCipher, SizesAgreeWithLibcrypto) {
  int known = 0;
  for (const BulkCipher& cipher : bulk_ciphers()) {
    if (cipher.evp_name.empty()) continue;
    const EvpCipher evp = fetched(cipher.evp_name);
    // Not in every libcrypto: patents, fashion, and what came after 3.0.
    const bool may_be_missing =
        cipher.name.starts_with("IDEA") || cipher.name.starts_with("CAMELLIA-128-GCM") ||
        cipher.name.starts_with("CAMELLIA-256-GCM") || cipher.name.starts_with("SM4");
    EXPECT_TRUE(evp != nullptr || may_be_missing) << cipher.name;
    if (evp == nullptr) continue;
    ++known;
    SCOPED_TRACE(cipher.name);
    EXPECT_EQ(static_cast<int>(cipher.key_size), EVP_CIPHER_get_key_length(evp.get()));
    const bool is_aead = (EVP_CIPHER_get_flags(evp.get()) & EVP_CIPH_FLAG_AEAD_CIPHER) != 0;
    EXPECT_EQ(is_aead, cipher.kind == ProtectionKind::kAead);
    EXPECT_EQ(EVP_CIPHER_get_mode(evp.get()) == EVP_CIPH_CBC_MODE,
              cipher.kind == ProtectionKind::kCbc);
    if (cipher.kind == ProtectionKind::kCbc) {
      EXPECT_EQ(static_cast<int>(cipher.block_size), EVP_CIPHER_get_block_size(evp.get()));
    }
    // CCM's own default is 7; the length is a parameter there (RFC 3610 section 2).
    if (EVP_CIPHER_get_mode(evp.get()) == EVP_CIPH_CCM_MODE) continue;
    const std::size_t iv_size = is_aead ? kAeadNonceSize : cipher.iv_size;
    EXPECT_EQ(static_cast<int>(iv_size), EVP_CIPHER_get_iv_length(evp.get()));
  }
  EXPECT_GE(known, 20);
}

TEST(BulkCipher, AesGcmIsLimitedToTwoToTheTwentyFourAndAHalf) {
  EXPECT_EQ(kAesGcmRecordLimit, static_cast<std::uint64_t>(std::floor(std::pow(2.0L, 24.5L))));
  for (const BulkCipher& cipher : bulk_ciphers()) {
    const std::uint64_t expected = cipher.name.ends_with("-GCM") ? kAesGcmRecordLimit
                                   : cipher.name.find("-CCM") != std::string_view::npos
                                       ? kAesCcmRecordLimit
                                   : cipher.block_size == 8 ? kBlock64RecordLimit
                                                            : kNoRecordLimit;
    EXPECT_EQ(cipher.record_limit, expected) << cipher.name;
  }
}

TEST(HashAlgorithm, SizesAgreeWithLibcrypto) {
  for (const HashAlgorithm hash :
       {HashAlgorithm::kMd5, HashAlgorithm::kSha1, HashAlgorithm::kSha256, HashAlgorithm::kSha384,
        HashAlgorithm::kSm3}) {
    const EVP_MD* const digest = EVP_get_digestbyname(std::string(name_of(hash)).c_str());
    ASSERT_NE(digest, nullptr) << name_of(hash);
    EXPECT_EQ(static_cast<int>(size_of(hash)), EVP_MD_get_size(digest));
    EXPECT_LE(size_of(hash), kHashSizeMax);
  }
}

}  // namespace
}  // namespace tls
