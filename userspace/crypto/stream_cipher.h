// StreamCipher: one key of a stream cipher in libcrypto (RC4), whose key stream runs on from record
// to record.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "ktls/base/result.h"
#include "userspace/suite/cipher_suite.h"

struct evp_cipher_ctx_st;

namespace tls {

// Move-only; the key in libcrypto is cleansed with it. Sealing and opening are the same. Nothing is
// allocated by apply(). A moved-from StreamCipher may only be destroyed or assigned to.
class StreamCipher {
 public:
  // `key` has cipher.key_size bytes. Errors: kInvalidArgument for another size, kUnsupported for a
  // cipher that is no stream cipher or that libcrypto does not offer, kCrypto.
  [[nodiscard]] static ktls::Result<StreamCipher> create(const BulkCipher& cipher,
                                                         std::span<const std::uint8_t> key);

  // `to` is as long as `from`; they are the same or do not overlap. Error: kCrypto.
  [[nodiscard]] ktls::Result<void> apply(std::span<const std::uint8_t> from,
                                         std::span<std::uint8_t> to);

 private:
  struct FreeContext {
    void operator()(evp_cipher_ctx_st* context) const;
  };
  using Context = std::unique_ptr<evp_cipher_ctx_st, FreeContext>;

  explicit StreamCipher(Context context) : context_(std::move(context)) {}

  Context context_;
};

}  // namespace tls
