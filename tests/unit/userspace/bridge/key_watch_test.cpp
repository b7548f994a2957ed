// KeyWatch changes the key of a shared socket in time, once for each request, and only while
// whoever shares it stands still. The kernel is FakeKernel, the others who write are the test.
#include "userspace/bridge/key_watch.h"

#include <cstdint>
#include <string_view>

#include <gtest/gtest.h>

#include "tests/unit/userspace/bridge/kernel_half.h"
#include "userspace/io/when_both.h"

namespace bridge::test {
namespace {

using ktls::Error;

constexpr std::string_view kText = "text";
constexpr milliseconds kPatience{20'000};
constexpr milliseconds kPoll{2};

// Says when it is held, and refuses if it is told to.
class Writers final : public OutsideWriters {
 public:
  Task<Result<void>> hold(Scope& /*scope*/) override {
    ++holds;
    held = !refuses;
    if (refuses) co_return ktls::fail(Error::of(ErrorCode::kRekeyImpossible, "they do not stop"));
    co_return Result<void>();
  }
  void release() override {
    held = false;
    ++releases;
  }

  bool refuses = false;
  bool held = false;
  int holds = 0;
  int releases = 0;
};

class KeyWatchTest : public KernelHalfTest {
 protected:
  // Runs a watch beside `rest`, and ends it then. Answers what it ended with, unless that was us.
  template <class Rest>
  Result<void> watch(Sender& sends, std::uint64_t limit, Rest rest) {
    Result<void> ended;
    run([&](Scope& scope) -> Task<void> {
      Scope until_done(scope, kPatience);
      KeyWatch key_watch(loop(), sends, limit);
      const auto watching = [&]() -> Task<Result<void>> {
        ended = co_await key_watch.run(until_done);
        if (!ended && ended.error().code == ErrorCode::kCancelled) ended = Result<void>();
        co_return Result<void>();
      };
      const auto resting = [&]() -> Task<Result<void>> {
        co_await rest(until_done, key_watch);
        until_done.cancel();
        co_return Result<void>();
      };
      static_cast<void>(co_await when_both(watching(), resting()));
    });
    return ended;
  }

  // Until `condition` holds; the test's patience bounds it.
  template <class Condition>
  Task<void> until(Scope& scope, Condition condition) {
    while (!condition()) {
      const auto slept = co_await loop().sleep(scope, kPoll);
      if (!slept) co_return;
    }
  }

  Writers writers_;
};

BRIDGE_ON_BOTH_LOOPS(KeyWatchTest);

TEST_P(KeyWatchTest, ChangesTheKeyBeforeTheBudgetIsSpentWhileTheWritersAreHeld) {
  constexpr std::uint64_t kLimit = 64;
  KernelBehind kernel;
  const SocketPair pair = tcp_pair();
  const auto sends = sender(kernel, pair.ours.get(), kLimit);
  sends->share_with(writers_);
  const auto ended = watch(*sends, kLimit, [&](Scope& scope, KeyWatch&) -> Task<void> {
    for (std::uint64_t i = 0; i < kLimit / 2; ++i) {
      const auto sent = co_await sends->send_data(scope, bytes_of(kText));
      EXPECT_TRUE(sent);
    }
    EXPECT_EQ(sends->key_updates().updates, 0U);
    co_await until(scope, [&] { return sends->key_updates().updates != 0; });
  });
  EXPECT_TRUE(ended);
  EXPECT_EQ(sends->key_updates().updates, 1U);
  EXPECT_EQ(writers_.holds, 1);
  EXPECT_FALSE(writers_.held);
}

TEST_P(KeyWatchTest, SendsWhatIsOwedOnceAndWaitsForRoomWithTheWritersHeld) {
  KernelBehind kernel;
  const SocketPair pair = tcp_pair();
  const auto sends = sender(kernel, pair.ours.get());
  sends->share_with(writers_);
  fill(pair.ours.get());
  const auto ended =
      watch(*sends, tls::kNoRecordLimit, [&](Scope& scope, KeyWatch& key_watch) -> Task<void> {
        const auto answered = co_await sends->answer_update_request(scope);
        EXPECT_TRUE(answered);
        key_watch.wake();
        co_await until(scope, [&] {
          std::array<char, 65536> taken{};
          while (::recv(pair.theirs.get(), taken.data(), taken.size(), MSG_DONTWAIT) > 0) continue;
          return !sends->owes_update();
        });
        key_watch.wake();
        const auto slept = co_await loop().sleep(scope, 5 * kPoll);
        EXPECT_TRUE(slept);
      });
  EXPECT_TRUE(ended);
  EXPECT_EQ(sends->key_updates().updates, 1U);
  EXPECT_GE(writers_.holds, 1);
  EXPECT_EQ(writers_.releases, writers_.holds);
}

TEST_P(KeyWatchTest, EndsWhereTheWritersDoNotStopAndSendsNothing) {
  constexpr std::uint64_t kLimit = 64;
  KernelBehind kernel;
  const SocketPair pair = tcp_pair();
  const auto sends = sender(kernel, pair.ours.get(), kLimit);
  sends->share_with(writers_);
  writers_.refuses = true;
  const auto ended = watch(*sends, kLimit, [&](Scope& scope, KeyWatch&) -> Task<void> {
    for (std::uint64_t i = 0; i < kLimit / 2; ++i) {
      const auto sent = co_await sends->send_data(scope, bytes_of(kText));
      EXPECT_TRUE(sent);
    }
    co_await until(scope, [&] { return writers_.holds != 0; });
  });
  expect_code(ended, ErrorCode::kRekeyImpossible);
  EXPECT_EQ(sends->key_updates().updates, 0U);
  EXPECT_EQ(writers_.releases, writers_.holds);
}

}  // namespace
}  // namespace bridge::test
