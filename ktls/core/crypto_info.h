// What the kernel takes for one direction of one connection: the CipherLayout table and encode(),
// which writes the tls12_crypto_info_* structures of include/uapi/linux/tls.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "ktls/base/result.h"
#include "ktls/base/secret.h"

namespace ktls {

// TLS_CIPHER_* of linux/tls.h, all of them, whatever the header of this distribution knows. The
// tags of the CCM ones are of 16 bytes.
enum class Cipher : std::uint16_t {
  kAes128Gcm = 51,
  kAes256Gcm = 52,
  kAes128Ccm = 53,
  kChaCha20Poly1305 = 54,
  kSm4Gcm = 55,
  kSm4Ccm = 56,
  kAria128Gcm = 57,
  kAria256Gcm = 58,
};

// How many ciphers there are: rows of cipher_layouts().
inline constexpr std::size_t kCipherCount = 8;

// TLS_1_2_VERSION and TLS_1_3_VERSION, host order in the structure.
enum class Version : std::uint16_t { kTls12 = 0x0303, kTls13 = 0x0304 };

enum class Direction : std::uint8_t { kReceive, kTransmit };

// Sizes, in bytes, of the fields of one cipher's structure; they follow the 4-byte header
// {u16 version, u16 cipher} in the order iv, key, salt, rec_seq without padding.
//   version_max  the last version that the kernel takes the cipher with; the first is TLS 1.2
struct CipherLayout {
  Cipher cipher;
  std::string_view name;  // "AES-128-GCM"
  std::size_t iv_size;
  std::size_t key_size;
  std::size_t salt_size;
  Version version_max;

  [[nodiscard]] constexpr std::size_t structure_size() const {
    return 2 * sizeof(std::uint16_t) + iv_size + key_size + salt_size + sizeof(std::uint64_t);
  }
  [[nodiscard]] constexpr bool serves(Version version) const { return version <= version_max; }
};

// Every cipher that the kernel has a number for, in ascending order of its kernel number.
[[nodiscard]] std::span<const CipherLayout> cipher_layouts();
// The row of `cipher`. Aborts on a number that is no enumerator: there is no layout to answer with.
[[nodiscard]] const CipherLayout& layout_of(Cipher cipher);

// Length of RecordKeys::iv: 4 for TLS 1.2 GCM and CCM, else 12.
[[nodiscard]] std::size_t iv_size_of(Version version, Cipher cipher);

using RecordKey = Secret<32, struct RecordKeyTag>;
using RecordIv = Secret<12, struct RecordIvTag>;

// One direction's keys as the protocol floor knows them.
//   key             key_size bytes of the cipher
//   iv              TLS 1.3 and ChaCha20: the 12-byte IV; TLS 1.2 GCM and CCM: the 4-byte implicit
//                   part
//   explicit_nonce  TLS 1.2 GCM and CCM, transmit: the explicit nonce of the next record
//   sequence        number of the next record
struct RecordKeys {
  Version version = Version::kTls13;
  Cipher cipher = Cipher::kAes128Gcm;
  RecordKey key;
  RecordIv iv;
  std::uint64_t explicit_nonce = 0;
  std::uint64_t sequence = 0;
};

// The encoded structure: what setsockopt(SOL_TLS, TLS_TX or TLS_RX) is given. Wipes itself.
using CryptoInfo = Secret<56, struct CryptoInfoTag>;

// The direction is not asked for: the explicit nonce of TLS 1.2 GCM and CCM is always written, and
// the kernel ignores it on receipt, where each record carries its own.
// Errors: kInvalidArgument when a length does not fit the layout of keys.cipher, when the layout
// does not serve the version, or when version or cipher is no enumerator.
// Source: linux/tls.h; the salt/iv split by version is net/tls/tls_sw.c, init_prot_info().
[[nodiscard]] Result<CryptoInfo> encode(const RecordKeys& keys);

}  // namespace ktls
