// Buffer and BufferPool: views, room, limits and wiping.

#include "userspace/io/buffer.h"

#include <array>
#include <vector>

#include <gtest/gtest.h>

namespace bridge {
namespace {

using ktls::ErrorCode;
using ktls::Result;
using Bytes = std::vector<std::uint8_t>;

Buffer leased(BufferPool& pool) {
  Result<Buffer> buffer = pool.lease();
  EXPECT_TRUE(buffer);
  return buffer ? std::move(*buffer) : Buffer();
}

Bytes contents(const Buffer& buffer) {
  return {buffer.bytes().begin(), buffer.bytes().end()};
}

TEST(Buffer, StartsEmptyBehindItsHeadroom) {
  BufferPool pool;
  const Buffer buffer = leased(pool);
  EXPECT_EQ(buffer.size(), 0U);
  EXPECT_EQ(buffer.headroom(), kBufferHeadroom);
  EXPECT_EQ(buffer.tailroom(), kBufferSize + kBufferTail);
}

TEST(Buffer, TakesTheBeginningOfARecordBeforeWhatWasReceived) {
  BufferPool pool;
  Buffer buffer = leased(pool);
  ASSERT_TRUE(buffer.append(Bytes{4, 5, 6}));
  ASSERT_TRUE(buffer.prepend(Bytes{1, 2, 3}));
  EXPECT_EQ(contents(buffer), (Bytes{1, 2, 3, 4, 5, 6}));
  buffer.consume(2);
  EXPECT_EQ(contents(buffer), (Bytes{3, 4, 5, 6}));
  buffer.truncate(3);
  EXPECT_EQ(contents(buffer), (Bytes{3, 4, 5}));
  buffer.tail()[0] = 9;
  buffer.commit(1);
  EXPECT_EQ(contents(buffer), (Bytes{3, 4, 5, 9}));
}

TEST(Buffer, HasRoomForAllOfTheLargestRecordButItsLastByte) {
  BufferPool pool;
  Buffer buffer = leased(pool);
  const Bytes beginning(5 + 16384 + 2048 - 1, 7);
  EXPECT_TRUE(buffer.prepend(beginning));
  EXPECT_EQ(contents(buffer), beginning);
}

TEST(Buffer, RefusesWhatDoesNotFit) {
  BufferPool pool;
  Buffer buffer = leased(pool);
  const Bytes many(kBufferBlockSize, 1);
  const Result<void> before = buffer.prepend(std::span(many).first(kBufferHeadroom + 1));
  ASSERT_FALSE(before);
  EXPECT_EQ(before.error().code, ErrorCode::kInvalidArgument);
  const Result<void> behind = buffer.append(std::span(many).first(kBufferSize + kBufferTail + 1));
  ASSERT_FALSE(behind);
  EXPECT_EQ(behind.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(buffer.size(), 0U);
  EXPECT_FALSE(Buffer().append(Bytes{1}));
}

TEST(Buffer, KnowsWhichPartsLieInItsBlock) {
  BufferPool pool;
  const Buffer buffer = leased(pool);
  const std::size_t room = kBufferSize + kBufferTail;
  EXPECT_TRUE(buffer.holds(0, room));
  EXPECT_TRUE(buffer.holds(room, 0));
  EXPECT_FALSE(buffer.holds(1, room));
  EXPECT_FALSE(buffer.holds(static_cast<std::size_t>(-1), 2));
  EXPECT_FALSE(Buffer().holds(0, 1));
}

TEST(Buffer, SharesItsBlockWithItsCopiesButNotItsEnds) {
  BufferPool pool;
  Buffer one = leased(pool);
  ASSERT_TRUE(one.append(Bytes{1, 2, 3}));
  Buffer other = one;
  other.consume(1);
  other.data()[0] = 8;
  EXPECT_EQ(contents(one), (Bytes{1, 8, 3}));
  EXPECT_EQ(contents(other), (Bytes{8, 3}));
  one.reset();
  EXPECT_EQ(pool.leased(), 1U);
  EXPECT_EQ(contents(other), (Bytes{8, 3}));
  const Buffer moved = std::move(other);
  EXPECT_EQ(pool.leased(), 1U);
  EXPECT_EQ(contents(moved), (Bytes{8, 3}));
}

TEST(BufferPool, GivesBlocksUpToItsLimitAndAgainWhenTheyComeBack) {
  BufferPool pool(2);
  Buffer one = leased(pool);
  const Buffer other = leased(pool);
  const Result<Buffer> none = pool.lease();
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kLimitReached);
  one.reset();
  EXPECT_EQ(pool.leased(), 1U);
  EXPECT_TRUE(pool.lease());
}

TEST(BufferPool, WipesWhatABlockHeldBeforeItIsLeasedAgain) {
  BufferPool pool;
  Buffer buffer = leased(pool);
  const Bytes secret(1000, 0x5a);
  ASSERT_TRUE(buffer.append(secret));
  ASSERT_TRUE(buffer.prepend(secret));
  // As an operation does that received behind the end and was never looked at.
  std::copy(secret.begin(), secret.end(), buffer.data() + 5000);
  buffer.mark_written(5000, secret.size());
  buffer.consume(buffer.size());
  buffer.reset();
  ASSERT_EQ(pool.idle(), 1U);

  Buffer again = leased(pool);
  again.uncover(secret.size());
  again.commit(5000);
  EXPECT_EQ(contents(again), Bytes(secret.size() + 5000, 0));
}

TEST(BufferPool, WipesNothingThatWasPublic) {
  BufferPool pool;
  Buffer buffer = leased(pool);
  const Bytes ciphertext(1000, 0x5a);
  std::copy(ciphertext.begin(), ciphertext.end(), buffer.tail().data());
  buffer.commit_public(ciphertext.size());
  EXPECT_EQ(contents(buffer), ciphertext);
  ASSERT_TRUE(buffer.append(Bytes(10, 0x17)));
  buffer.reset();

  Buffer again = leased(pool);
  again.commit(ciphertext.size() + 10);
  Bytes expected = ciphertext;
  expected.resize(ciphertext.size() + 10);
  EXPECT_EQ(contents(again), expected);
}

TEST(BufferPool, KeepsABoundedNumberOfIdleBlocks) {
  BufferPool pool;
  std::vector<Buffer> buffers;
  for (std::size_t i = 0; i < 2 * kIdleBuffersMax; ++i) buffers.push_back(leased(pool));
  EXPECT_EQ(pool.idle(), 0U);
  buffers.clear();
  EXPECT_EQ(pool.leased(), 0U);
  EXPECT_EQ(pool.idle(), kIdleBuffersMax);
}

}  // namespace
}  // namespace bridge
