// Secret<N, Tag>: the only holder of key material; move-only, and wiped when it goes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <string.h>  // explicit_bzero

namespace ktls {

// Up to N bytes of secret. A moved-from Secret is empty and wiped. There is no operator<<, no
// comparison and no copy: what needs the bytes says so by calling bytes(). Tag keeps kinds of
// secret apart, so that an IV cannot be passed for a key.
template <std::size_t N, typename Tag>
class Secret {
 public:
  static constexpr std::size_t kCapacity = N;

  Secret() = default;

  // Copies `bytes`; at most N are taken, the caller checks lengths against its table before.
  explicit Secret(std::span<const std::uint8_t> bytes)
      : size_(bytes.size() < N ? bytes.size() : N) {
    if (size_ != 0) ::memcpy(bytes_.data(), bytes.data(), size_);
  }

  // `size` (at most N) zero bytes, to be written through mutable_bytes().
  [[nodiscard]] static Secret with_size(std::size_t size) {
    Secret secret;
    secret.size_ = size < N ? size : N;
    return secret;
  }

  Secret(Secret&& other) noexcept : bytes_(other.bytes_), size_(other.size_) { other.wipe(); }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      wipe();
      bytes_ = other.bytes_;
      size_ = other.size_;
      other.wipe();
    }
    return *this;
  }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { wipe(); }

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::span<const std::uint8_t> bytes() const { return {bytes_.data(), size_}; }
  [[nodiscard]] std::span<std::uint8_t> mutable_bytes() { return {bytes_.data(), size_}; }

  // A second holder of the same secret. The name is long so that each use is a decision.
  [[nodiscard]] Secret duplicate() const { return Secret(bytes()); }

  void wipe() {
    ::explicit_bzero(bytes_.data(), N);
    size_ = 0;
  }

 private:
  std::array<std::uint8_t, N> bytes_{};
  std::size_t size_ = 0;
};

}  // namespace ktls
