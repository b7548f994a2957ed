// Hash over EVP_MD of OpenSSL 3.
#include "userspace/crypto/hash.h"

#include <array>
#include <string>
#include <utility>

#include <openssl/evp.h>

#include "userspace/crypto/openssl_error.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;

// Fetched once a process, and kept as long as it.
const EVP_MD* fetched(HashAlgorithm algorithm) {
  static const auto all = [] {
    const ErrorMark mark;
    std::array<const EVP_MD*, 5> mds{};
    for (std::size_t i = 0; i < mds.size(); ++i) {
      const std::string name(name_of(static_cast<HashAlgorithm>(i)));
      mds.at(i) = EVP_MD_fetch(nullptr, name.c_str(), nullptr);
    }
    return mds;
  }();
  return all.at(static_cast<std::size_t>(algorithm));
}

}  // namespace

void Hash::FreeContext::operator()(evp_md_ctx_st* context) const {
  EVP_MD_CTX_free(context);
}

ktls::Result<Hash> Hash::create(HashAlgorithm algorithm) {
  const ErrorMark mark;
  const EVP_MD* const md = fetched(algorithm);
  if (md == nullptr) {
    return ktls::fail(Error::of(ErrorCode::kUnsupported,
                                "libcrypto does not offer " + std::string(name_of(algorithm))));
  }
  Context context(EVP_MD_CTX_new());
  if (!context) return ktls::fail(crypto_error("EVP_MD_CTX_new"));
  return Hash(std::move(context), md, algorithm);
}

ktls::Result<void> Hash::digest(Parts parts, std::span<std::uint8_t> out) {
  const ErrorMark mark;
  bool done = out.size() == size() && EVP_DigestInit_ex2(context_.get(), md_, nullptr) == 1;
  for (const auto part : parts) {
    done = done && EVP_DigestUpdate(context_.get(), part.data(), part.size()) == 1;
  }
  if (!done || EVP_DigestFinal_ex(context_.get(), out.data(), nullptr) != 1) {
    return ktls::fail(crypto_error("EVP_Digest"));
  }
  return {};
}

}  // namespace tls
