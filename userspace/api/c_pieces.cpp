// The C interface of what there is: the suites, and the pieces of the record layer by themselves.
#include "userspace/api/c_handles.h"
#include "userspace/crypto/evp_cipher.h"
#include "userspace/crypto/kdf.h"
#include "userspace/record/cbc_padding.h"
#include "userspace/record/record_mac.h"

namespace {

using api::code_of;
using api::guarded;
using ktls::Result;
using Bytes = std::span<const std::uint8_t>;

static_assert(static_cast<int>(tls::HashAlgorithm::kMd5) == KTLSB_MD5 &&
              static_cast<int>(tls::HashAlgorithm::kSha1) == KTLSB_SHA1 &&
              static_cast<int>(tls::HashAlgorithm::kSha256) == KTLSB_SHA256 &&
              static_cast<int>(tls::HashAlgorithm::kSha384) == KTLSB_SHA384);

bool is_hash(ktlsb_hash hash) {
  return hash >= KTLSB_MD5 && hash <= KTLSB_SHA384;
}

}  // namespace

// --- what there is -----------------------------------------------------------------------------

size_t ktlsb_suite_count(void) {
  return tls::cipher_suites().size() + tls::ssl2_cipher_kinds().size();
}

int ktlsb_suite_at(size_t index, ktlsb_suite* suite) {
  return guarded([&]() -> int {
    *suite = {};
    if (index >= ktlsb_suite_count()) return KTLSB_OUT_OF_RANGE;
    const auto suites = tls::cipher_suites();
    const bool is_ssl2 = index >= suites.size();
    const tls::CipherSuite& row =
        is_ssl2 ? *tls::ssl2_cipher_kinds()[index - suites.size()].suite : suites[index];
    suite->id = is_ssl2 ? tls::ssl2_cipher_kinds()[index - suites.size()].id : row.id;
    suite->version_min = static_cast<std::uint16_t>(row.version_min);
    suite->version_max = static_cast<std::uint16_t>(row.version_max);
    suite->name = row.name.data();
    suite->cipher = row.bulk_cipher->name.data();
    suite->mac = row.mac ? tls::name_of(*row.mac).data() : nullptr;
    suite->kernel =
        row.bulk_cipher->kernel.has_value() && row.version_max >= tls::ProtocolVersion::kTls12;
    if (!tls::check_available(row)) suite->unavailable = "libcrypto does not offer the cipher";
    return KTLSB_OK;
  });
}

// --- pieces ------------------------------------------------------------------------------------

int ktlsb_mac(uint16_t version, ktlsb_hash hash, const uint8_t* key, size_t key_size,
              uint64_t sequence, uint8_t type, const uint8_t* data, size_t data_size, uint8_t* mac,
              size_t capacity, size_t* mac_size) {
  return guarded([&]() -> int {
    *mac_size = 0;
    if (!is_hash(hash) || version < 0x0300 || version > 0x0303) return KTLSB_NOT_USABLE;
    const auto algorithm = static_cast<tls::HashAlgorithm>(hash);
    // The MAC covers the length in two bytes.
    if (key_size != tls::size_of(algorithm) || data_size > UINT16_MAX) return KTLSB_OUT_OF_RANGE;
    auto made = tls::RecordMac::create(static_cast<tls::ProtocolVersion>(version), algorithm,
                                       tls::MacKey(Bytes(key, key_size)));
    if (!made) return code_of(made.error());
    if (capacity < made->size()) return KTLSB_NO_SPACE;
    const auto done = made->compute(sequence, static_cast<tls::ContentType>(type),
                                    {data, data_size}, {mac, made->size()});
    if (!done) return code_of(done.error());
    *mac_size = made->size();
    return KTLSB_OK;
  });
}

int ktlsb_cbc_padding(size_t size, size_t block_size, uint8_t* out, size_t* padding_size) {
  if (block_size == 0 || block_size > tls::kBlockSizeMax) return KTLSB_OUT_OF_RANGE;
  *padding_size = tls::padding_size(size, block_size);
  tls::fill_padding({out, *padding_size});
  return KTLSB_OK;
}

int ktlsb_prf(uint16_t version, ktlsb_hash hash, const uint8_t* secret, size_t secret_size,
              const char* label, const uint8_t* seed, size_t seed_size, uint8_t* out, size_t size) {
  return guarded([&]() -> int {
    if (version < 0x0300 || version > 0x0303 || (version == 0x0303 && !is_hash(hash))) {
      return KTLSB_NOT_USABLE;
    }
    if (size == 0) return KTLSB_OUT_OF_RANGE;
    const std::string_view text = label == nullptr ? "" : label;
    const Bytes key(secret, secret_size);
    const Bytes seed_bytes(seed, seed_size);
    const std::span<std::uint8_t> result(out, size);
    Result<void> done;
    if (version == 0x0300) {
      done = tls::ssl3_prf(key, seed_bytes, result);
    } else if (version == 0x0303) {
      done = tls::tls12_prf(static_cast<tls::HashAlgorithm>(hash), key, text, seed_bytes, result);
    } else {
      done = tls::tls10_prf(key, text, seed_bytes, result);
    }
    return done ? int{KTLSB_OK} : code_of(done.error());
  });
}
