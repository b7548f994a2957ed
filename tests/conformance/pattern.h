// Pattern: the bytes that a direction carries, each determined by its position, so that a loss, a
// repetition or a shift shows wherever it happens and however long the stream is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ktls/base/result.h"

namespace conformance {

// The generator is SplitMix64 over the number of the 8-byte word (Steele, Lea and Flood, 2014),
// little-endian. JavaPeer.java has the same.
class Pattern {
 public:
  explicit Pattern(std::uint64_t seed) : seed_(seed) {}

  // The bytes from `position` on.
  void fill(std::uint64_t position, std::span<std::uint8_t> bytes) const;

 private:
  std::uint64_t seed_;
};

// Compares a stream with a pattern, piece by piece.
class PatternCheck {
 public:
  explicit PatternCheck(Pattern pattern) : pattern_(pattern) {}

  // The next bytes of the stream. Error: kIllegalParameter, naming the first position that differs.
  [[nodiscard]] ktls::Result<void> take(std::span<const std::uint8_t> bytes);

  [[nodiscard]] std::uint64_t position() const { return position_; }

 private:
  Pattern pattern_;
  std::uint64_t position_ = 0;
};

}  // namespace conformance
