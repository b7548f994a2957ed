// Key derivation over EVP_KDF of OpenSSL 3.
#include "userspace/crypto/kdf.h"

#include <array>
#include <cstddef>
#include <memory>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "userspace/crypto/openssl_error.h"

namespace tls {
namespace {

using Bytes = std::span<const std::uint8_t>;

struct FreeKdf {
  void operator()(EVP_KDF* kdf) const { EVP_KDF_free(kdf); }
  void operator()(EVP_KDF_CTX* context) const { EVP_KDF_CTX_free(context); }
};
using Kdf = std::unique_ptr<EVP_KDF, FreeKdf>;

const Kdf& hkdf() {
  static const Kdf fetched(EVP_KDF_fetch(nullptr, "TLS13-KDF", nullptr));
  return fetched;
}

const Kdf& prf() {
  static const Kdf fetched(EVP_KDF_fetch(nullptr, "TLS1-PRF", nullptr));
  return fetched;
}

// Where no bytes are. The KDFs refuse a null pointer, which is what an empty span may hold.
constexpr std::uint8_t kNowhere = 0;

// OSSL_PARAM holds pointers to non-const; the KDFs only read through them.
OSSL_PARAM octets(const char* name, Bytes bytes) {
  if (bytes.empty()) bytes = Bytes(&kNowhere, 0);
  return OSSL_PARAM_construct_octet_string(name, const_cast<std::uint8_t*>(bytes.data()),
                                           bytes.size());
}

Bytes bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

OSSL_PARAM digest(HashAlgorithm hash) {
  const char* name = hash == HashAlgorithm::kSha384 ? "SHA384" : "SHA256";
  return OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, const_cast<char*>(name), 0);
}

ktls::Result<void> derive(const Kdf& kdf, std::string_view name, Bytes secret,
                          const OSSL_PARAM* params, std::span<std::uint8_t> out) {
  // libcrypto would derive from no secret as from any other.
  if (secret.empty()) {
    return ktls::fail(ktls::Error::of(ktls::ErrorCode::kInvalidArgument, "KDF: empty secret"));
  }
  if (!kdf) return ktls::fail(crypto_error(name));
  // Freeing the context cleanses the secret that it copied.
  const std::unique_ptr<EVP_KDF_CTX, FreeKdf> context(EVP_KDF_CTX_new(kdf.get()));
  if (!context || EVP_KDF_derive(context.get(), out.data(), out.size(), params) != 1) {
    return ktls::fail(crypto_error(name));
  }
  return {};
}

}  // namespace

ktls::Result<void> hkdf_expand_label(HashAlgorithm hash, Bytes secret, std::string_view label,
                                     Bytes context, std::span<std::uint8_t> out) {
  const ErrorMark mark;
  int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
  const std::array params = {
      OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
      digest(hash),
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
  const ErrorMark mark;
  // PRF(secret, label, seed) = P_<hash>(secret, label + seed): the KDF joins its seeds in order.
  const std::array params = {
      digest(hash),
      octets(OSSL_KDF_PARAM_SECRET, secret),
      octets(OSSL_KDF_PARAM_SEED, bytes_of(label)),
      octets(OSSL_KDF_PARAM_SEED, seed),
      OSSL_PARAM_construct_end(),
  };
  return derive(prf(), "EVP_KDF TLS1-PRF", secret, params.data(), out);
}

}  // namespace tls
