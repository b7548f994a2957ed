// The tables of bulk ciphers and cipher suites. Ids and names: IANA "TLS Cipher Suites" registry.
#include "userspace/suite/cipher_suite.h"

#include <algorithm>
#include <array>

namespace tls {
namespace {

enum BulkCipherRow : std::size_t { kAes128Gcm, kAes256Gcm, kChaCha20Poly1305 };

constexpr std::array kBulkCiphers = {
    BulkCipher{.name = "AES-128-GCM",
               .evp_name = "AES-128-GCM",
               .kind = ProtectionKind::kAead,
               .key_size = 16,
               .fixed_iv_size_12 = 4,
               .explicit_nonce_size_12 = 8,
               .tag_size = 16,
               .record_limit = kAesGcmRecordLimit,
               .kernel = ktls::Cipher::kAes128Gcm},
    BulkCipher{.name = "AES-256-GCM",
               .evp_name = "AES-256-GCM",
               .kind = ProtectionKind::kAead,
               .key_size = 32,
               .fixed_iv_size_12 = 4,
               .explicit_nonce_size_12 = 8,
               .tag_size = 16,
               .record_limit = kAesGcmRecordLimit,
               .kernel = ktls::Cipher::kAes256Gcm},
    BulkCipher{.name = "CHACHA20-POLY1305",
               .evp_name = "ChaCha20-Poly1305",
               .kind = ProtectionKind::kAead,
               .key_size = 32,
               .fixed_iv_size_12 = 12,
               .explicit_nonce_size_12 = 0,
               .tag_size = 16,
               .record_limit = kNoRecordLimit,
               .kernel = ktls::Cipher::kChaCha20Poly1305},
};

constexpr const BulkCipher* bulk(BulkCipherRow row) {
  return &kBulkCiphers[row];
}

constexpr auto kTls12 = ProtocolVersion::kTls12;
constexpr auto kTls13 = ProtocolVersion::kTls13;
constexpr auto kSha256 = HashAlgorithm::kSha256;
constexpr auto kSha384 = HashAlgorithm::kSha384;

// clang-format off: a row a suite reads better than a column a field.
constexpr std::array kCipherSuites = {
    // RFC 8446 appendix B.4
    CipherSuite{0x1301, "TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256", kTls13,
                bulk(kAes128Gcm), kSha256},
    CipherSuite{0x1302, "TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384", kTls13,
                bulk(kAes256Gcm), kSha384},
    CipherSuite{0x1303, "TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256", kTls13,
                bulk(kChaCha20Poly1305), kSha256},
    // RFC 5289 section 3.2
    CipherSuite{0xC02B, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256",
                kTls12, bulk(kAes128Gcm), kSha256},
    CipherSuite{0xC02C, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384",
                kTls12, bulk(kAes256Gcm), kSha384},
    CipherSuite{0xC02F, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256",
                kTls12, bulk(kAes128Gcm), kSha256},
    CipherSuite{0xC030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
                kTls12, bulk(kAes256Gcm), kSha384},
    // RFC 7905 section 2
    CipherSuite{0xCCA8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
                "ECDHE-RSA-CHACHA20-POLY1305", kTls12, bulk(kChaCha20Poly1305), kSha256},
    CipherSuite{0xCCA9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
                "ECDHE-ECDSA-CHACHA20-POLY1305", kTls12, bulk(kChaCha20Poly1305), kSha256},
};
// clang-format on

// find_cipher_suite() searches by halves, and an id has one row.
static_assert(std::ranges::adjacent_find(kCipherSuites, std::ranges::greater_equal{},
                                         &CipherSuite::id) == kCipherSuites.end());

constexpr BulkCipher kNullCipher{.name = "NULL",
                                 .evp_name = "",
                                 .kind = ProtectionKind::kNull,
                                 .key_size = 0,
                                 .fixed_iv_size_12 = 0,
                                 .explicit_nonce_size_12 = 0,
                                 .tag_size = 0,
                                 .record_limit = kNoRecordLimit,
                                 .kernel = std::nullopt};

constexpr CipherSuite kNullSuite{0x0000, "TLS_NULL_WITH_NULL_NULL", "", kTls12, &kNullCipher,
                                 kSha256};

}  // namespace

std::span<const BulkCipher> bulk_ciphers() {
  return kBulkCiphers;
}

std::span<const CipherSuite> cipher_suites() {
  return kCipherSuites;
}

const CipherSuite* find_cipher_suite(std::uint16_t id) {
  const auto* row = std::ranges::lower_bound(kCipherSuites, id, {}, &CipherSuite::id);
  return row != kCipherSuites.end() && row->id == id ? row : nullptr;
}

const CipherSuite& null_cipher_suite() {
  return kNullSuite;
}

}  // namespace tls
