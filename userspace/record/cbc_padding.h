// The padding of CBC ciphers (RFC 5246 section 6.2.3.2, RFC 6101 section 5.2.3.2), and the chain of
// blocks that runs from record to record.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "userspace/crypto/cbc_cipher.h"

namespace tls {

// Bytes of padding, its own length included, after `size` bytes: 1 to a block, never more.
[[nodiscard]] constexpr std::size_t padding_size(std::size_t size, std::size_t block_size) {
  return block_size - size % block_size;
}

// Fills `padding` as every version may: each byte is the padding's length without its last byte.
inline void fill_padding(std::span<std::uint8_t> padding) {
  for (std::uint8_t& byte : padding) byte = static_cast<std::uint8_t>(padding.size() - 1);
}

// The last block of ciphertext, into which the next record's first block is chained.
class CbcChain {
 public:
  CbcChain() = default;
  explicit CbcChain(std::span<const std::uint8_t> iv) { set(iv); }

  // `ciphertext` is whole blocks; of none, nothing changes. The first one says how long a block is.
  void set(std::span<const std::uint8_t> ciphertext) {
    if (ciphertext.empty()) return;
    if (size_ == 0) size_ = std::min(ciphertext.size(), block_.size());
    std::ranges::copy(ciphertext.last(std::min(ciphertext.size(), size_)), block_.begin());
  }
  [[nodiscard]] std::span<const std::uint8_t> value() const {
    return std::span(block_).first(size_);
  }

 private:
  std::array<std::uint8_t, kBlockSizeMax> block_{};
  std::size_t size_ = 0;
};

}  // namespace tls
