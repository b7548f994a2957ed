// The CipherLayout table, checked against linux/tls.h at compile time, and the one encoder.
#include "ktls/core/crypto_info.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

#include "ktls/base/endian.h"
#include "ktls/core/linux_tls.h"

namespace ktls {
namespace {

// name, iv, key, salt, version_max. ARIA: net/tls/tls_main.c, do_tls_setsockopt_conf, refuses it
// with TLS 1.3, for which no suite names it (RFC 6209).
constexpr std::array<CipherLayout, kCipherCount> kLayouts{{
    {Cipher::kAes128Gcm, "AES-128-GCM", 8, 16, 4, Version::kTls13},
    {Cipher::kAes256Gcm, "AES-256-GCM", 8, 32, 4, Version::kTls13},
    {Cipher::kAes128Ccm, "AES-128-CCM", 8, 16, 4, Version::kTls13},
    {Cipher::kChaCha20Poly1305, "ChaCha20-Poly1305", 12, 32, 0, Version::kTls13},
    {Cipher::kSm4Gcm, "SM4-GCM", 8, 16, 4, Version::kTls13},
    {Cipher::kSm4Ccm, "SM4-CCM", 8, 16, 4, Version::kTls13},
    {Cipher::kAria128Gcm, "ARIA-128-GCM", 8, 16, 4, Version::kTls12},
    {Cipher::kAria256Gcm, "ARIA-256-GCM", 8, 32, 4, Version::kTls12},
}};
static_assert(std::ranges::is_sorted(kLayouts, {}, &CipherLayout::cipher));
static_assert(std::ranges::all_of(kLayouts, [](const CipherLayout& layout) {
  return layout.structure_size() <= CryptoInfo::kCapacity &&
         layout.key_size <= RecordKey::kCapacity &&
         layout.salt_size + layout.iv_size == RecordIv::kCapacity;
}));

constexpr const CipherLayout* find_layout(Cipher cipher) {
  const auto* row = std::ranges::find(kLayouts, cipher, &CipherLayout::cipher);
  return row == kLayouts.end() ? nullptr : row;
}

// The encoder writes header, iv, key, salt, rec_seq one after the other; that this is how the
// kernel's structure of that number lies in memory is checked here, member by member.
template <typename Structure>
constexpr bool lies_as(Cipher cipher, int number) {
  const CipherLayout& layout = *find_layout(cipher);
  const std::size_t key = sizeof(tls_crypto_info) + layout.iv_size;
  const std::size_t salt = key + layout.key_size;
  const std::size_t sequence = salt + layout.salt_size;
  return static_cast<int>(cipher) == number && offsetof(Structure, iv) == sizeof(tls_crypto_info) &&
         offsetof(Structure, key) == key && offsetof(Structure, salt) == salt &&
         offsetof(Structure, rec_seq) == sequence && sizeof(Structure) == layout.structure_size();
}
static_assert(offsetof(tls_crypto_info, version) == 0 &&
              offsetof(tls_crypto_info, cipher_type) == 2 && sizeof(tls_crypto_info) == 4);
static_assert(static_cast<int>(Version::kTls12) == TLS_1_2_VERSION);
// A header that is older than the kernel is asked about no more than it knows. What it lacks is
// encoded all the same.
static_assert(lies_as<tls12_crypto_info_aes_gcm_128>(Cipher::kAes128Gcm, TLS_CIPHER_AES_GCM_128));
#ifdef TLS_1_3_VERSION
static_assert(static_cast<int>(Version::kTls13) == TLS_1_3_VERSION);
#endif
#ifdef TLS_CIPHER_AES_GCM_256
static_assert(lies_as<tls12_crypto_info_aes_gcm_256>(Cipher::kAes256Gcm, TLS_CIPHER_AES_GCM_256));
#endif
#ifdef TLS_CIPHER_AES_CCM_128
static_assert(lies_as<tls12_crypto_info_aes_ccm_128>(Cipher::kAes128Ccm, TLS_CIPHER_AES_CCM_128));
#endif
#ifdef TLS_CIPHER_CHACHA20_POLY1305
static_assert(lies_as<tls12_crypto_info_chacha20_poly1305>(Cipher::kChaCha20Poly1305,
                                                           TLS_CIPHER_CHACHA20_POLY1305));
#endif
#ifdef TLS_CIPHER_SM4_GCM
static_assert(lies_as<tls12_crypto_info_sm4_gcm>(Cipher::kSm4Gcm, TLS_CIPHER_SM4_GCM));
static_assert(lies_as<tls12_crypto_info_sm4_ccm>(Cipher::kSm4Ccm, TLS_CIPHER_SM4_CCM));
#endif
#ifdef TLS_CIPHER_ARIA_GCM_128
static_assert(lies_as<tls12_crypto_info_aria_gcm_128>(Cipher::kAria128Gcm,
                                                      TLS_CIPHER_ARIA_GCM_128));
static_assert(lies_as<tls12_crypto_info_aria_gcm_256>(Cipher::kAria256Gcm,
                                                      TLS_CIPHER_ARIA_GCM_256));
#endif

// In TLS 1.2 GCM and CCM send eight bytes of their nonce in the record (RFC 5288 section 3, RFC
// 6655 section 3, RFC 6209 section 3); there the key block holds just the salt.
bool nonce_is_explicit(Version version, const CipherLayout& layout) {
  return version == Version::kTls12 && layout.salt_size != 0;
}

std::size_t iv_length(Version version, const CipherLayout& layout) {
  return nonce_is_explicit(version, layout) ? layout.salt_size : layout.salt_size + layout.iv_size;
}

// Writes field after field into a structure whose size is known to suffice.
class FieldWriter {
 public:
  explicit FieldWriter(std::span<std::uint8_t> structure) : rest_(structure) {}

