// Every errno at every call that a connection in the kernel makes after the hand-over: it goes on,
// or it ends; never does a record follow one that must be the last, and no nonce is used twice.
#include <array>
#include <cerrno>
#include <memory>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/userspace/bridge/kernel_half.h"
#include "userspace/bridge/kernel_receiver.h"
#include "userspace/bridge/kernel_sender.h"

namespace bridge::test {
namespace {

using ktls::Direction;
using ktls::FakeCall;
using tls::ContentType;

constexpr std::uint8_t kHandshakeType = 22;
constexpr std::string_view kText = "text";
constexpr KernelReceiveState kReceiveState{.cipher = ktls::Cipher::kAes128Gcm,
                                           .key_updates = KeyUpdates::kRekeys,
                                           .expect_no_padding = true};

// What a call answers that does not fail, or whose failure means: try again.
bool is_temporary(int sys_errno) {
  return sys_errno == EAGAIN || sys_errno == EINTR;
}

// Runs `story` once for each errno.
template <class Story>
void for_every_errno(const Story& story) {
  for (int sys_errno = EPERM; sys_errno <= EHWPOISON; ++sys_errno) {
    SCOPED_TRACE(sys_errno);
    story(sys_errno);
  }
}

class Faults : public KernelHalfTest {
 protected:
  // Copies instead of splicing, so that every byte passes the calls that can be made to fail.
  void SetUp() override { create({.pipes_max = 0}); }
};
BRIDGE_ON_BOTH_LOOPS(Faults);

TEST_P(Faults, OfASendEndTheConnectionUnlessTheyPass) {
  for_every_errno([&](int sys_errno) {
    KernelBehind kernel;
    const SocketPair pair = tcp_pair();
    const auto sends = sender(kernel, pair.ours.get());
    kernel.fake().fail(FakeCall::kSend, 1, sys_errno);
    run([&](Scope& scope) -> Task<void> {
      const auto sent = co_await sends->send_data(scope, bytes_of(kText));
      EXPECT_EQ(sent.has_value(), is_temporary(sys_errno));
      EXPECT_EQ(sent ? 0 : sent.error().sys_errno, is_temporary(sys_errno) ? 0 : sys_errno);
    });
    EXPECT_EQ(kernel.fake().sent_records(kernel.stand_in()).size(),
              is_temporary(sys_errno) ? 1U : 0U);
  });
}

// The KeyUpdate is out, the next key is not in: whatever followed would be under the wrong one.
TEST_P(Faults, OfANextKeyLetNothingFollowTheKeyUpdate) {
  for_every_errno([&](int sys_errno) {
    KernelBehind kernel;
    const SocketPair pair = tcp_pair();
    const auto sends = sender(kernel, pair.ours.get());
    kernel.fake().fail(FakeCall::kInstallTransmit, 1, sys_errno);
    run([&](Scope& scope) -> Task<void> {
      auto done = co_await sends->send_data(scope, bytes_of(kText));
      EXPECT_TRUE(done);
      done = co_await sends->update_key(scope);
      expect_errno(done, sys_errno);
      done = co_await sends->send_data(scope, bytes_of(kText));
      expect_code(done, ErrorCode::kProtocolViolation);
      const std::array<std::uint8_t, 2> alert = {2, 80};
      done = co_await sends->send_record(scope, ContentType::kAlert, alert);
      expect_code(done, ErrorCode::kProtocolViolation);
      done = co_await sends->update_key(scope);
      expect_code(done, ErrorCode::kProtocolViolation);
    });
    const auto& records = kernel.fake().sent_records(kernel.stand_in());
    ASSERT_EQ(records.size(), 2U);
    EXPECT_EQ(records.back().type, kHandshakeType);
    EXPECT_EQ(sends->key_updates().updates, 0U);
  });
}

// Neither the key nor what follows may go out without the KeyUpdate.
TEST_P(Faults, OfTheKeyUpdateItselfKeepTheNextKeyBack) {
  for_every_errno([&](int sys_errno) {
    if (is_temporary(sys_errno)) return;
    KernelBehind kernel;
    const SocketPair pair = tcp_pair();
    const auto sends = sender(kernel, pair.ours.get());
    const std::size_t installs = kernel.fake().calls(FakeCall::kInstallTransmit);
    kernel.fake().fail(FakeCall::kSend, 1, sys_errno);
    run([&](Scope& scope) -> Task<void> {
      auto done = co_await sends->update_key(scope);
      expect_errno(done, sys_errno);
      done = co_await sends->send_data(scope, bytes_of(kText));
      expect_code(done, ErrorCode::kProtocolViolation);
    });
    EXPECT_EQ(kernel.fake().calls(FakeCall::kInstallTransmit), installs);
    EXPECT_TRUE(kernel.fake().sent_records(kernel.stand_in()).empty());
  });
}

// A budget that nobody can count is spent.
TEST_P(Faults, OfCountingRecordsStopTheSenderAtItsBudget) {
  constexpr std::uint64_t kBudget = 4;
  for_every_errno([&](int sys_errno) {
    KernelBehind kernel;
    const SocketPair pair = tcp_pair();
    const auto sends = sender(kernel, pair.ours.get(), kBudget);
    kernel.fake().fail_always(FakeCall::kReadKeys, sys_errno);
    run([&](Scope& scope) -> Task<void> {
      Result<void> done;
      for (std::uint64_t i = 0; i <= kBudget && done; ++i) {
        done = co_await sends->send_data(scope, bytes_of(kText));
      }
      expect_errno(done, sys_errno);
    });
    EXPECT_LT(kernel.fake().sent_records(kernel.stand_in()).size(), kBudget);
  });
}

TEST_P(Faults, OfAReceiveEndTheConnectionUnlessTheyPass) {
  for_every_errno([&](int sys_errno) {
    KernelBehind kernel;
    const SocketPair pair = tcp_pair();
    const SocketPair plain = tcp_pair();
    // For readiness, which the fake has not: the real socket has something to read.
    ASSERT_EQ(::write(pair.theirs.get(), "x", 1), 1);
    install(kernel, Direction::kReceive);
    kernel.fake().queue_record(kernel.stand_in(), 23, bytes_of(kText));
    kernel.fake().fail(FakeCall::kReceive, 1, sys_errno);
    KernelReceiver receives(loop(), pair.ours.get(), kernel, kReceiveState);
    run([&](Scope& scope) -> Task<void> {
      auto step = co_await receives.move_to(scope, plain.ours.get());
      EXPECT_EQ(step.has_value(), is_temporary(sys_errno));
      if (is_temporary(sys_errno)) co_return;
      // The first error is final, though the call would succeed now.
      const auto first = step.error();
      step = co_await receives.move_to(scope, plain.ours.get());
      EXPECT_TRUE(!step && step.error().code == first.code);
      EXPECT_NE(first.code == ErrorCode::kSystem, sys_errno == EBADMSG || sys_errno == EMSGSIZE ||
                                                      sys_errno == EINVAL ||
                                                      sys_errno == EKEYEXPIRED);
    });
  });
}

TEST_P(Faults, OfTheNextReceiveKeyAreTold) {
  for_every_errno([&](int sys_errno) {
    KernelBehind kernel;
    const SocketPair pair = tcp_pair();
    install(kernel, Direction::kReceive);
    kernel.fake().fail(FakeCall::kInstallReceive, 1, sys_errno);
    KernelReceiver receives(loop(), pair.ours.get(), kernel, kReceiveState);
    KeyChain keys(suite(), secret());
    auto next = keys.next();
    ASSERT_TRUE(next);
    expect_errno(receives.change_state(*std::move(next)), sys_errno);
  });
}

}  // namespace
}  // namespace bridge::test
