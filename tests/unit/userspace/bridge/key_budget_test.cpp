// What a key's budget costs: the kernel is asked for its number only where the count from above
// runs short. The kernel is FakeKernel.
#include <cstdint>
#include <memory>
#include <string_view>

#include <gtest/gtest.h>

#include "tests/unit/userspace/bridge/kernel_half.h"

namespace bridge::test {
namespace {

using ktls::FakeCall;
using std::chrono::milliseconds;

constexpr std::string_view kText = "text";

using Budget = KernelHalfTest;
BRIDGE_ON_BOTH_LOOPS(Budget);

TEST_P(Budget, AsksTheKernelForItsNumberOnceAKey) {
  constexpr std::uint64_t kLimit = 64;
  constexpr std::uint64_t kRecords = 1'000;
  KernelBehind kernel;
  const SocketPair pair = tcp_pair();
  const auto sends = sender(kernel, pair.ours.get(), kLimit);
  run([&](Scope& scope) -> Task<void> {
    for (std::uint64_t i = 0; i < kRecords; ++i) {
      const auto sent = co_await sends->send_data(scope, bytes_of(kText));
      EXPECT_TRUE(sent);
    }
  });
  // One of the records of each key is its KeyUpdate.
  const std::uint64_t updates = (kRecords - 1) / (kLimit - 1);
  EXPECT_EQ(sends->key_updates().updates, updates);
  EXPECT_EQ(kernel.fake().calls(FakeCall::kReadKeys), updates);
}

TEST_P(Budget, AsksTheKernelForNothingWhereItIsTheAeads) {
  KernelBehind kernel;
  const SocketPair pair = tcp_pair();
  const auto sends = sender(kernel, pair.ours.get(), suite().bulk_cipher->record_limit);
  run([&](Scope& scope) -> Task<void> {
    for (int i = 0; i < 1'000; ++i) {
      const auto sent = co_await sends->send_data(scope, bytes_of(kText));
      EXPECT_TRUE(sent);
    }
  });
  EXPECT_EQ(kernel.fake().calls(FakeCall::kReadKeys), 0U);
}

// A call that may have made more records than it did takes them from the count, and the kernel's
// number gives them back.
TEST(KeyBudget, IsCountedFromAboveAndLearnsTheTruth) {
  KeyBudget budget(10, 2, milliseconds(0));
  EXPECT_EQ(budget.left(), 7U) << "one is kept for the KeyUpdate";
  budget.spend(7);
  EXPECT_EQ(budget.left(), 0U);
  budget.learn(4);
  EXPECT_EQ(budget.left(), 5U);
  budget.learn(4, true);
  EXPECT_EQ(budget.left(), 4U);
  budget.spend(UINT64_MAX);
  budget.spend(UINT64_MAX);
  EXPECT_EQ(budget.left(), 0U);
  budget.renew(Clock::now());
  EXPECT_EQ(budget.left(), 9U);
}

}  // namespace
}  // namespace bridge::test
