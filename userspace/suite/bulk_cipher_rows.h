// The bulk ciphers, a row each: for cipher_suite.cpp alone.
#pragma once

#include <cstddef>

#include "userspace/suite/cipher_suite.h"

namespace tls::rows {

enum BulkCipherRow : std::size_t {
  kNull,
  kRc4,
  kRc2Cbc,
  kIdeaCbc,
  kDesCbc,
  k3DesEdeCbc,
  kAes128Cbc,
  kAes256Cbc,
  kCamellia128Cbc,
  kCamellia256Cbc,
  kAria128Cbc,
  kAria256Cbc,
  kSeedCbc,
  kAes128Gcm,
  kAes256Gcm,
  kAes128Ccm,
  kAes256Ccm,
  kAes128Ccm8,
  kAes256Ccm8,
  kAria128Gcm,
  kAria256Gcm,
  kCamellia128Gcm,
  kCamellia256Gcm,
  kSm4Gcm,
  kSm4Ccm,
  kChaCha20Poly1305,
  kChaChaDraft00,
  kIntegritySha256,
  kIntegritySha384,
};

using Kind = ProtectionKind;

// A row a cipher reads better than a column a field.
//   name, evp_name, kind, key, block, iv, explicit nonce, tag, record limit, kernel
// clang-format off
constexpr BulkCipher kBulkCiphers[] = {
    {"NULL", "", Kind::kNull, 0, 0, 0, 0, 0, kNoRecordLimit, {}},
    {"RC4-128", "RC4", Kind::kStream, 16, 0, 0, 0, 0, kNoRecordLimit, {}},
    {"RC2-128-CBC", "RC2-CBC", Kind::kCbc, 16, 8, 8, 0, 0, kBlock64RecordLimit, {}},
    {"IDEA-CBC", "IDEA-CBC", Kind::kCbc, 16, 8, 8, 0, 0, kBlock64RecordLimit, {}},
    {"DES-CBC", "DES-CBC", Kind::kCbc, 8, 8, 8, 0, 0, kBlock64RecordLimit, {}},
    {"3DES-EDE-CBC", "DES-EDE3-CBC", Kind::kCbc, 24, 8, 8, 0, 0, kBlock64RecordLimit, {}},
    {"AES-128-CBC", "AES-128-CBC", Kind::kCbc, 16, 16, 16, 0, 0, kNoRecordLimit, {}},
    {"AES-256-CBC", "AES-256-CBC", Kind::kCbc, 32, 16, 16, 0, 0, kNoRecordLimit, {}},
    {"CAMELLIA-128-CBC", "CAMELLIA-128-CBC", Kind::kCbc, 16, 16, 16, 0, 0, kNoRecordLimit, {}},
    {"CAMELLIA-256-CBC", "CAMELLIA-256-CBC", Kind::kCbc, 32, 16, 16, 0, 0, kNoRecordLimit, {}},
    {"ARIA-128-CBC", "ARIA-128-CBC", Kind::kCbc, 16, 16, 16, 0, 0, kNoRecordLimit, {}},
    {"ARIA-256-CBC", "ARIA-256-CBC", Kind::kCbc, 32, 16, 16, 0, 0, kNoRecordLimit, {}},
    {"SEED-CBC", "SEED-CBC", Kind::kCbc, 16, 16, 16, 0, 0, kNoRecordLimit, {}},
    {"AES-128-GCM", "AES-128-GCM", Kind::kAead,
     16, 0, 4, 8, 16, kAesGcmRecordLimit, ktls::Cipher::kAes128Gcm},
    {"AES-256-GCM", "AES-256-GCM", Kind::kAead,
     32, 0, 4, 8, 16, kAesGcmRecordLimit, ktls::Cipher::kAes256Gcm},
    {"AES-128-CCM", "AES-128-CCM", Kind::kAead,
     16, 0, 4, 8, 16, kAesCcmRecordLimit, ktls::Cipher::kAes128Ccm},
    {"AES-256-CCM", "AES-256-CCM", Kind::kAead, 32, 0, 4, 8, 16, kAesCcmRecordLimit, {}},
    {"AES-128-CCM-8", "AES-128-CCM", Kind::kAead, 16, 0, 4, 8, 8, kAesCcmRecordLimit, {}},
    {"AES-256-CCM-8", "AES-256-CCM", Kind::kAead, 32, 0, 4, 8, 8, kAesCcmRecordLimit, {}},
    {"ARIA-128-GCM", "ARIA-128-GCM", Kind::kAead,
     16, 0, 4, 8, 16, kAesGcmRecordLimit, ktls::Cipher::kAria128Gcm},
    {"ARIA-256-GCM", "ARIA-256-GCM", Kind::kAead,
     32, 0, 4, 8, 16, kAesGcmRecordLimit, ktls::Cipher::kAria256Gcm},
    {"CAMELLIA-128-GCM", "CAMELLIA-128-GCM", Kind::kAead, 16, 0, 4, 8, 16, kAesGcmRecordLimit, {}},
    {"CAMELLIA-256-GCM", "CAMELLIA-256-GCM", Kind::kAead, 32, 0, 4, 8, 16, kAesGcmRecordLimit, {}},
    {"SM4-GCM", "SM4-GCM", Kind::kAead,
     16, 0, 4, 8, 16, kAesGcmRecordLimit, ktls::Cipher::kSm4Gcm},
    {"SM4-CCM", "SM4-CCM", Kind::kAead,
     16, 0, 4, 8, 16, kAesCcmRecordLimit, ktls::Cipher::kSm4Ccm},
    {"CHACHA20-POLY1305", "ChaCha20-Poly1305", Kind::kAead,
     32, 0, 12, 0, 16, kNoRecordLimit, ktls::Cipher::kChaCha20Poly1305},
    {"CHACHA20-POLY1305-DRAFT00", "ChaCha20-Poly1305", Kind::kAead,
     32, 0, 4, 0, 16, kNoRecordLimit, {}},
    {"HMAC-SHA256", "", Kind::kIntegrity, 32, 0, 32, 0, 32, kNoRecordLimit, {}},
    {"HMAC-SHA384", "", Kind::kIntegrity, 48, 0, 48, 0, 48, kNoRecordLimit, {}},
};
// clang-format on

}  // namespace tls::rows
