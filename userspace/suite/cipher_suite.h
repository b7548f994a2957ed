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
enum class ProtectionKind : std::uint8_t { kNull, kAead };

// RFC 8446 section 5.5: "For AES-GCM, up to 2^24.5 full-size records (about 24 million) may be
// encrypted on a given connection while keeping a safety margin of approximately 2^-57 for
// Authenticated Encryption (AE) security." This is 2^24.5 rounded down.
inline constexpr std::uint64_t kAesGcmRecordLimit = 23'726'566;

// The same section: "For ChaCha20/Poly1305, the record sequence number would wrap before the
// safety limit is reached."
inline constexpr std::uint64_t kNoRecordLimit = UINT64_MAX;

// Nonces of every AEAD of TLS are this long (RFC 8446 section 5.3, RFC 5288, RFC 7905), and so is
// the IV part of TLS 1.3 traffic keys.
inline constexpr std::size_t kAeadNonceSize = 12;

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
  HashAlgorithm prf_hash;  // PRF of TLS 1.2, HKDF of TLS 1.3
};

// Every bulk cipher that a suite of cipher_suites() names.
[[nodiscard]] std::span<const BulkCipher> bulk_ciphers();

// In ascending order of their ids.
[[nodiscard]] std::span<const CipherSuite> cipher_suites();
// nullptr if the suite is not in the table.
[[nodiscard]] const CipherSuite* find_cipher_suite(std::uint16_t id);

// RFC 5246 appendix A.5: "TLS_NULL_WITH_NULL_NULL is specified and is the initial state of a TLS
// connection during the first handshake on that channel, but MUST NOT be negotiated". So it is
// not in cipher_suites().
[[nodiscard]] const CipherSuite& null_cipher_suite();

[[nodiscard]] constexpr std::size_t size_of(HashAlgorithm hash) {
  return hash == HashAlgorithm::kSha384 ? 48 : 32;
}

}  // namespace tls
