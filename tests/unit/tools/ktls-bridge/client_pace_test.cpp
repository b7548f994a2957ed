#include "tools/ktls-bridge/client_pace.h"

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "tests/unit/userspace/io/loop_fixture.h"

namespace tools {
namespace {

using std::chrono::milliseconds;

constexpr SendPace kAnything{.rate_least = 0, .grace = milliseconds(20)};
// More than loopback carries.
constexpr SendPace kTooMuch{.rate_least = 1'000'000'000'000, .grace = milliseconds(20)};

class ClientPaceTest : public testing::Test {
 protected:
  void SetUp() override {
    loop_ = std::move(bridge::Loop::create(bridge::LoopKind::kEpoll).value());
  }

  // Reads what is there, up to `size` bytes.
  static std::size_t take(int fd, std::size_t size) {
    std::vector<char> bytes(size);
    const ssize_t count = ::recv(fd, bytes.data(), size, MSG_DONTWAIT);
    return count < 0 ? 0 : static_cast<std::size_t>(count);
  }

  [[nodiscard]] bridge::Loop& loop() { return *loop_; }

 private:
  std::unique_ptr<bridge::Loop> loop_;
};

TEST_F(ClientPaceTest, EndsAClientThatTakesNothingAtTheSecondLook) {
  for (const auto& pair : {bridge::tcp_pair(), bridge::unix_pair()}) {
    bridge::fill(pair.ours.get());
    ClientPace pace(loop(), pair.ours.get(), kAnything);
    EXPECT_EQ(pace.more(), kAnything.grace);
    EXPECT_EQ(pace.more(), std::nullopt);
  }
}

TEST_F(ClientPaceTest, LetsAClientGoOnThatTakesAnything) {
  for (const auto& pair : {bridge::tcp_pair(), bridge::unix_pair()}) {
    bridge::fill(pair.ours.get());
    ClientPace pace(loop(), pair.ours.get(), kAnything);
    EXPECT_EQ(pace.more(), kAnything.grace);
    for (int i = 0; i < 3; ++i) {
      // So much that a closed window opens and the other end can tell.
      EXPECT_GT(take(pair.theirs.get(), std::size_t{1} << 20), 0U);
      EXPECT_EQ(pace.more(), kAnything.grace);
    }
  }
}

TEST_F(ClientPaceTest, EndsAClientThatTakesTooLittle) {
  const bridge::SocketPair pair = bridge::tcp_pair();
  bridge::fill(pair.ours.get());
  ClientPace pace(loop(), pair.ours.get(), kTooMuch);
  EXPECT_EQ(pace.more(), kTooMuch.grace);
  EXPECT_GT(take(pair.theirs.get(), std::size_t{1} << 20), 0U);
  EXPECT_EQ(pace.more(), std::nullopt);
}

TEST_F(ClientPaceTest, BlamesNoClientThatHasEverything) {
  const bridge::SocketPair pair = bridge::tcp_pair();
  ClientPace pace(loop(), pair.ours.get(), kTooMuch);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(pace.more(), kTooMuch.grace);
}

TEST_F(ClientPaceTest, BeginsAnewWithEachWatch) {
  const bridge::SocketPair pair = bridge::tcp_pair();
  bridge::fill(pair.ours.get());
  ClientPace pace(loop(), pair.ours.get(), kAnything);
  for (int i = 0; i < 3; ++i) {
    bridge::Scope scope(loop(), pace.grace());
    pace.watch(scope);
    EXPECT_EQ(pace.more(), kAnything.grace);
  }
}

}  // namespace
}  // namespace tools
