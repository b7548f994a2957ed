// Every errno at every call that a connection in the kernel makes after the hand-over: it goes on,
// or it ends; never does a record follow one that must be the last, and no nonce is used twice.
#include <array>
#include <cerrno>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/every_errno.h"
#include "tests/unit/userspace/bridge/kernel_half.h"
#include "userspace/bridge/kernel_receiver.h"
#include "userspace/bridge/kernel_sender.h"
#include "userspace/bridge/relay.h"

namespace bridge::test {
namespace {

using ktls::Direction;
using ktls::FakeCall;
using ktls::test::for_every_errno;
using tls::AlertDescription;
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

// Of a call that may have failed.
template <class Outcome>
std::string words_for(const Outcome& outcome) {
  if (outcome) return "goes on";
  const ktls::Error& error = outcome.error();
  std::string words = "ended, " + std::string(name_of(ending_of(error)));
  if (error.alert != ktls::Error::kNoAlert)
    words += " " + std::string(tls::name_of(AlertDescription{error.alert}));
  return words;
}

class Faults : public KernelHalfTest {
 protected:
  // Copies instead of splicing, so that every byte passes the calls that can be made to fail.
  void SetUp() override { create({.pipes_max = 0}); }
};
BRIDGE_ON_BOTH_LOOPS(Faults);

TEST_P(Faults, OfASendEndTheConnectionUnlessTheyPass) {
  for_every_errno([&](int sys_errno) -> std::string {
    KernelBehind kernel;
    const SocketPair pair = tcp_pair();
    const auto sends = sender(kernel, pair.ours.get());
    kernel.fake().fail(FakeCall::kSend, 1, sys_errno);
    std::string outcome;
    run([&](Scope& scope) -> Task<void> {
      const auto sent = co_await sends->send_data(scope, bytes_of(kText));
      EXPECT_EQ(sent.has_value(), is_temporary(sys_errno));
      EXPECT_EQ(sent ? 0 : sent.error().sys_errno, is_temporary(sys_errno) ? 0 : sys_errno);
      outcome = words_for(sent);
    });
    EXPECT_EQ(kernel.fake().sent_records(kernel.stand_in()).size(),
              is_temporary(sys_errno) ? 1U : 0U);
    return outcome;
  });
}

// The KeyUpdate is out, the next key is not in: whatever followed would be under the wrong one.
TEST_P(Faults, OfANextKeyLetNothingFollowTheKeyUpdate) {
  for_every_errno([&](int sys_errno) -> std::string {
    KernelBehind kernel;
    const SocketPair pair = tcp_pair();
    const auto sends = sender(kernel, pair.ours.get());
    kernel.fake().fail(FakeCall::kInstallTransmit, 1, sys_errno);
    std::string outcome;
    run([&](Scope& scope) -> Task<void> {
      auto done = co_await sends->send_data(scope, bytes_of(kText));
      EXPECT_TRUE(done);
      done = co_await sends->update_key(scope);
      expect_errno(done, sys_errno);
      outcome = words_for(done);
      done = co_await sends->send_data(scope, bytes_of(kText));
      expect_code(done, ErrorCode::kProtocolViolation);
      const std::array<std::uint8_t, 2> alert = {2, 80};
      done = co_await sends->send_record(scope, ContentType::kAlert, alert);
      expect_code(done, ErrorCode::kProtocolViolation);
      done = co_await sends->update_key(scope);
      expect_code(done, ErrorCode::kProtocolViolation);
    });
    const auto& records = kernel.fake().sent_records(kernel.stand_in());
    EXPECT_EQ(records.size(), 2U);
    EXPECT_TRUE(!records.empty() && records.back().type == kHandshakeType);
    EXPECT_EQ(sends->key_updates().updates, 0U);
    return outcome;
  });
}

// Neither the key nor what follows may go out without the KeyUpdate.
TEST_P(Faults, OfTheKeyUpdateItselfKeepTheNextKeyBack) {
  for_every_errno([&](int sys_errno) -> std::string {
    KernelBehind kernel;
    const SocketPair pair = tcp_pair();
    const auto sends = sender(kernel, pair.ours.get());
    const std::size_t installs = kernel.fake().calls(FakeCall::kInstallTransmit);
    kernel.fake().fail(FakeCall::kSend, 1, sys_errno);
    const bool goes_out = is_temporary(sys_errno);
    std::string outcome;
    run([&](Scope& scope) -> Task<void> {
      auto done = co_await sends->update_key(scope);
      EXPECT_EQ(done ? 0 : done.error().sys_errno, goes_out ? 0 : sys_errno);
      outcome = words_for(done);
      done = co_await sends->send_data(scope, bytes_of(kText));
      EXPECT_EQ(done ? ErrorCode{} : done.error().code,
                goes_out ? ErrorCode{} : ErrorCode::kProtocolViolation);
    });
    EXPECT_EQ(kernel.fake().calls(FakeCall::kInstallTransmit), installs + (goes_out ? 1 : 0));
    EXPECT_EQ(kernel.fake().sent_records(kernel.stand_in()).size(), goes_out ? 2U : 0U);
    return outcome;
  });
}

// A budget that nobody can count is spent.
TEST_P(Faults, OfCountingRecordsStopTheSenderAtItsBudget) {
  constexpr std::uint64_t kBudget = 4;
  for_every_errno([&](int sys_errno) -> std::string {
    KernelBehind kernel;
    const SocketPair pair = tcp_pair();
    const auto sends = sender(kernel, pair.ours.get(), kBudget);
    kernel.fake().fail_always(FakeCall::kReadKeys, sys_errno);
    std::string outcome;
    run([&](Scope& scope) -> Task<void> {
      Result<void> done;
      for (std::uint64_t i = 0; i <= kBudget && done; ++i) {
        done = co_await sends->send_data(scope, bytes_of(kText));
      }
      expect_errno(done, sys_errno);
      outcome = words_for(done);
    });
    EXPECT_LT(kernel.fake().sent_records(kernel.stand_in()).size(), kBudget);
    return outcome;
  });
}

TEST_P(Faults, OfAReceiveEndTheConnectionUnlessTheyPass) {
  for_every_errno([&](int sys_errno) -> std::string {
    KernelBehind kernel;
    const SocketPair pair = tcp_pair();
    const SocketPair plain = tcp_pair();
    // For readiness, which the fake has not: the real socket has something to read.
    EXPECT_EQ(::write(pair.theirs.get(), "x", 1), 1);
    install(kernel, Direction::kReceive);
    kernel.fake().queue_record(kernel.stand_in(), 23, bytes_of(kText));
    kernel.fake().fail(FakeCall::kReceive, 1, sys_errno);
    KernelReceiver receives(loop(), pair.ours.get(), kernel, kReceiveState);
    std::string outcome;
    run([&](Scope& scope) -> Task<void> {
      auto step = co_await receives.move_to(scope, plain.ours.get());
      EXPECT_EQ(step.has_value(), is_temporary(sys_errno));
      outcome = words_for(step);
      if (is_temporary(sys_errno)) co_return;
      // The first error is final, though the call would succeed now.
      const auto first = step.error();
      step = co_await receives.move_to(scope, plain.ours.get());
      EXPECT_TRUE(!step && step.error().code == first.code);
      EXPECT_NE(first.code == ErrorCode::kSystem, sys_errno == EBADMSG || sys_errno == EMSGSIZE ||
                                                      sys_errno == EINVAL ||
                                                      sys_errno == EKEYEXPIRED);
    });
    return outcome;
  });
}

TEST_P(Faults, OfTheNextReceiveKeyAreTold) {
  for_every_errno([&](int sys_errno) -> std::string {
    KernelBehind kernel;
    const SocketPair pair = tcp_pair();
    install(kernel, Direction::kReceive);
    kernel.fake().fail(FakeCall::kInstallReceive, 1, sys_errno);
    KernelReceiver receives(loop(), pair.ours.get(), kernel, kReceiveState);
    KeyChain keys(suite(), secret());
    const auto changed = receives.change_state(keys.next().value());
    expect_errno(changed, sys_errno);
    return words_for(changed);
  });
}

}  // namespace
}  // namespace bridge::test
