// Masks instead of branches: the same answers as the branches give.
#include "userspace/record/constant_time.h"

#include <array>
#include <cstdint>

#include <gtest/gtest.h>

namespace tls::constant_time {
namespace {

constexpr Mask kTrue = ~Mask{0};
constexpr Mask kFalse = 0;

constexpr Mask mask_of(bool value) {
  return value ? kTrue : kFalse;
}

constexpr std::array<std::size_t, 12> kEdges = {
    0, 1, 2, 127, 128, 255, 256, 0x7fffffff, 0xffffffff, SIZE_MAX / 2, SIZE_MAX / 2 + 1, SIZE_MAX};

void expect_like_branches(std::size_t a, std::size_t b) {
  ASSERT_EQ(less(a, b), mask_of(a < b)) << a << ' ' << b;
  ASSERT_EQ(equal(a, b), mask_of(a == b)) << a << ' ' << b;
}

TEST(ConstantTime, ComparesAsBranchesDo) {
  for (const std::size_t a : kEdges) {
    for (const std::size_t b : kEdges) expect_like_branches(a, b);
  }
  for (std::size_t a = 0; a < 300; ++a) {
    for (std::size_t b = 0; b < 300; ++b) expect_like_branches(a, b);
  }
}

TEST(ConstantTime, KnowsZeroAndTheTopBit) {
  for (const std::size_t value : kEdges) {
    EXPECT_EQ(is_zero(value), mask_of(value == 0)) << value;
    EXPECT_EQ(from_top_bit(value), mask_of(value > SIZE_MAX / 2)) << value;
    EXPECT_EQ(hidden(value), value);
  }
}

}  // namespace
}  // namespace tls::constant_time
