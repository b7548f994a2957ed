// TLS_TX_ZEROCOPY_RO on a sender in the kernel: on for files that cannot change and for nothing
// else, by as few calls as that takes.
#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <string_view>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/every_errno.h"
#include "tests/unit/userspace/bridge/kernel_half.h"

namespace bridge::test {
namespace {

using ktls::FakeCall;
using ktls::test::for_every_errno;

constexpr int kTlsTxZerocopyRo = 3;
constexpr std::string_view kText = "text";

UniqueFd file_of(std::string_view text) {
  UniqueFd fd(::memfd_create("file", MFD_CLOEXEC));
  EXPECT_EQ(::write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  return fd;
}

class Zerocopy : public KernelHalfTest {
 protected:
  [[nodiscard]] bool is_on() {
    ++looks_;
    std::uint32_t value = 2;
    socklen_t size = sizeof value;
    EXPECT_EQ(kernel_.getsockopt(0, kSolTls, kTlsTxZerocopyRo, &value, &size), 0);
    return value == 1;
  }
  // How often the option was set, successfully or not.
  [[nodiscard]] std::size_t calls() {
    return kernel_.fake().calls(FakeCall::kOtherOption) - looks_;
  }

  Task<Result<std::uint64_t>> send(Scope& scope, Content content) {
    return sender_->send_file(
        scope, {.fd = file_.get(), .offset = 0, .size = kText.size(), .content = content});
  }
  Task<void> expect_sent(Scope& scope, Content content) {
    const auto sent = co_await send(scope, content);
    expect_value(sent, std::uint64_t{kText.size()});
  }

  KernelBehind kernel_;
  SocketPair pair_ = tcp_pair();
  UniqueFd file_ = file_of(kText);
  std::unique_ptr<Sender> sender_;
  std::size_t looks_ = 0;
};
BRIDGE_ON_BOTH_LOOPS(Zerocopy);

TEST_P(Zerocopy, IsOnForFilesThatCannotChangeAndOffForOthers) {
  sender_ = sender(kernel_, pair_.ours.get());
  run([&](Scope& scope) -> Task<void> {
    co_await expect_sent(scope, Content::kMayChange);
    EXPECT_EQ(calls(), 0U);
    for (int i = 0; i < 3; ++i) {
      co_await expect_sent(scope, Content::kFixed);
      EXPECT_TRUE(is_on());
    }
    EXPECT_EQ(calls(), 1U);
    for (int i = 0; i < 3; ++i) {
      co_await expect_sent(scope, Content::kMayChange);
      EXPECT_FALSE(is_on());
    }
    EXPECT_EQ(calls(), 2U);
    co_await expect_sent(scope, Content::kFixed);
    EXPECT_TRUE(is_on());
  });
}

TEST_P(Zerocopy, IsOffForBytesAndForWhatIsSpliced) {
  sender_ = sender(kernel_, pair_.ours.get());
  const SocketPair plain = tcp_pair();
  run([&](Scope& scope) -> Task<void> {
    co_await expect_sent(scope, Content::kFixed);
    const auto sent = co_await sender_->send_data(scope, bytes_of(kText));
    EXPECT_TRUE(sent);
    EXPECT_FALSE(is_on());
    co_await expect_sent(scope, Content::kFixed);
    EXPECT_TRUE(is_on());
    EXPECT_EQ(::write(plain.theirs.get(), kText.data(), kText.size()),
              static_cast<ssize_t>(kText.size()));
    const auto moved = co_await sender_->move_from(scope, plain.ours.get());
    EXPECT_TRUE(moved);
    EXPECT_FALSE(is_on());
  });
}

TEST_P(Zerocopy, StaysOnOverAlertsAndKeyUpdates) {
  sender_ = sender(kernel_, pair_.ours.get());
  run([&](Scope& scope) -> Task<void> {
    co_await expect_sent(scope, Content::kFixed);
    auto done = co_await sender_->update_key(scope);
    EXPECT_TRUE(done);
    const std::array<std::uint8_t, 2> alert = {1, 0};
    done = co_await sender_->send_record(scope, tls::ContentType::kAlert, alert);
    EXPECT_TRUE(done);
    co_await expect_sent(scope, Content::kFixed);
    EXPECT_EQ(calls(), 1U);
  });
}

TEST_P(Zerocopy, IsNotAskedForWhereTheKernelHasItNot) {
  sender_ = sender(kernel_, pair_.ours.get(), tls::kNoRecordLimit, false);
  run([&](Scope& scope) -> Task<void> { co_await expect_sent(scope, Content::kFixed); });
  EXPECT_EQ(calls(), 0U);
}

TEST_P(Zerocopy, ThatIsRefusedWithAnyErrnoCostsNothingButTheCopyAndIsAskedForOnce) {
  for_every_errno([&](int sys_errno) -> std::string {
    KernelBehind kernel;
    sender_ = sender(kernel, pair_.ours.get());
    kernel.fake().fail_always(FakeCall::kOtherOption, sys_errno);
    run([&](Scope& scope) -> Task<void> {
      for (const Content content : {Content::kFixed, Content::kMayChange, Content::kFixed}) {
        co_await expect_sent(scope, content);
      }
    });
    EXPECT_EQ(kernel.fake().calls(FakeCall::kOtherOption), 1U);
    return "goes on, with the copy";
  });
}

// Cannot happen with any kernel there is; but if it did, the file would be sent as it changes.
TEST_P(Zerocopy, ThatCannotBeTurnedOffLetsNothingElseOut) {
  sender_ = sender(kernel_, pair_.ours.get());
  run([&](Scope& scope) -> Task<void> {
    co_await expect_sent(scope, Content::kFixed);
    kernel_.fake().fail_always(FakeCall::kOtherOption, EPERM);
    const auto sent = co_await send(scope, Content::kMayChange);
    expect_errno(sent, EPERM);
    const auto data = co_await sender_->send_data(scope, bytes_of(kText));
    expect_errno(data, EPERM);
    kernel_.fake().fail_always(FakeCall::kOtherOption, 0);
    co_await expect_sent(scope, Content::kMayChange);
    EXPECT_FALSE(is_on());
  });
}

}  // namespace
}  // namespace bridge::test
