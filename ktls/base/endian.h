// Big-endian (network order) loads and stores of fixed width.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace ktls {

template <typename Word>
[[nodiscard]] constexpr Word swap_if_little(Word value) {
  if constexpr (std::endian::native == std::endian::big || sizeof(Word) == 1) return value;
  if constexpr (sizeof(Word) == 2) return static_cast<Word>(__builtin_bswap16(value));
  if constexpr (sizeof(Word) == 4) return static_cast<Word>(__builtin_bswap32(value));
  if constexpr (sizeof(Word) == 8) return static_cast<Word>(__builtin_bswap64(value));
}

// Reads sizeof(Word) bytes at `from`, which need not be aligned.
template <typename Word>
[[nodiscard]] Word load_big_endian(const void* from) {
  Word value{};
  std::memcpy(&value, from, sizeof value);
  return swap_if_little(value);
}

// Writes sizeof(Word) bytes at `to`, which need not be aligned.
template <typename Word>
void store_big_endian(void* to, Word value) {
  value = swap_if_little(value);
  std::memcpy(to, &value, sizeof value);
}

}  // namespace ktls
