// LoopTest: runs a test's coroutine on each kind of loop.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "userspace/io/loop.h"

namespace bridge {

using ktls::ErrorCode;
using ktls::Result;
using ktls::UniqueFd;
using std::chrono::milliseconds;

struct SocketPair {
  UniqueFd ours;
  UniqueFd theirs;
};

inline void set_non_blocking(int fd, bool non_blocking = true) {
  const int flags = ::fcntl(fd, F_GETFL);
  ::fcntl(fd, F_SETFL, non_blocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

inline UniqueFd listening_socket(sockaddr_in& address, int backlog = 128) {
  UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  EXPECT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(::listen(listener.get(), backlog), 0);
  EXPECT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  return listener;
}

inline SocketPair tcp_pair() {
  sockaddr_in address{};
  const UniqueFd listener = listening_socket(address);
  SocketPair pair;
  pair.ours.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::connect(pair.ours.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  pair.theirs.reset(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  EXPECT_TRUE(pair.theirs.valid());
  return pair;
}

inline SocketPair unix_pair() {
  int ends[2] = {-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// Writes until the socket takes no more. The queue of a Unix socket stays full then; that of a TCP
// socket may get room again as long as the peer's is being sorted out.
inline void fill(int fd) {
  const std::vector<char> bytes(1 << 16, 'x');
  while (::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) continue;
}

// The byte at `position` of a stream whose every shift is recognised.
inline std::uint8_t pattern(std::size_t position) {
  return static_cast<std::uint8_t>((position * 2654435761U) >> 13U);
}

template <class T>
void expect_code(const Result<T>& result, ErrorCode code) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, code) << result.error().message();
}

template <class T>
void expect_errno(const Result<T>& result, int sys_errno) {
  expect_code(result, ErrorCode::kSystem);
  EXPECT_EQ(result ? 0 : result.error().sys_errno, sys_errno);
}

template <class T>
void expect_value(const Result<T>& result, const T& value) {
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_EQ(*result, value);
}

class LoopTest : public testing::TestWithParam<LoopKind> {
 protected:
  // Far more than any test takes, also under sanitizers on a busy machine.
  static constexpr milliseconds kPatience{60'000};

  void SetUp() override { create({}); }

  void create(const LoopOptions& options) {
    loop_.reset();
    auto loop = Loop::create(GetParam(), options);
    if (!loop) GTEST_SKIP() << "no " << name_of(GetParam()) << " here: " << loop.error().message();
    loop_ = std::move(*loop);
  }

  [[nodiscard]] Loop& loop() { return *loop_; }

  // Runs `story(scope)`, a coroutine, to its end. The closure outlives it.
  template <class Story>
  void run(const Story& story) {
    Scope scope(loop(), kPatience);
    bool ended = false;
    loop().spawn(tell(story, scope, ended));
    const Result<void> outcome = loop().run();
    EXPECT_TRUE(outcome) << outcome.error().message();
    EXPECT_TRUE(ended);
    EXPECT_FALSE(scope.expired());
  }

 private:
  template <class Story>
  Task<void> tell(const Story& story, Scope& scope, bool& ended) {
    co_await story(scope);
    ended = true;
    loop().stop();
  }

  std::unique_ptr<Loop> loop_;
};

#define BRIDGE_ON_BOTH_LOOPS(Fixture)                                                            \
  INSTANTIATE_TEST_SUITE_P(                                                                      \
      Loops, Fixture, testing::Values(::bridge::LoopKind::kIoUring, ::bridge::LoopKind::kEpoll), \
      [](const auto& kind) { return std::string(::bridge::name_of(kind.param)); })

}  // namespace bridge
