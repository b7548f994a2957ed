// The cipher suites and their bulk ciphers as tables: adding a suite is adding a row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "ktls/core/crypto_info.h"
#include "userspace/suite/version.h"

namespace tls {

enum class HashAlgorithm : std::uint8_t { kSha256, kSha384 };

// How records are protected; which class of userspace/record serves a suite follows from it.
enum class ProtectionKind : std::uint8_t { kAead };

// One bulk cipher. Sizes in bytes.
//   fixed_iv_size_12     IV part of the TLS 1.2 key block (RFC 5288: 4; RFC 7905: 12)
//   explicit_nonce_size_12  nonce bytes sent in each TLS 1.2 record (RFC 5288: 8; RFC 7905: 0)
//   record_limit         records under one key before a new one is due (RFC 8446 section 5.5)
//   kernel               the kernel's cipher, if it has one
struct BulkCipher {
  std::string_view name;      // "AES-128-GCM"
  std::string_view evp_name;  // as EVP_CIPHER_fetch knows it
  ProtectionKind kind;
  std::size_t key_size;
  std::size_t fixed_iv_size_12;
  std::size_t explicit_nonce_size_12;
  std::size_t tag_size;
  std::uint64_t record_limit;
  std::optional<ktls::Cipher> kernel;
};

// One cipher suite, with the IANA registry's id and name.
struct CipherSuite {
  std::uint16_t id;
  std::string_view name;          // "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
  std::string_view openssl_name;  // "ECDHE-RSA-AES128-GCM-SHA256"
  ProtocolVersion version;        // the one version these suites belong to
  const BulkCipher* bulk_cipher;
  HashAlgorithm prf_hash;         // PRF of TLS 1.2, HKDF of TLS 1.3
};

[[nodiscard]] std::span<const CipherSuite> cipher_suites();
// nullptr if the suite is not in the table.
[[nodiscard]] const CipherSuite* find_cipher_suite(std::uint16_t id);

[[nodiscard]] constexpr std::size_t size_of(HashAlgorithm hash) {
  return hash == HashAlgorithm::kSha384 ? 48 : 32;
}

}  // namespace tls
