// Random bytes: that they come, and differ.
#include "userspace/crypto/random.h"

#include <array>

#include <gtest/gtest.h>

namespace tls {
namespace {

TEST(Random, FillsWithDifferentBytesEachTime) {
  std::array<std::uint8_t, 32> first{};
  std::array<std::uint8_t, 32> second{};
  ASSERT_TRUE(fill_random(first));
  ASSERT_TRUE(fill_random(second));
  EXPECT_NE(first, second);
  EXPECT_NE(first, (std::array<std::uint8_t, 32>{}));
}

TEST(Random, FillsNothingWithoutError) {
  EXPECT_TRUE(fill_random({}));
}

}  // namespace
}  // namespace tls
