// Hash: a hash function in libcrypto, keyed by nothing, used for many messages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>

#include "ktls/base/result.h"
#include "userspace/suite/cipher_suite.h"

struct evp_md_ctx_st;
struct evp_md_st;

namespace tls {

// Move-only; what it holds of a message is cleansed with it. A moved-from Hash may only be
// destroyed or assigned to.
class Hash {
 public:
  using Parts = std::initializer_list<std::span<const std::uint8_t>>;

  // Error: kUnsupported where libcrypto does not offer it (MD5 under FIPS).
  [[nodiscard]] static ktls::Result<Hash> create(HashAlgorithm algorithm);

  // Of all parts as one message, into `out`, which is size() bytes. Error: kCrypto.
  [[nodiscard]] ktls::Result<void> digest(Parts parts, std::span<std::uint8_t> out);

  [[nodiscard]] std::size_t size() const { return size_of(algorithm_); }
  [[nodiscard]] HashAlgorithm algorithm() const { return algorithm_; }

 private:
  struct FreeContext {
    void operator()(evp_md_ctx_st* context) const;
  };
  using Context = std::unique_ptr<evp_md_ctx_st, FreeContext>;

  Hash(Context context, const evp_md_st* md, HashAlgorithm algorithm)
      : context_(std::move(context)), md_(md), algorithm_(algorithm) {}

  Context context_;
  const evp_md_st* md_;
  HashAlgorithm algorithm_;
};

}  // namespace tls
