// Input: the bytes of one run, taken from the front. What is no longer there reads as zero, so
// that every input means something and a shorter one means something similar.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace tls::fuzz {

class Input {
 public:
  explicit Input(std::span<const std::uint8_t> bytes) : rest_(bytes) {}

  [[nodiscard]] bool empty() const { return rest_.empty(); }

  [[nodiscard]] std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const std::uint8_t first = rest_.front();
    rest_ = rest_.subspan(1);
    return first;
  }

  // Big-endian, of `size` bytes, at most 8.
  [[nodiscard]] std::uint64_t number(std::size_t size) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i) value = value << 8U | byte();
    return value;
  }

  [[nodiscard]] bool flag() { return (byte() & 1U) != 0; }

  // From 0 to `bound` - 1; as many bytes as that needs.
  [[nodiscard]] std::size_t below(std::size_t bound) {
    return bound == 0 ? 0 : number(bound <= 0x100 ? 1 : bound <= 0x10000 ? 2 : 4) % bound;
  }

  // One of a list.
  template <class T>
  [[nodiscard]] const T& one_of(std::span<const T> list) {
    return list[below(list.size())];
  }

  // The next `size` bytes, fewer where there are fewer.
  [[nodiscard]] std::span<const std::uint8_t> bytes(std::size_t size) {
    const auto taken = rest_.first(std::min(size, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }

 private:
  std::span<const std::uint8_t> rest_;
};

}  // namespace tls::fuzz
