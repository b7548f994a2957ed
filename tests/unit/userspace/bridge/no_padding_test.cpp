// TLS_RX_EXPECT_NO_PAD on a receiver in the kernel that copies: when it is on, and that nothing but
// time depends on it. The kernel is FakeKernel; the real socket stands for the bytes on the wire.
#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <variant>

#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/every_errno.h"
#include "tests/unit/userspace/bridge/kernel_half.h"
#include "userspace/bridge/consumed_bytes.h"
#include "userspace/bridge/kernel_receiver.h"

namespace bridge::test {
namespace {

using ktls::FakeCall;
using ktls::test::for_every_errno;

constexpr int kTlsRxExpectNoPad = 4;
constexpr std::uint8_t kDataType = 23;
constexpr std::uint8_t kAlertType = 21;
constexpr std::size_t kOverhead = 22;
constexpr int kReceives = 16;  // between two looks

// Reads so many bytes, which are on their way.
std::string take(int fd, std::size_t size) {
  constexpr int kPatienceMs = 10'000;
  std::string text;
  while (text.size() < size) {
    pollfd poll{.fd = fd, .events = POLLIN, .revents = 0};
    std::string piece(size - text.size(), '\0');
    if (::poll(&poll, 1, kPatienceMs) != 1) break;
    const ssize_t taken = ::recv(fd, piece.data(), piece.size(), MSG_DONTWAIT);
    if (taken <= 0) break;
    text += piece.substr(0, static_cast<std::size_t>(taken));
  }
  return text;
}

class NoPadding : public KernelHalfTest {
 protected:
  void SetUp() override {
    create({.pipes_max = 0});
    install(kernel_, ktls::Direction::kReceive);
    // Readiness, which the fake has not: a byte that stays unread.
    ASSERT_EQ(::write(pair_.theirs.get(), "x", 1), 1);
    const int on = 1;
    ::setsockopt(pair_.theirs.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  void receive_here(bool expect_no_padding) {
    receiver_ = std::make_unique<KernelReceiver>(
        loop(), pair_.ours.get(), kernel_,
        KernelReceiveState{.cipher = ktls::Cipher::kAes128Gcm,
                           .key_updates = KeyUpdates::kRekeys,
                           .expect_no_padding = expect_no_padding});
  }
  [[nodiscard]] bool is_on() {
    ++looks_;
    std::uint32_t value = 2;
    socklen_t size = sizeof value;
    EXPECT_EQ(kernel_.getsockopt(0, kSolTls, kTlsRxExpectNoPad, &value, &size), 0);
    return value == 1;
  }
  [[nodiscard]] std::size_t calls() {
    return kernel_.fake().calls(FakeCall::kOtherOption) - looks_;
  }
  // One record of this type comes, and is received.
  Task<void> receive(Scope& scope, std::uint8_t type, std::size_t padding = 0) {
    const std::string text = "text";
    kernel_.fake().queue_record(kernel_.stand_in(), type, bytes_of(text));
    const std::string wire(text.size() + kOverhead + padding, 'x');
    EXPECT_EQ(::write(pair_.theirs.get(), wire.data(), wire.size()),
              static_cast<ssize_t>(wire.size()));
    kernel_.before_receive = [&] {
      EXPECT_EQ(take(pair_.ours.get(), wire.size()).size(), wire.size());
    };
    const auto step = co_await receiver_->move_to(scope, plain_.ours.get());
    EXPECT_TRUE(step) << step.error().message();
    EXPECT_EQ(step && std::holds_alternative<ControlRecord>(*step), type != kDataType);
    if (type != kDataType) co_return;
    EXPECT_EQ(take(plain_.theirs.get(), text.size()), text);
  }
  Task<void> receive_many(Scope& scope, int count, std::size_t padding = 0) {
    for (int i = 0; i < count; ++i) co_await receive(scope, kDataType, padding);
  }

  KernelBehind kernel_;
  SocketPair pair_ = tcp_pair();
  SocketPair plain_ = tcp_pair();
  std::unique_ptr<KernelReceiver> receiver_;
  std::size_t looks_ = 0;
};
BRIDGE_ON_BOTH_LOOPS(NoPadding);

TEST_P(NoPadding, IsExpectedFromTheFirstApplicationDataOn) {
  receive_here(true);
  run([&](Scope& scope) -> Task<void> {
    co_await receive(scope, kAlertType);
    EXPECT_FALSE(is_on());
    co_await receive(scope, kDataType);
    EXPECT_TRUE(is_on());
    co_await receive_many(scope, 10 * kReceives);
    EXPECT_TRUE(is_on());
    EXPECT_EQ(calls(), 1U);
  });
}

TEST_P(NoPadding, IsNotAskedForWhereItIsNotSafe) {
  receive_here(false);
  run([&](Scope& scope) -> Task<void> { co_await receive_many(scope, 2 * kReceives); });
  EXPECT_EQ(calls(), 0U);
  EXPECT_EQ(kernel_.fake().calls(FakeCall::kReadKeys), 0U);
}

TEST_P(NoPadding, IsExpectedNoMoreOfAPeerThatPadsUntilItStopsForLonger) {
  receive_here(true);
  run([&](Scope& scope) -> Task<void> {
    co_await receive_many(scope, kReceives);
    EXPECT_TRUE(is_on());
    co_await receive_many(scope, kReceives, 1);
    EXPECT_FALSE(is_on());
    co_await receive_many(scope, kReceives * (PaddingWatch::kCleanLooksFirst - 1));
    EXPECT_FALSE(is_on());
    co_await receive_many(scope, kReceives);
    EXPECT_TRUE(is_on());
    co_await receive_many(scope, kReceives, 1000);
    EXPECT_FALSE(is_on());
    EXPECT_EQ(calls(), 4U);
  });
}

TEST_P(NoPadding, IsExpectedNoMoreOfAPeerThatSendsMostlyControlRecords) {
  receive_here(true);
  run([&](Scope& scope) -> Task<void> {
    co_await receive(scope, kDataType);
    EXPECT_TRUE(is_on());
    for (int i = 1; i < kReceives; ++i) co_await receive(scope, kAlertType);
    co_await receive(scope, kDataType);
    EXPECT_FALSE(is_on());
  });
}

TEST_P(NoPadding, IsWatchedOverAChangeOfKeys) {
  receive_here(true);
  KeyChain keys(suite(), secret());
  run([&](Scope& scope) -> Task<void> {
    for (int i = 0; i < 4 * kReceives; ++i) {
      co_await receive(scope, kDataType);
      auto next = keys.next();
      EXPECT_TRUE(next);
      if (!next) co_return;
      const auto changed = receiver_->change_state(*std::move(next));
      EXPECT_TRUE(changed);
      EXPECT_TRUE(is_on());
    }
    co_await receive_many(scope, kReceives, 1);
    EXPECT_FALSE(is_on());
  });
}

TEST_P(NoPadding, ThatIsRefusedWithAnyErrnoIsNotAskedForAgain) {
  for_every_errno([&](int sys_errno) -> std::string {
    receive_here(true);
    const std::size_t before = calls();
    kernel_.fake().fail_always(FakeCall::kOtherOption, sys_errno);
    run([&](Scope& scope) -> Task<void> { co_await receive_many(scope, 2 * kReceives); });
    EXPECT_EQ(calls(), before + 1);
    return "goes on, padding is expected";
  });
}

TEST_P(NoPadding, IsExpectedNoMoreWhenNobodyCanCount) {
  receive_here(true);
  run([&](Scope& scope) -> Task<void> {
    co_await receive(scope, kDataType);
    EXPECT_TRUE(is_on());
    kernel_.fake().fail_always(FakeCall::kReadKeys, EPERM);
    co_await receive_many(scope, kReceives);
    EXPECT_FALSE(is_on());
    kernel_.fake().fail_always(FakeCall::kReadKeys, 0);
    co_await receive_many(scope, 10 * kReceives);
    EXPECT_FALSE(is_on());
  });
}

TEST(ConsumedBytes, AreThoseThatWereReceivedAndRead) {
  const SocketPair pair = tcp_pair();
  EXPECT_EQ(consumed_bytes(pair.ours.get()).value(), 0U);
  std::string text(1000, 'x');
  ASSERT_EQ(::write(pair.theirs.get(), text.data(), text.size()), 1000);
  EXPECT_EQ(consumed_bytes(pair.ours.get()).value(), 0U);
  ASSERT_EQ(::recv(pair.ours.get(), text.data(), 600, MSG_WAITALL), 600);
  EXPECT_EQ(consumed_bytes(pair.ours.get()).value(), 600U);
  ASSERT_EQ(::recv(pair.ours.get(), text.data(), 400, MSG_WAITALL), 400);
  EXPECT_EQ(consumed_bytes(pair.ours.get()).value(), 1000U);
}

TEST(ConsumedBytes, AreNotToldOfWhatIsNoTcpSocket) {
  expect_errno(consumed_bytes(-1), EBADF);
  const SocketPair pair = unix_pair();
  EXPECT_FALSE(consumed_bytes(pair.ours.get()));
}

}  // namespace
}  // namespace bridge::test
