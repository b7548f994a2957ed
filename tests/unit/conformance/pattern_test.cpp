#include "tests/conformance/pattern.h"

#include <array>
#include <vector>

#include <gtest/gtest.h>

namespace conformance {
namespace {

std::vector<std::uint8_t> bytes_of(const Pattern& pattern, std::uint64_t position,
                                   std::size_t size) {
  std::vector<std::uint8_t> bytes(size);
  pattern.fill(position, bytes);
  return bytes;
}

TEST(Pattern, HasTheSameByteAtAPositionHoweverItIsReached) {
  const Pattern pattern(1);
  const auto whole = bytes_of(pattern, 0, 100);
  for (std::size_t from = 0; from < whole.size(); ++from) {
    for (std::size_t size = 0; size <= whole.size() - from; ++size) {
      const auto piece = bytes_of(pattern, from, size);
      ASSERT_TRUE(std::equal(piece.begin(), piece.end(), whole.begin() + from));
    }
  }
}

TEST(Pattern, DiffersBySeed) {
  EXPECT_NE(bytes_of(Pattern(1), 0, 8), bytes_of(Pattern(2), 0, 8));
}

TEST(PatternCheck, TakesTheStreamInAnyPieces) {
  const Pattern pattern(1);
  PatternCheck check(pattern);
  for (const std::size_t size : {1, 7, 8, 9, 5000, 70'000}) {
    EXPECT_TRUE(check.take(bytes_of(pattern, check.position(), size)));
  }
  EXPECT_EQ(check.position(), 75'025U);
}

TEST(PatternCheck, NamesTheFirstByteThatIsAnother) {
  const Pattern pattern(1);
  PatternCheck check(pattern);
  ASSERT_TRUE(check.take(bytes_of(pattern, 0, 10)));
  auto bytes = bytes_of(pattern, 10, 9000);
  bytes[8000] ^= 1U;
  const auto taken = check.take(bytes);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().message(), "byte 8010 of the content is another");
}

}  // namespace
}  // namespace conformance
