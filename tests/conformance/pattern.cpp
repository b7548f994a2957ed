// Making and comparing the bytes of a pattern.

#include "tests/conformance/pattern.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <string>

namespace conformance {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::size_t kWordSize = sizeof(std::uint64_t);
constexpr std::size_t kPieceSize = 4096;

std::uint64_t word(std::uint64_t seed, std::uint64_t number) {
  std::uint64_t z = (seed << 40U) + (number + 1) * 0x9e3779b97f4a7c15U;
  z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31U);
}

}  // namespace

void Pattern::fill(std::uint64_t position, std::span<std::uint8_t> bytes) const {
  while (!bytes.empty()) {
    const std::uint64_t value = word(seed_, position / kWordSize);
    const std::size_t skipped = position % kWordSize;
    const std::size_t size = std::min(kWordSize - skipped, bytes.size());
    std::array<std::uint8_t, kWordSize> whole{};
    std::memcpy(whole.data(), &value, kWordSize);
    std::memcpy(bytes.data(), whole.data() + skipped, size);
    bytes = bytes.subspan(size);
    position += size;
  }
}

ktls::Result<void> PatternCheck::take(std::span<const std::uint8_t> bytes) {
  std::array<std::uint8_t, kPieceSize> expected{};
  while (!bytes.empty()) {
    const std::size_t size = std::min(kPieceSize, bytes.size());
    pattern_.fill(position_, std::span(expected).first(size));
    const auto* const differs =
        std::mismatch(expected.data(), expected.data() + size, bytes.data()).first;
    if (differs != expected.data() + size) {
      const auto offset = static_cast<std::uint64_t>(differs - expected.data());
      return ktls::fail(ktls::Error::of(
          ktls::ErrorCode::kIllegalParameter,
          "byte " + std::to_string(position_ + offset) + " of the content is another"));
    }
    bytes = bytes.subspan(size);
    position_ += size;
  }
  return {};
}

}  // namespace conformance
