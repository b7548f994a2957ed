// Splicing between sockets, pipes and files, alike on both loops.

#include <algorithm>
#include <cerrno>

#include "tests/unit/userspace/io/loop_fixture.h"
#include "userspace/io/when_both.h"

namespace bridge {
namespace {

using SpliceTest = LoopTest;
BRIDGE_ON_BOTH_LOOPS(SpliceTest);

constexpr std::size_t kSplicedSize = std::size_t{16} << 20U;

Task<Result<void>> send_pattern(Scope& scope, int fd) {
  Result<Buffer> buffer = scope.loop().buffers().lease();
  if (!buffer) co_return ktls::fail(buffer.error());
  for (std::size_t position = 0; position < kSplicedSize; position += kBufferSize) {
    for (std::size_t i = 0; i < kBufferSize; ++i) buffer->data()[i] = pattern(position + i);
    const Result<void> sent = co_await scope.loop().send(scope, fd, *buffer, 0, kBufferSize);
    if (!sent) co_return ktls::fail(sent.error());
  }
  ::shutdown(fd, SHUT_WR);
  co_return Result<void>{};
}

Task<Result<std::size_t>> count_pattern(Scope& scope, int fd) {
  std::size_t position = 0;
  for (;;) {
    const Result<Buffer> received = co_await scope.loop().receive_pooled(scope, fd);
    if (!received) co_return ktls::fail(received.error());
    if (received->empty()) co_return position;
    for (const std::uint8_t byte : received->bytes()) {
      if (byte != pattern(position)) {
        ADD_FAILURE() << "byte " << position << " is wrong";
        co_return position;
      }
      ++position;
    }
  }
}

// Moves everything from one socket to the other through a pipe that is leased while it holds
// bytes.
Task<Result<void>> relay(Scope& scope, int from, int to) {
  Loop& loop = scope.loop();
  for (;;) {
    const Result<void> ready = co_await loop.readable(scope, from);
    if (!ready) co_return ktls::fail(ready.error());
    Result<Pipe> pipe = loop.pipes().lease();
    if (!pipe) co_return ktls::fail(pipe.error());
    const Result<std::size_t> taken =
        co_await loop.splice(scope, from, pipe->write_end(), pipe->capacity());
    if (!taken) co_return ktls::fail(taken.error());
    if (*taken == 0) break;
    for (std::size_t left = *taken; left > 0;) {
      const Result<std::size_t> given = co_await loop.splice(scope, pipe->read_end(), to, left);
      if (!given) co_return ktls::fail(given.error());
      left -= *given;
    }
    scope.extend(milliseconds(60'000));
  }
  ::shutdown(to, SHUT_WR);
  co_return Result<void>{};
}

TEST_P(SpliceTest, RelaysMegabytesUnchangedFromSocketToSocket) {
  const SocketPair in = tcp_pair();
  const SocketPair out = tcp_pair();
  for (const int fd : {in.theirs.get(), out.ours.get()}) set_non_blocking(fd);
  run([&](Scope& scope) -> Task<void> {
    const auto ends = [&]() -> Task<Result<std::size_t>> {
      auto [sent, received] = co_await when_both(send_pattern(scope, in.ours.get()),
                                                 count_pattern(scope, out.theirs.get()));
      EXPECT_TRUE(sent);
      co_return std::move(received);
    };
    const auto [relayed, received] =
        co_await when_both(relay(scope, in.theirs.get(), out.ours.get()), ends());
    EXPECT_TRUE(relayed);
    expect_value(received, kSplicedSize);
  });
  EXPECT_EQ(loop().pipes().leased(), 0U);
}

TEST_P(SpliceTest, MovesAPieceOfARegularFile) {
  const UniqueFd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  run([&](Scope& scope) -> Task<void> {
    const Result<Pipe> pipe = loop().pipes().lease();
    EXPECT_TRUE(pipe);
    const Result<std::size_t> moved =
        co_await loop().splice(scope, file.get(), pipe->write_end(), 4096);
    expect_value(moved, std::size_t{4096});
  });
}

TEST_P(SpliceTest, ReportsWhatTheKernelRefuses) {
  SocketPair pair = tcp_pair();
  set_non_blocking(pair.ours.get());
  run([&](Scope& scope) -> Task<void> {
    const Result<std::size_t> no_pipe =
        co_await loop().splice(scope, pair.ours.get(), pair.ours.get(), 100);
    expect_errno(no_pipe, EINVAL);
    const Result<Pipe> pipe = loop().pipes().lease();
    EXPECT_TRUE(pipe);
    EXPECT_EQ(::write(pipe->write_end(), "hello", 5), 5);
    // Nobody reads any more: an error, and no signal.
    ::shutdown(pair.ours.get(), SHUT_WR);
    const Result<std::size_t> moved =
        co_await loop().splice(scope, pipe->read_end(), pair.ours.get(), 5);
    expect_errno(moved, EPIPE);
  });
}

TEST_P(SpliceTest, WaitsForAFullPipeInsteadOfSpinning) {
  const SocketPair pair = tcp_pair();
  set_non_blocking(pair.ours.get());
  ASSERT_EQ(::send(pair.theirs.get(), "hello", 5, 0), 5);
  run([&](Scope& scope) -> Task<void> {
    const Result<Pipe> pipe = loop().pipes().lease();
    EXPECT_TRUE(pipe);
    std::vector<char> bytes(pipe->capacity());
    EXPECT_EQ(::write(pipe->write_end(), bytes.data(), bytes.size()),
              static_cast<ssize_t>(bytes.size()));
    const auto drain_later = [&]() -> Task<Result<void>> {
      const Result<void> slept = co_await loop().sleep(scope, milliseconds(10));
      EXPECT_EQ(::read(pipe->read_end(), bytes.data(), bytes.size()),
                static_cast<ssize_t>(bytes.size()));
      co_return slept;
    };
    const auto [moved, slept] = co_await when_both(
        loop().splice(scope, pair.ours.get(), pipe->write_end(), 100), drain_later());
    EXPECT_TRUE(slept);
    expect_value(moved, std::size_t{5});
  });
}

}  // namespace
}  // namespace bridge
