// Hmac over EVP_MAC of OpenSSL 3.
#include "userspace/crypto/hmac.h"

#include <string>
#include <utility>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "userspace/crypto/openssl_error.h"

namespace tls {
namespace {

// Fetched once a process, and kept as long as it.
EVP_MAC* fetched() {
  static EVP_MAC* const mac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  return mac;
}

bool append(EVP_MAC_CTX* context, std::span<const std::uint8_t> part) {
  return EVP_MAC_update(context, part.data(), part.size()) == 1;
}

bool finish(EVP_MAC_CTX* context, std::span<std::uint8_t> out) {
  std::size_t written = 0;
  return EVP_MAC_final(context, out.data(), &written, out.size()) == 1 && written == out.size();
}

}  // namespace

void Hmac::FreeContext::operator()(evp_mac_ctx_st* context) const {
  EVP_MAC_CTX_free(context);
}

ktls::Result<Hmac> Hmac::create(HashAlgorithm algorithm, std::span<const std::uint8_t> key) {
  const ErrorMark mark;
  std::string digest(name_of(algorithm));
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0),
      OSSL_PARAM_construct_end()};
  Context context(fetched() == nullptr ? nullptr : EVP_MAC_CTX_new(fetched()));
  if (!context || EVP_MAC_init(context.get(), key.data(), key.size(), params) != 1) {
    return ktls::fail(crypto_error("EVP_MAC HMAC"));
  }
  return Hmac(std::move(context), size_of(algorithm));
}

ktls::Result<void> Hmac::compute(Parts parts, std::span<std::uint8_t> out) {
  const ErrorMark mark;
  bool done = EVP_MAC_init(context_.get(), nullptr, 0, nullptr) == 1;
  for (const auto part : parts) done = done && append(context_.get(), part);
  if (!done || !finish(context_.get(), out)) return ktls::fail(crypto_error("EVP_MAC HMAC"));
  return {};
}

// "tls-data-size" of EVP_MAC-HMAC(7) is libssl's own way to the MAC of a record whose padding may
// not be revealed. A context that has been used so cannot be used again: hence the copy.
ktls::Result<void> Hmac::compute_secretly(std::span<const std::uint8_t, kTlsHeaderSize> header,
                                          std::span<const std::uint8_t> record,
                                          std::size_t content_size, std::span<std::uint8_t> out) {
  const ErrorMark mark;
  const Context context(EVP_MAC_CTX_dup(context_.get()));
  std::size_t record_size = record.size();
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_TLS_DATA_SIZE, &record_size),
      OSSL_PARAM_construct_end()};
  if (!context || EVP_MAC_CTX_set_params(context.get(), params) != 1 ||
      !append(context.get(), header) ||
      EVP_MAC_update(context.get(), record.data(), content_size) != 1 ||
      !finish(context.get(), out)) {
    return ktls::fail(crypto_error("EVP_MAC HMAC"));
  }
  return {};
}

}  // namespace tls
