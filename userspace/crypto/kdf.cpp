// Key derivation over EVP_KDF of OpenSSL 3.
#include "userspace/crypto/kdf.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "userspace/crypto/hash.h"
#include "userspace/crypto/openssl_error.h"

namespace tls {
namespace {

using Bytes = std::span<const std::uint8_t>;

struct FreeKdf {
  void operator()(EVP_KDF_CTX* context) const { EVP_KDF_CTX_free(context); }
};

// Fetched once a process, and kept as long as it: threads may outlive static objects.
EVP_KDF* hkdf() {
  static EVP_KDF* const fetched = EVP_KDF_fetch(nullptr, "TLS13-KDF", nullptr);
  return fetched;
}

EVP_KDF* prf() {
  static EVP_KDF* const fetched = EVP_KDF_fetch(nullptr, "TLS1-PRF", nullptr);
  return fetched;
}

// libcrypto's own bound (providers/implementations/kdfs/tls1_prf.c: TLS1_PRF_MAXBUF), said before
// it.
constexpr std::size_t kPrfSeedSizeMax = 1024;

// Where no bytes are. The KDFs refuse a null pointer, which is what an empty span may hold.
constexpr std::uint8_t kNowhere = 0;

// OSSL_PARAM holds pointers to non-const; the KDFs only read through them.
OSSL_PARAM octets(const char* name, Bytes bytes) {
  if (bytes.empty()) bytes = Bytes(&kNowhere, 0);
  return OSSL_PARAM_construct_octet_string(name, const_cast<std::uint8_t*>(bytes.data()),
                                           bytes.size());
}

tl::unexpected<ktls::Error> invalid(std::string_view detail) {
  return ktls::fail(ktls::Error::of(ktls::ErrorCode::kInvalidArgument, detail));
}

Bytes bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

OSSL_PARAM digest(std::string_view name) {
  return OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, const_cast<char*>(name.data()),
                                          name.size());
}

ktls::Result<void> derive(EVP_KDF* kdf, std::string_view name, Bytes secret,
                          const OSSL_PARAM* params, std::span<std::uint8_t> out) {
  // libcrypto would derive from no secret as from any other.
  if (secret.empty()) return invalid("KDF: empty secret");
  if (kdf == nullptr) return ktls::fail(crypto_error(name));
  // Freeing the context cleanses the secret that it copied.
  const std::unique_ptr<EVP_KDF_CTX, FreeKdf> context(EVP_KDF_CTX_new(kdf));
  if (!context || EVP_KDF_derive(context.get(), out.data(), out.size(), params) != 1) {
    return ktls::fail(crypto_error(name));
  }
  return {};
}

ktls::Result<void> tls1_prf(std::string_view digests, Bytes secret, std::string_view label,
                            Bytes seed, std::span<std::uint8_t> out) {
  const std::size_t seed_size = label.size() + seed.size();
  if (seed_size == 0 || seed_size > kPrfSeedSizeMax) return invalid("PRF: size of label and seed");
  const ErrorMark mark;
  // PRF(secret, label, seed) = P_<hash>(secret, label + seed): the KDF joins its seeds in order.
  const std::array params = {
      digest(digests),
      octets(OSSL_KDF_PARAM_SECRET, secret),
      octets(OSSL_KDF_PARAM_SEED, bytes_of(label)),
      octets(OSSL_KDF_PARAM_SEED, seed),
      OSSL_PARAM_construct_end(),
  };
  return derive(prf(), "EVP_KDF TLS1-PRF", secret, params.data(), out);
}

}  // namespace

ktls::Result<void> hkdf_expand_label(HashAlgorithm hash, Bytes secret, std::string_view label,
                                     Bytes context, std::span<std::uint8_t> out) {
  const ErrorMark mark;
  int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
  const std::array params = {
      OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
      digest(name_of(hash)),
      octets(OSSL_KDF_PARAM_KEY, secret),
      octets(OSSL_KDF_PARAM_PREFIX, bytes_of("tls13 ")),
      octets(OSSL_KDF_PARAM_LABEL, bytes_of(label)),
      octets(OSSL_KDF_PARAM_DATA, context),
      OSSL_PARAM_construct_end(),
  };
  return derive(hkdf(), "EVP_KDF TLS13-KDF", secret, params.data(), out);
}

ktls::Result<void> tls12_prf(HashAlgorithm hash, Bytes secret, std::string_view label, Bytes seed,
                             std::span<std::uint8_t> out) {
  return tls1_prf(name_of(hash), secret, label, seed, out);
}

ktls::Result<void> tls10_prf(Bytes secret, std::string_view label, Bytes seed,
                             std::span<std::uint8_t> out) {
  return tls1_prf("MD5-SHA1", secret, label, seed, out);
}

// RFC 6101 section 6.2.2: "MD5(master_secret + SHA(`A' + master_secret + ServerHello.random +
// ClientHello.random)) + MD5(master_secret + SHA(`BB' + ...)) + [...]".
ktls::Result<void> ssl3_prf(Bytes secret, Bytes seed, std::span<std::uint8_t> out) {
  constexpr std::size_t kRounds = 26;  // there is no letter after Z
  if (out.empty() || out.size() > kRounds * size_of(HashAlgorithm::kMd5)) {
    return invalid("ssl3_prf: output size");
  }
  KTLS_TRY(Hash md5, Hash::create(HashAlgorithm::kMd5));
  KTLS_TRY(Hash sha1, Hash::create(HashAlgorithm::kSha1));
  std::array<std::uint8_t, kRounds> label{};
  std::array<std::uint8_t, 20> inner{};
  std::array<std::uint8_t, 16> block{};
  ktls::Result<void> done;
  for (std::size_t round = 0; done && !out.empty(); ++round) {
    label.fill(static_cast<std::uint8_t>('A' + round));
    done = sha1.digest({std::span(label).first(round + 1), secret, seed}, inner);
    if (done) done = md5.digest({secret, inner}, block);
    const std::size_t size = std::min(out.size(), block.size());
    std::copy_n(block.begin(), size, out.begin());
    out = out.subspan(size);
  }
  OPENSSL_cleanse(inner.data(), inner.size());
  OPENSSL_cleanse(block.data(), block.size());
  return done;
}

// draft-hickman-netscape-ssl-00, section "CLIENT-MASTER-KEY": KEY-MATERIAL-n is MD5[MASTER-KEY,
// "n", CHALLENGE, CONNECTION-ID]. The digit is there for the 64-bit cipher, too, as every
// implementation has it and against the draft's words.
ktls::Result<void> ssl2_key_material(Bytes master_key, Bytes challenge, Bytes connection_id,
                                     std::span<std::uint8_t> out) {
  constexpr std::size_t kRounds = 10;
  if (out.empty() || out.size() > kRounds * size_of(HashAlgorithm::kMd5)) {
    return invalid("ssl2_key_material: output size");
  }
  KTLS_TRY(Hash md5, Hash::create(HashAlgorithm::kMd5));
  std::array<std::uint8_t, 16> block{};
  ktls::Result<void> done;
  for (std::size_t round = 0; done && !out.empty(); ++round) {
    const std::array<std::uint8_t, 1> digit = {static_cast<std::uint8_t>('0' + round)};
    done = md5.digest({master_key, digit, challenge, connection_id}, block);
    const std::size_t size = std::min(out.size(), block.size());
    std::copy_n(block.begin(), size, out.begin());
    out = out.subspan(size);
  }
  OPENSSL_cleanse(block.data(), block.size());
  return done;
}

}  // namespace tls
