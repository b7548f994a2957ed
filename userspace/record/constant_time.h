// Masks instead of branches, for values that must not show in how long something takes: all ones
// for true, zero for false.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tls::constant_time {

using Mask = std::size_t;

// Keeps the compiler from knowing that a mask has two values only, and branching on it.
[[nodiscard]] inline Mask hidden(Mask mask) {
  __asm__("" : "+r"(mask));  // NOLINT(hicpp-no-assembler)
  return mask;
}

[[nodiscard]] inline Mask from_top_bit(std::size_t value) {
  return hidden(0 - (value >> (8 * sizeof value - 1)));
}

// a < b, for any values.
[[nodiscard]] inline Mask less(std::size_t a, std::size_t b) {
  return from_top_bit(a ^ ((a ^ b) | ((a - b) ^ a)));
}

[[nodiscard]] inline Mask is_zero(std::size_t value) {
  return from_top_bit(~value & (value - 1));
}

[[nodiscard]] inline Mask equal(std::size_t a, std::size_t b) {
  return is_zero(a ^ b);
}

// Where a secret comes into being, and where it becomes known to all. Both do nothing; a program
// that defines them itself is linked with its own, and can watch what depends on the secret in
// between (tests/constant_time).
void classify(std::span<const std::uint8_t> secret);
[[nodiscard]] std::size_t declassify(std::size_t value);

}  // namespace tls::constant_time
