// Secret, and what is left of it in memory when it is gone.
#include "ktls/base/secret.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace ktls {
namespace {

constexpr std::uint8_t kMark = 0xa5;
using Key = Secret<32, struct KeyTag>;
using Iv = Secret<32, struct IvTag>;

static_assert(!std::is_copy_constructible_v<Key> && !std::is_copy_assignable_v<Key>);
static_assert(std::is_nothrow_move_constructible_v<Key>);
static_assert(!std::is_convertible_v<Iv, Key> && !std::is_constructible_v<Key, Iv>);

std::vector<std::uint8_t> marks(std::size_t size) {
  return std::vector(size, kMark);
}

// Storage that outlives the Secret in it. It is read as volatile: of an object that is gone the
// compiler may assume anything.
class Storage {
 public:
  template <typename... Arguments>
  Key& emplace(Arguments&&... arguments) {
    return *new (bytes_.data()) Key(std::forward<Arguments>(arguments)...);
  }
  [[nodiscard]] std::size_t marks_left() const {
    std::size_t count = 0;
    const volatile std::byte* at = bytes_.data();
    for (std::size_t i = 0; i < bytes_.size(); ++i) count += at[i] == std::byte{kMark} ? 1 : 0;
    return count;
  }

 private:
  alignas(Key) std::array<std::byte, sizeof(Key)> bytes_{};
};

TEST(Secret, HoldsWhatItWasGiven) {
  const Key key(marks(16));
  EXPECT_EQ(key.size(), 16U);
  EXPECT_FALSE(key.empty());
  EXPECT_TRUE(std::ranges::equal(key.bytes(), marks(16)));
}

TEST(Secret, TakesNoMoreThanItsCapacity) {
  EXPECT_EQ(Key(marks(40)).size(), 32U);
  EXPECT_EQ(Key::with_size(40).size(), 32U);
}

TEST(Secret, MakesZerosOfTheSizeAskedForAndLetsThemBeWritten) {
  Key key = Key::with_size(4);
  EXPECT_TRUE(std::ranges::equal(key.bytes(), std::array<std::uint8_t, 4>{}));
  std::ranges::fill(key.mutable_bytes(), kMark);
  EXPECT_TRUE(std::ranges::equal(key.bytes(), marks(4)));
}

TEST(Secret, WipesItsStorageWhenDestroyed) {
  Storage storage;
  Key& key = storage.emplace(marks(32));
  ASSERT_EQ(storage.marks_left(), 32U);
  std::destroy_at(&key);
  EXPECT_EQ(storage.marks_left(), 0U);
}

TEST(Secret, WipesTheSourceWhenMoveConstructed) {
  Storage storage;
  Key& key = storage.emplace(marks(32));
  const Key taken(std::move(key));
  EXPECT_EQ(storage.marks_left(), 0U);
  EXPECT_TRUE(key.empty());  // NOLINT(bugprone-use-after-move)
  EXPECT_TRUE(std::ranges::equal(taken.bytes(), marks(32)));
  std::destroy_at(&key);
}

TEST(Secret, WipesTheSourceAndTheOldValueWhenMoveAssigned) {
  Storage source;
  Storage target;
  Key& from = source.emplace(std::vector<std::uint8_t>{1, 2, 3});
  Key& to = target.emplace(marks(32));
  to = std::move(from);
  EXPECT_EQ(target.marks_left(), 0U) << "a shorter secret must not leave the longer one's tail";
  EXPECT_TRUE(std::ranges::equal(to.bytes(), std::array<std::uint8_t, 3>{1, 2, 3}));
  EXPECT_TRUE(from.empty());  // NOLINT(bugprone-use-after-move)
  std::destroy_at(&from);
  std::destroy_at(&to);
}

TEST(Secret, SurvivesAssignmentToItself) {
  Key key(marks(8));
  Key& same = key;
  key = std::move(same);
  EXPECT_TRUE(std::ranges::equal(key.bytes(), marks(8)));
}

TEST(Secret, DuplicatesOnlyWhenAsked) {
  const Key key(marks(8));
  const Key twin = key.duplicate();
  EXPECT_TRUE(std::ranges::equal(key.bytes(), twin.bytes()));
  EXPECT_NE(key.bytes().data(), twin.bytes().data());
}

TEST(Secret, IsEmptyAfterAWipe) {
  Storage storage;
  Key& key = storage.emplace(marks(32));
  key.wipe();
  EXPECT_TRUE(key.empty());
  EXPECT_EQ(storage.marks_left(), 0U);
  std::destroy_at(&key);
}

}  // namespace
}  // namespace ktls
