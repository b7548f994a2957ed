// Scope: deadlines that pass, move, and were never set.

#include "userspace/io/scope.h"

#include <memory>

#include "tests/unit/userspace/io/loop_fixture.h"
#include "userspace/io/when_both.h"

namespace bridge {
namespace {

using ScopeTest = LoopTest;
BRIDGE_ON_BOTH_LOOPS(ScopeTest);

TEST_P(ScopeTest, EndsItsOperationsAtTheDeadline) {
  const SocketPair pair = tcp_pair();
  run([&](Scope& patience) -> Task<void> {
    const Clock::time_point start = loop().now();
    Scope scope(loop(), milliseconds(20));
    EXPECT_FALSE(scope.expired());
    const auto [one, other] = co_await when_both(loop().readable(scope, pair.ours.get()),
                                                 loop().receive_pooled(scope, pair.theirs.get()));
    expect_code(one, ErrorCode::kTimeout);
    expect_code(other, ErrorCode::kTimeout);
    EXPECT_GE(Clock::now() - start, milliseconds(20));
    EXPECT_TRUE(scope.expired());
    EXPECT_FALSE(scope.cancelled());
    EXPECT_FALSE(patience.expired());
    const Result<void> later = co_await loop().writable(scope, pair.ours.get());
    expect_code(later, ErrorCode::kTimeout);
    // An ended scope stays so.
    scope.extend(milliseconds(1000));
    EXPECT_TRUE(scope.expired());
    scope.cancel();
    EXPECT_FALSE(scope.cancelled());
  });
}

TEST_P(ScopeTest, MovesItsDeadlineLater) {
  run([&](Scope& patience) -> Task<void> {
    Scope scope(loop(), milliseconds(500));
    for (int i = 0; i < 6; ++i) {
      scope.extend(milliseconds(500));
      const Result<void> slept = co_await loop().sleep(scope, milliseconds(100));
      EXPECT_TRUE(slept);
    }
    const Result<void> slept = co_await loop().sleep(scope, milliseconds(100'000));
    expect_code(slept, ErrorCode::kTimeout);
    EXPECT_FALSE(patience.expired());
  });
}

TEST_P(ScopeTest, MovesItsDeadlineEarlier) {
  run([&](Scope& patience) -> Task<void> {
    Scope scope(loop(), milliseconds(1'000'000));
    scope.extend(milliseconds(5));
    const Result<void> slept = co_await loop().sleep(scope, milliseconds(500'000));
    expect_code(slept, ErrorCode::kTimeout);
    EXPECT_FALSE(patience.expired());
  });
}

class CountedPatience final : public Patience {
 public:
  explicit CountedPatience(int times) : left_(times) {}
  [[nodiscard]] std::optional<milliseconds> more() override {
    ++asked;
    if (left_ == 0) return std::nullopt;
    --left_;
    return milliseconds(5);
  }
  int asked = 0;

 private:
  int left_;
};

TEST_P(ScopeTest, AsksAtEachDeadlineWhetherItIsOne) {
  run([&](Scope& patience) -> Task<void> {
    CountedPatience three(3);
    const Clock::time_point start = loop().now();
    Scope scope(loop(), milliseconds(5));
    scope.ask_at_deadline(three);
    const Result<void> slept = co_await loop().sleep(scope, milliseconds(100'000));
    expect_code(slept, ErrorCode::kTimeout);
    EXPECT_GE(Clock::now() - start, milliseconds(20));
    EXPECT_EQ(three.asked, 4);
    EXPECT_FALSE(patience.expired());
  });
}

TEST_P(ScopeTest, AsksNobodyBeforeADeadlineThatMoved) {
  run([&](Scope&) -> Task<void> {
    CountedPatience none(0);
    Scope scope(loop(), milliseconds(5));
    scope.ask_at_deadline(none);
    scope.extend(milliseconds(100'000));
    const Result<void> slept = co_await loop().sleep(scope, milliseconds(20));
    EXPECT_TRUE(slept);
    EXPECT_EQ(none.asked, 0);
  });
}

TEST_P(ScopeTest, FailsWhatIsBegunAfterTheDeadlineThoughNothingWaitedForIt) {
  const SocketPair pair = tcp_pair();
  run([&](Scope& patience) -> Task<void> {
    Scope scope(loop(), milliseconds(1));
    const Result<void> slept = co_await loop().sleep(patience, milliseconds(3));
    EXPECT_TRUE(slept);
    const Result<void> late = co_await loop().writable(scope, pair.ours.get());
    expect_code(late, ErrorCode::kTimeout);
  });
}

TEST_P(ScopeTest, WithoutADeadlineNeverExpires) {
  run([&](Scope& patience) -> Task<void> {
    Scope scope(loop());
    const Result<void> slept = co_await loop().sleep(scope, milliseconds(3));
    EXPECT_TRUE(slept);
    EXPECT_FALSE(scope.expired());
    scope.extend(milliseconds(1));
    const Result<void> longer = co_await loop().sleep(scope, milliseconds(1000));
    expect_code(longer, ErrorCode::kTimeout);
    EXPECT_FALSE(patience.expired());
  });
}

TEST_P(ScopeTest, WithinAnotherEndsAloneAtItsOwnDeadline) {
  run([&](Scope& patience) -> Task<void> {
    Scope outer(loop(), milliseconds(100'000));
    Scope inner(outer, milliseconds(5));
    const Result<void> slept = co_await loop().sleep(inner, milliseconds(50'000));
    expect_code(slept, ErrorCode::kTimeout);
    EXPECT_FALSE(inner.ended_with_outer());
    EXPECT_FALSE(outer.failure());
    outer.cancel();
    EXPECT_FALSE(inner.ended_with_outer());
    EXPECT_FALSE(patience.expired());
  });
}

TEST_P(ScopeTest, WithinAnotherEndsWithItForTheSameReason) {
  run([&](Scope& patience) -> Task<void> {
    Scope outer(loop(), milliseconds(5));
    Scope inner(outer, milliseconds(100'000));
    const Result<void> slept = co_await loop().sleep(inner, milliseconds(50'000));
    expect_code(slept, ErrorCode::kTimeout);
    EXPECT_TRUE(inner.ended_with_outer());
    Scope late(outer, milliseconds(100'000));
    EXPECT_TRUE(late.expired() && late.ended_with_outer());

    Scope other(loop());
    Scope cancelled(other, milliseconds(100'000));
    const auto [first, second] = co_await when_both(loop().sleep(cancelled, milliseconds(50'000)),
                                                    [](Scope& ended) -> Task<Result<void>> {
                                                      ended.cancel();
                                                      co_return Result<void>();
                                                    }(other));
    expect_code(first, ErrorCode::kCancelled);
    EXPECT_TRUE(second && cancelled.ended_with_outer());
    EXPECT_FALSE(patience.expired());
  });
}

TEST_P(ScopeTest, WithinAnotherMayOutliveItOrGoFirst) {
  run([&](Scope& patience) -> Task<void> {
    auto outer = std::make_unique<Scope>(loop());
    { const Scope gone(*outer, milliseconds(100'000)); }
    const Scope inner(*outer, milliseconds(100'000));
    outer.reset();
    EXPECT_TRUE(inner.cancelled() && inner.ended_with_outer());
    EXPECT_FALSE(patience.expired());
    co_return;
  });
}

TEST_P(ScopeTest, DestroyedCancelsWhatStillWaitsInIt) {
  const SocketPair pair = unix_pair();
  auto scope = std::make_unique<Scope>(loop(), milliseconds(1000));
  std::vector<ErrorCode> ends;
  const auto wait_in_it = [&](Task<Result<void>> wait) -> Task<void> {
    const Result<void> result = co_await std::move(wait);
    ends.push_back(result ? ErrorCode::kSystem : result.error().code);
  };
  run([&](Scope& patience) -> Task<void> {
    fill(pair.ours.get());
    Buffer buffer = *loop().buffers().lease();
    loop().spawn(wait_in_it(loop().readable(*scope, pair.ours.get())));
    loop().spawn(wait_in_it(loop().sleep(*scope, milliseconds(500))));
    loop().spawn(wait_in_it(loop().send(*scope, pair.ours.get(), buffer, 0, kBufferSize)));
    EXPECT_TRUE(co_await loop().sleep(patience, milliseconds(5)));
    EXPECT_TRUE(ends.empty());
    scope.reset();
    while (ends.size() < 3) {
      EXPECT_TRUE(co_await loop().sleep(patience, milliseconds(1)));
    }
  });
  EXPECT_EQ(ends, (std::vector<ErrorCode>(3, ErrorCode::kCancelled)));
}

}  // namespace
}  // namespace bridge
