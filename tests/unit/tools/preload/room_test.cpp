#include "tools/preload/room.h"

#include <array>
#include <vector>

#include <gtest/gtest.h>

namespace preload {
namespace {

TEST(Room, IsTheSumOfTheParts) {
  std::array<char, 8> bytes{};
  const std::array<iovec, 3> parts{{{bytes.data(), 3}, {nullptr, 0}, {bytes.data(), 5}}};
  EXPECT_EQ(room_of(parts.data(), parts.size()), 8U);
  EXPECT_EQ(room_of(nullptr, 0), 0U);
}

TEST(Room, IsUnusableWhereTheKernelRefusesTheParts) {
  EXPECT_EQ(room_of(nullptr, 1), kUnusable);
  const std::vector<iovec> many(IOV_MAX + 1);
  EXPECT_EQ(room_of(many.data(), many.size()), kUnusable);
  EXPECT_EQ(room_of(many.data(), IOV_MAX), 0U);
}

TEST(Room, IsUnusableBeyondWhatAnAnswerCanCount) {
  char byte = 0;
  const std::array<iovec, 2> parts{{{&byte, SSIZE_MAX}, {&byte, 1}}};
  EXPECT_EQ(room_of(parts.data(), 1), std::size_t{SSIZE_MAX});
  EXPECT_EQ(room_of(parts.data(), 2), kUnusable);
}

}  // namespace
}  // namespace preload