  void append(std::span<const std::uint8_t> field) {
    std::ranges::copy(field, rest_.begin());
    rest_ = rest_.subspan(field.size());
  }
  void append_host_order(std::uint16_t value) {
    std::memcpy(rest_.data(), &value, sizeof value);
    rest_ = rest_.subspan(sizeof value);
  }
  void append_big_endian(std::uint64_t value) {
    store_big_endian(rest_.data(), value);
    rest_ = rest_.subspan(sizeof value);
  }

 private:
  std::span<std::uint8_t> rest_;
};

}  // namespace

std::span<const CipherLayout> cipher_layouts() {
  return kLayouts;
}

const CipherLayout& layout_of(Cipher cipher) {
  const CipherLayout* layout = find_layout(cipher);
  if (layout == nullptr) std::abort();
  return *layout;
}

std::size_t iv_size_of(Version version, Cipher cipher) {
  return iv_length(version, layout_of(cipher));
}

Result<CryptoInfo> encode(const RecordKeys& keys) {
  const auto refuse = [](std::string_view detail) {
    return fail(Error::of(ErrorCode::kInvalidArgument, detail));
  };
  const CipherLayout* layout = find_layout(keys.cipher);
  if (layout == nullptr) return refuse("encode: cipher without a layout");
  if (keys.version != Version::kTls12 && keys.version != Version::kTls13) {
    return refuse("encode: version that the kernel does not know");
  }
  if (!layout->serves(keys.version)) return refuse("encode: version that the cipher is not for");
  if (keys.key.size() != layout->key_size) return refuse("encode: key length");
  if (keys.iv.size() != iv_length(keys.version, *layout)) return refuse("encode: iv length");

  CryptoInfo info = CryptoInfo::with_size(layout->structure_size());
  FieldWriter writer(info.mutable_bytes());
  writer.append_host_order(static_cast<std::uint16_t>(keys.version));
  writer.append_host_order(static_cast<std::uint16_t>(keys.cipher));
  // net/tls/tls_sw.c, init_ctx_tx and init_ctx_rx: the kernel's nonce is salt || iv, of which TLS
  // 1.3 and ChaCha20 take the whole from the 12-byte IV.
  if (nonce_is_explicit(keys.version, *layout)) {
    writer.append_big_endian(keys.explicit_nonce);
  } else {
    writer.append(keys.iv.bytes().subspan(layout->salt_size));
  }
  writer.append(keys.key.bytes());
  writer.append(keys.iv.bytes().first(layout->salt_size));
  writer.append_big_endian(keys.sequence);
  return info;
}

}  // namespace ktls
