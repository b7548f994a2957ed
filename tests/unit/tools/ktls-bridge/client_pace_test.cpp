#include "tools/ktls-bridge/client_pace.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/userspace/io/loop_fixture.h"

namespace tools {
namespace {

using std::chrono::milliseconds;

constexpr SendPace kAnything{.rate_least = 0, .grace = milliseconds(20)};
constexpr SendPace kPatient{.rate_least = 0, .grace = std::chrono::hours(1)};
// More than loopback carries.
constexpr SendPace kTooMuch{.rate_least = 1'000'000'000'000, .grace = milliseconds(20)};

class ClientPaceTest : public testing::Test {
 protected:
  void SetUp() override {
    loop_ = std::move(bridge::Loop::create(bridge::LoopKind::kEpoll).value());
  }

  static int queued(int fd) {
    int size = 0;
    return ::ioctl(fd, SIOCOUTQ, &size) == 0 ? size : 0;
  }

  // Has the other end read until this one has heard of it; false if that does not come about.
  static bool take(const bridge::SocketPair& pair) {
    const int before = queued(pair.ours.get());
    std::vector<char> bytes(std::size_t{1} << 20);
    for (int i = 0; i < 5'000 && queued(pair.ours.get()) >= before; ++i) {
      if (::recv(pair.theirs.get(), bytes.data(), bytes.size(), MSG_DONTWAIT) <= 0) ::usleep(1'000);
    }
    return queued(pair.ours.get()) < before;
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
    for (int i = 0; i < 2 && queued(pair.ours.get()) != 0; ++i) {
      EXPECT_TRUE(take(pair));
      EXPECT_EQ(pace.more(), kAnything.grace);
    }
  }
}

TEST_F(ClientPaceTest, EndsAClientThatTakesTooLittle) {
  const bridge::SocketPair pair = bridge::tcp_pair();
  bridge::fill(pair.ours.get());
  ClientPace pace(loop(), pair.ours.get(), kTooMuch);
  EXPECT_EQ(pace.more(), kTooMuch.grace);
  EXPECT_TRUE(take(pair));
  EXPECT_EQ(pace.more(), std::nullopt);
}

TEST_F(ClientPaceTest, BlamesNoClientThatHasEverything) {
  const bridge::SocketPair pair = bridge::tcp_pair();
  ClientPace pace(loop(), pair.ours.get(), kTooMuch);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(pace.more(), kTooMuch.grace);
}

TEST_F(ClientPaceTest, GoesOnFromOneWatchToTheNext) {
  const bridge::SocketPair pair = bridge::tcp_pair();
  bridge::fill(pair.ours.get());
  ClientPace pace(loop(), pair.ours.get(), kPatient);
  bridge::Scope first(loop(), pace.grace());
  pace.watch(first);
  EXPECT_EQ(pace.more(), kPatient.grace);
  bridge::Scope second(loop(), pace.grace());
  pace.watch(second);
  EXPECT_EQ(second.failure(), std::nullopt);
  EXPECT_EQ(pace.more(), std::nullopt);
}

TEST_F(ClientPaceTest, EndsAtTheNextWatchWhoTookTooLittleBetweenTwo) {
  const bridge::SocketPair pair = bridge::tcp_pair();
  bridge::fill(pair.ours.get());
  ClientPace pace(loop(), pair.ours.get(), kTooMuch);
  for (const bool takes_too_little : {false, false, true}) {
    bridge::Scope scope(loop(), pace.grace());
    pace.watch(scope);
    EXPECT_EQ(scope.expired(), takes_too_little);
    std::this_thread::sleep_for(kTooMuch.grace);
  }
}

TEST_F(ClientPaceTest, CountsNoTimeInWhichTheClientHadEverything) {
  const bridge::SocketPair pair = bridge::tcp_pair();
  bridge::fill(pair.ours.get());
  ClientPace pace(loop(), pair.ours.get(), kTooMuch);
  EXPECT_EQ(pace.more(), kTooMuch.grace);
  while (queued(pair.ours.get()) != 0) ASSERT_TRUE(take(pair));
  std::this_thread::sleep_for(2 * kTooMuch.grace);
  bridge::Scope scope(loop(), pace.grace());
  pace.watch(scope);
  EXPECT_FALSE(scope.expired());
  bridge::fill(pair.ours.get());
  EXPECT_EQ(pace.more(), kTooMuch.grace);
}

}  // namespace
}  // namespace tools
