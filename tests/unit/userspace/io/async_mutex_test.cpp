// AsyncMutex: order, cancellation, and locks handed to a task that is gone.

#include "userspace/io/async_mutex.h"

#include "tests/unit/userspace/io/loop_fixture.h"

namespace bridge {
namespace {

using AsyncMutexTest = LoopTest;
BRIDGE_ON_BOTH_LOOPS(AsyncMutexTest);

TEST_P(AsyncMutexTest, LetsOneThroughAtATimeInTheOrderOfAsking) {
  AsyncMutex mutex;
  std::vector<int> order;
  int inside = 0;
  const auto enter = [&](Scope& scope, int number) -> Task<void> {
    const Result<AsyncMutex::Guard> guard = co_await mutex.lock(scope);
    EXPECT_TRUE(guard);
    EXPECT_EQ(++inside, 1);
    order.push_back(number);
    const Result<void> slept = co_await loop().sleep(scope, milliseconds(1));
    EXPECT_TRUE(slept);
    --inside;
  };
  run([&](Scope& scope) -> Task<void> {
    for (int i = 0; i < 10; ++i) loop().spawn(enter(scope, i));
    while (order.size() < 10 || inside > 0) {
      const Result<void> slept = co_await loop().sleep(scope, milliseconds(1));
      if (!slept) co_return;
    }
  });
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  EXPECT_FALSE(mutex.locked());
}

TEST_P(AsyncMutexTest, LetsAWaiterGoWhoseScopeEnds) {
  AsyncMutex mutex;
  run([&](Scope& scope) -> Task<void> {
    Result<AsyncMutex::Guard> held = co_await mutex.lock(scope);
    EXPECT_TRUE(held);
    Scope impatient(loop(), milliseconds(2));
    const Result<AsyncMutex::Guard> late = co_await mutex.lock(impatient);
    expect_code(late, ErrorCode::kTimeout);
    EXPECT_TRUE(mutex.locked());
    held->reset();
    EXPECT_FALSE(mutex.locked());
  });
}

TEST_P(AsyncMutexTest, PassesOnALockWhoseNewHolderWasDestroyedBeforeItKnew) {
  AsyncMutex mutex;
  bool third_has_it = false;
  const auto third = [&](Scope& scope) -> Task<void> {
    const Result<AsyncMutex::Guard> guard = co_await mutex.lock(scope);
    EXPECT_TRUE(guard);
    third_has_it = true;
  };
  run([&](Scope& scope) -> Task<void> {
    Result<AsyncMutex::Guard> held = co_await mutex.lock(scope);
    EXPECT_TRUE(held);
    {
      Task<Result<AsyncMutex::Guard>> second = mutex.lock(scope);
      second.handle().resume();
      EXPECT_FALSE(second.finished());
      loop().spawn(third(scope));
      co_await loop().yield();
      co_await loop().yield();
      held->reset();  // hands over to the second, which is resumed in the next round
      EXPECT_FALSE(third_has_it);
    }
    while (!third_has_it) {
      const Result<void> slept = co_await loop().sleep(scope, milliseconds(1));
      if (!slept) co_return;
    }
    EXPECT_FALSE(mutex.locked());
  });
  EXPECT_TRUE(third_has_it);
}

}  // namespace
}  // namespace bridge
