// CbcCipher: one key of a block cipher in CBC mode, in libcrypto; whole blocks, no padding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "ktls/base/result.h"
#include "userspace/suite/cipher_suite.h"

struct evp_cipher_ctx_st;
struct evp_cipher_st;

namespace tls {

// The largest block of the ciphers here, in bytes.
inline constexpr std::size_t kBlockSizeMax = 16;

// Move-only; the key in libcrypto is cleansed with it. Keeps no chaining value: each call is given
// its IV, so a call that failed leaves nothing behind. Nothing is allocated by encrypt and decrypt.
// A moved-from CbcCipher may only be destroyed or assigned to.
class CbcCipher {
 public:
  // `key` has cipher.key_size bytes. Errors: kInvalidArgument for another size, kUnsupported for a
  // cipher that is no CBC cipher or that libcrypto does not offer, kCrypto.
  [[nodiscard]] static ktls::Result<CbcCipher> create(const BulkCipher& cipher,
                                                      std::span<const std::uint8_t> key);

  // `iv` is a block, `from` whole blocks, `to` as long; they are the same or do not overlap.
  // Errors: kInvalidArgument for sizes, kCrypto.
  [[nodiscard]] ktls::Result<void> encrypt(std::span<const std::uint8_t> iv,
                                           std::span<const std::uint8_t> from,
                                           std::span<std::uint8_t> to);
  [[nodiscard]] ktls::Result<void> decrypt(std::span<const std::uint8_t> iv,
                                           std::span<const std::uint8_t> from,
                                           std::span<std::uint8_t> to);

  [[nodiscard]] std::size_t block_size() const { return block_size_; }

 private:
  struct FreeContext {
    void operator()(evp_cipher_ctx_st* context) const;
  };
  using Context = std::unique_ptr<evp_cipher_ctx_st, FreeContext>;

  CbcCipher(Context encrypting, Context decrypting, std::size_t block_size)
      : encrypting_(std::move(encrypting)),
        decrypting_(std::move(decrypting)),
        block_size_(block_size) {}

  [[nodiscard]] static Context keyed(const evp_cipher_st* cipher, std::span<const std::uint8_t> key,
                                     bool encrypts);
  [[nodiscard]] ktls::Result<void> run(evp_cipher_ctx_st* context, std::span<const std::uint8_t> iv,
                                       std::span<const std::uint8_t> from,
                                       std::span<std::uint8_t> to) const;

  // A block cipher's key schedule has a direction. Both are made, so that whoever makes a state
  // need not know whether it will read or write.
  Context encrypting_;
  Context decrypting_;
  std::size_t block_size_;
};

}  // namespace tls
