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

enum class HashAlgorithm : std::uint8_t { kMd5, kSha1, kSha256, kSha384, kSm3 };

// How records are protected; which class of userspace/record serves a suite follows from it.
enum class ProtectionKind : std::uint8_t {
  kNull,       // no cipher; a MAC, if the suite has one
  kStream,     // a MAC, then a stream cipher
  kCbc,        // a MAC and a block cipher in CBC mode, in either order
  kAead,       // RFC 5116
  kIntegrity,  // RFC 9150: TLS 1.3 with a tag and no encryption
};

// RFC 8446 section 5.5: "For AES-GCM, up to 2^24.5 full-size records (about 24 million) may be
// encrypted on a given connection while keeping a safety margin of approximately 2^-57 for
// Authenticated Encryption (AE) security." This is 2^24.5 rounded down.
inline constexpr std::uint64_t kAesGcmRecordLimit = 23'726'566;

// RFC 9147 section 4.5.3: "the analysis in Appendix B shows that a limit of 2^23 packets can be
// used to obtain the same confidentiality protection as the limits specified in TLS."
inline constexpr std::uint64_t kAesCcmRecordLimit = 1ULL << 23;

// RFC 8446 section 5.5: "For ChaCha20/Poly1305, the record sequence number would wrap before the
// safety limit is reached."
inline constexpr std::uint64_t kNoRecordLimit = UINT64_MAX;

// Ciphers of 64-bit blocks, at a quarter of the 2^32 blocks where collisions are to be expected, in
// full-size records of 2^11 blocks each ("Sweet32": Bhargavan and
// Leurent, 2016; CVE-2016-2183).
inline constexpr std::uint64_t kBlock64RecordLimit = 1ULL << 19;

// Nonces of every AEAD of TLS are this long (RFC 8446 section 5.3, RFC 5288, RFC 7905), and so is
// the IV part of their TLS 1.3 traffic keys.
inline constexpr std::size_t kAeadNonceSize = 12;

// One bulk cipher. Sizes in bytes.
//   evp_name      as EVP_CIPHER_fetch knows it; empty where no cipher is used
//   block_size    of a CBC cipher, 0 otherwise
//   iv_size       IV part of the key block up to TLS 1.2: a block (CBC), 4 (RFC 5288, RFC 6655),
//                 12 (RFC 7905); in TLS 1.3 an AEAD has kAeadNonceSize instead
//   explicit_nonce_size  nonce bytes sent in each TLS 1.2 record (RFC 5288: 8; RFC 7905: 0)
//   tag_size      of an AEAD, or of what replaces one in RFC 9150
//   record_limit  records under one key before a new one is due
//   kernel        the kernel's cipher, if it has one
struct BulkCipher {
  std::string_view name;  // "AES-128-GCM"
  std::string_view evp_name;
  ProtectionKind kind;
  std::size_t key_size;
  std::size_t block_size;
  std::size_t iv_size;
  std::size_t explicit_nonce_size;
  std::size_t tag_size;
  std::uint64_t record_limit;
  std::optional<ktls::Cipher> kernel;
};

// One cipher suite, with the IANA registry's id and name.
struct CipherSuite {
  std::uint16_t id;
  std::string_view name;        // "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
  ProtocolVersion version_min;  // the first and the last version that it may be used with
  ProtocolVersion version_max;
  const BulkCipher* bulk_cipher;
  std::optional<HashAlgorithm> mac;  // none where the cipher authenticates by itself
  HashAlgorithm prf_hash;            // PRF of TLS 1.2, HKDF of TLS 1.3; before, the version's own

  [[nodiscard]] constexpr bool serves(ProtocolVersion version) const {
    return version_min <= version && version <= version_max;
  }
};

// One cipher kind of SSLv2: three bytes, and a world of its own (draft-hickman-netscape-ssl-00,
// "Protocol Constant Values"). Its MAC is always MD5 of key, data, padding and sequence number.
struct Ssl2CipherKind {
  std::uint32_t id;          // 0x010080
  const CipherSuite* suite;  // what it is to the record layer; its own id is 0
};

// Every bulk cipher that a suite names.
[[nodiscard]] std::span<const BulkCipher> bulk_ciphers();

// In ascending order of their ids. Knowing a suite is not recommending it: null ciphers are here.
[[nodiscard]] std::span<const CipherSuite> cipher_suites();
// nullptr if the suite is not in the table.
[[nodiscard]] const CipherSuite* find_cipher_suite(std::uint16_t id);

[[nodiscard]] std::span<const Ssl2CipherKind> ssl2_cipher_kinds();
[[nodiscard]] const Ssl2CipherKind* find_ssl2_cipher_kind(std::uint32_t id);

// The suites that the handshake offers, in the order of preference: forward-secret, authenticated,
// and with a cipher that the kernel knows.
[[nodiscard]] std::span<const CipherSuite* const> handshake_suites();
// Their ciphers, each once: what to ask the kernel for.
[[nodiscard]] std::span<const ktls::Cipher> handshake_kernel_ciphers();

// RFC 5246 appendix A.5: "TLS_NULL_WITH_NULL_NULL is specified and is the initial state of a TLS
// connection during the first handshake on that channel, but MUST NOT be negotiated". So it is
// not in cipher_suites().
[[nodiscard]] const CipherSuite& null_cipher_suite();

// Size of the hash's output, and of a MAC made with it, in bytes.
[[nodiscard]] constexpr std::size_t size_of(HashAlgorithm hash) {
  switch (hash) {
    case HashAlgorithm::kMd5:
      return 16;
    case HashAlgorithm::kSha1:
      return 20;
    case HashAlgorithm::kSha256:
    case HashAlgorithm::kSm3:
      return 32;
    case HashAlgorithm::kSha384:
      return 48;
  }
  return 0;
}
inline constexpr std::size_t kHashSizeMax = 48;

// As libcrypto knows it: "SHA256".
[[nodiscard]] constexpr std::string_view name_of(HashAlgorithm hash) {
  switch (hash) {
    case HashAlgorithm::kMd5:
      return "MD5";
    case HashAlgorithm::kSha1:
      return "SHA1";
    case HashAlgorithm::kSha256:
      return "SHA256";
    case HashAlgorithm::kSha384:
      return "SHA384";
    case HashAlgorithm::kSm3:
      return "SM3";
  }
  return "";
}

}  // namespace tls
