// Aead: one key of an AEAD cipher (RFC 5116) in libcrypto, keyed once and used for many records.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "ktls/base/result.h"
#include "userspace/suite/cipher_suite.h"

struct evp_cipher_ctx_st;
struct evp_cipher_st;

namespace tls {

// Move-only; the key in libcrypto is cleansed with it. Knows nothing of nonces: that none is used
// twice is the caller's promise. Nothing is allocated by seal() and by an open() that succeeds.
// A moved-from Aead may only be destroyed or assigned to.
class Aead {
 public:
  using Nonce = std::array<std::uint8_t, kAeadNonceSize>;

  // `key` has cipher.key_size bytes. Errors: kInvalidArgument for another size, kUnsupported for a
  // cipher that is no AEAD or that libcrypto does not offer, kCrypto.
  [[nodiscard]] static ktls::Result<Aead> create(const BulkCipher& cipher,
                                                 std::span<const std::uint8_t> key);

  // Writes the ciphertext of `plaintext` and then of `trailer`, as of one message, and the tag to
  // `sealed`, whose size is exactly that of the three. `plaintext` either starts where `sealed`
  // does or does not overlap it; `trailer` (which may be empty) does not overlap it.
  // Errors: kInvalidArgument for sizes, kCrypto.
  [[nodiscard]] ktls::Result<void> seal(const Nonce& nonce,
                                        std::span<const std::uint8_t> associated_data,
                                        std::span<const std::uint8_t> plaintext,
                                        std::span<const std::uint8_t> trailer,
                                        std::span<std::uint8_t> sealed);

  // Opens ciphertext || tag into `plaintext`, whose size is that of the ciphertext and which
  // starts where `sealed` does or does not overlap it. libcrypto compares the tag in constant
  // time. Errors: kBadRecordMac, with `plaintext` zeroed; kInvalidArgument for sizes; kCrypto.
  [[nodiscard]] ktls::Result<void> open(const Nonce& nonce,
                                        std::span<const std::uint8_t> associated_data,
                                        std::span<const std::uint8_t> sealed,
                                        std::span<std::uint8_t> plaintext);

  [[nodiscard]] std::size_t tag_size() const { return tag_size_; }

 private:
  struct FreeContext {
    void operator()(evp_cipher_ctx_st* context) const;
  };
  using Context = std::unique_ptr<evp_cipher_ctx_st, FreeContext>;

  Aead(Context context, Context ccm_opening, std::size_t tag_size)
      : context_(std::move(context)), ccm_opening_(std::move(ccm_opening)), tag_size_(tag_size) {}

  // Null: libcrypto refused.
  [[nodiscard]] static Context keyed(const evp_cipher_st* evp_cipher, const BulkCipher& cipher,
                                     std::span<const std::uint8_t> key, bool encrypts);

  [[nodiscard]] ktls::Result<void> seal_ccm(const Nonce& nonce,
                                            std::span<const std::uint8_t> associated_data,
                                            std::span<const std::uint8_t> plaintext,
                                            std::span<const std::uint8_t> trailer,
                                            std::span<std::uint8_t> sealed);
  [[nodiscard]] ktls::Result<void> open_ccm(const Nonce& nonce,
                                            std::span<const std::uint8_t> associated_data,
                                            std::span<const std::uint8_t> ciphertext,
                                            std::span<const std::uint8_t> tag,
                                            std::span<std::uint8_t> plaintext);

  Context context_;
  Context ccm_opening_;  // null in other modes, whose one context does both
  std::size_t tag_size_;
};

}  // namespace tls
