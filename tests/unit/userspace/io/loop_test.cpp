// What a Loop promises apart from its operations: rounds, fairness, posts and its end.

#include "userspace/io/loop.h"

#include <atomic>
#include <thread>

#include <sys/resource.h>

#include "tests/unit/userspace/io/loop_fixture.h"
#include "userspace/io/async_mutex.h"

namespace bridge {
namespace {

// LoopTest is the fixture's name already.
class RunTest : public LoopTest {};
BRIDGE_ON_BOTH_LOOPS(RunTest);

TEST_P(RunTest, IsOfTheKindThatWasAskedFor) {
  EXPECT_EQ(loop().kind(), GetParam());
  EXPECT_EQ(loop().why().empty(), GetParam() == LoopKind::kIoUring);
}

TEST_P(RunTest, RunsManyTasksToTheirEndAndDestroysThem) {
  int destroyed = 0;
  const auto worker = [&](Scope& scope) -> Task<void> {
    struct Farewell {
      int& destroyed;
      ~Farewell() { ++destroyed; }
    } const farewell{destroyed};
    const Result<void> slept = co_await loop().sleep(scope, milliseconds(1));
    EXPECT_TRUE(slept);
  };
  run([&](Scope& scope) -> Task<void> {
    for (int i = 0; i < 1000; ++i) loop().spawn(worker(scope));
    while (destroyed < 1000) {
      const Result<void> slept = co_await loop().sleep(scope, milliseconds(1));
      if (!slept) co_return;
    }
  });
  EXPECT_EQ(destroyed, 1000);
}

TEST_P(RunTest, AwaitsAMillionTimesWhatCompletesAtOnce) {
  AsyncMutex mutex;
  run([&](Scope& scope) -> Task<void> {
    for (int i = 0; i < 1'000'000; ++i) {
      const Result<AsyncMutex::Guard> guard = co_await mutex.lock(scope);
      if (!guard) co_return;
    }
  });
}

TEST_P(RunTest, LetsOthersRunWhileATaskNeverHasToWait) {
  AsyncMutex mutex;
  bool enough = false;
  std::size_t turns = 0;
  const auto greedy = [&](Scope& scope) -> Task<void> {
    while (!enough && !scope.expired()) {
      const Result<AsyncMutex::Guard> guard = co_await mutex.lock(scope);
      ++turns;
    }
  };
  run([&](Scope& scope) -> Task<void> {
    loop().spawn(greedy(scope));
    for (std::size_t round = 1; round <= 10; ++round) {
      co_await loop().yield();
      // And the one that had to wait for its turn.
      EXPECT_LE(turns, round * (kInlineCompletionsMax + 1));
      EXPECT_GE(turns, round * kInlineCompletionsMax);
    }
    const Result<void> slept = co_await loop().sleep(scope, milliseconds(1));
    EXPECT_TRUE(slept);
    enough = true;
    co_await loop().yield();
  });
}

TEST_P(RunTest, SleepsAtLeastAsLongAsAsked) {
  run([&](Scope& scope) -> Task<void> {
    for (const int duration_ms : {0, 1, 7, 30}) {
      const Clock::time_point start = Clock::now();
      const Result<void> slept = co_await loop().sleep(scope, milliseconds(duration_ms));
      EXPECT_TRUE(slept);
      EXPECT_GE(Clock::now() - start, milliseconds(duration_ms));
      EXPECT_LE(loop().now(), Clock::now());
    }
  });
}

TEST_P(RunTest, UsesNoProcessorWhileItWaits) {
  const SocketPair pair = tcp_pair();
  run([&](Scope& scope) -> Task<void> {
    rusage before{};
    rusage after{};
    ::getrusage(RUSAGE_THREAD, &before);
    Scope brief(loop(), milliseconds(300));
    const Result<Buffer> nothing = co_await loop().receive_pooled(brief, pair.ours.get());
    expect_code(nothing, ErrorCode::kTimeout);
    ::getrusage(RUSAGE_THREAD, &after);
    EXPECT_LE(after.ru_nvcsw - before.ru_nvcsw, 20);
    EXPECT_FALSE(scope.expired());
  });
}

TEST_P(RunTest, TakesMoreOperationsThanItsQueuesHold) {
  constexpr int kMany = 10'000;
  const SocketPair pair = tcp_pair();
  int ready = 0;
  const auto wait = [&](Scope& scope) -> Task<void> {
    const Result<void> writable = co_await loop().writable(scope, pair.ours.get());
    EXPECT_TRUE(writable);
    const Result<void> readable = co_await loop().readable(scope, pair.ours.get());
    EXPECT_TRUE(readable);
    ++ready;
  };
  run([&](Scope& scope) -> Task<void> {
    for (int i = 0; i < kMany; ++i) loop().spawn(wait(scope));
    for (int i = 0; i < 5; ++i) {
      const Result<void> slept = co_await loop().sleep(scope, milliseconds(5));
      EXPECT_TRUE(slept);
    }
    EXPECT_EQ(ready, 0);
    EXPECT_EQ(::send(pair.theirs.get(), "x", 1, 0), 1);
    while (ready < kMany) {
      const Result<void> slept = co_await loop().sleep(scope, milliseconds(5));
      if (!slept) co_return;
    }
  });
  EXPECT_EQ(ready, kMany);
}

TEST_P(RunTest, CallsWhatOtherThreadsPost) {
  constexpr int kThreads = 4;
  constexpr int kPostsEach = 2000;
  int calls = 0;  // no lock: only the loop's thread touches it
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < kPostsEach; ++j) {
        while (!loop().post([&] {
          if (++calls == kThreads * kPostsEach) loop().stop();
        })) {
          std::this_thread::sleep_for(milliseconds(1));
        }
      }
    });
  }
  const Result<void> outcome = loop().run();
  EXPECT_TRUE(outcome);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(calls, kThreads * kPostsEach);
}

TEST_P(RunTest, RunsAPostedFunctionWhileAllTasksWait) {
  bool called = false;
  std::thread thread;
  run([&](Scope& scope) -> Task<void> {
    Scope until_posted(loop());
    thread = std::thread([&] {
      std::this_thread::sleep_for(milliseconds(10));
      loop().post([&] {
        called = true;
        until_posted.cancel();
      });
    });
    const Result<void> slept = co_await loop().sleep(until_posted, milliseconds(1'000'000));
    expect_code(slept, ErrorCode::kCancelled);
    EXPECT_FALSE(scope.expired());
  });
  thread.join();
  EXPECT_TRUE(called);
}

TEST_P(RunTest, HoldsABoundedNumberOfPosts) {
  std::size_t calls = 0;
  for (std::size_t i = 0; i < kPostsMax; ++i) {
    EXPECT_TRUE(loop().post([&] { ++calls; }));
  }
  EXPECT_FALSE(loop().post([&] { ++calls; }));
  EXPECT_EQ(calls, 0U);
  run([&](Scope& scope) -> Task<void> {
    const Result<void> slept = co_await loop().sleep(scope, milliseconds(2));
    EXPECT_TRUE(slept);
    EXPECT_EQ(calls, kPostsMax);
    EXPECT_TRUE(loop().post([] {}));
  });
}

TEST_P(RunTest, ReturnsAtOnceWhenStoppedBeforeAndRunsAgainAfterwards) {
  loop().stop();
  bool started = false;
  const auto story = [&]() -> Task<void> {
    started = true;
    co_return;
  };
  loop().spawn(story());
  const Result<void> outcome = loop().run();
  EXPECT_TRUE(outcome);
  EXPECT_FALSE(started);
  run([&](Scope& scope) -> Task<void> {
    const Result<void> slept = co_await loop().sleep(scope, milliseconds(1));
    EXPECT_TRUE(slept);
    started = true;
  });
  EXPECT_TRUE(started);
}

TEST_P(RunTest, StopsForAnotherThread) {
  std::thread thread([&] {
    std::this_thread::sleep_for(milliseconds(10));
    loop().stop();
  });
  const Result<void> outcome = loop().run();
  EXPECT_TRUE(outcome);
  thread.join();
}

TEST_P(RunTest, RunsOnAnotherThreadThanTheOneThatCreatedIt) {
  const SocketPair pair = tcp_pair();
  std::thread thread([&] {
    run([&](Scope& scope) -> Task<void> {
      EXPECT_EQ(::send(pair.theirs.get(), "hello", 5, 0), 5);
      const Result<Buffer> received = co_await loop().receive_pooled(scope, pair.ours.get());
      EXPECT_EQ(received ? received->size() : 0U, 5U);
    });
  });
  thread.join();
}

TEST_P(RunTest, DestroysWhatWasSpawnedDuringTheEndWithoutStartingIt) {
  bool started = false;
  const auto late = [&]() -> Task<void> {
    started = true;
    co_return;
  };
  const auto spawner = [&]() -> Task<void> {
    struct Farewell {
      Loop& loop;
      const decltype(late)& story;
      ~Farewell() { loop.spawn(story()); }
    } const farewell{loop(), late};
    Scope forever(loop());
    const Result<void> slept = co_await loop().sleep(forever, milliseconds(1'000'000));
    EXPECT_TRUE(slept);
  };
  run([&](Scope&) -> Task<void> {
    loop().spawn(spawner());
    co_await loop().yield();
    co_await loop().yield();
  });
  EXPECT_FALSE(started);
}

TEST_P(RunTest, LeavesTheSignalMaskAsItWas) {
  sigset_t mask;
  run([&](Scope& scope) -> Task<void> {
    ::pthread_sigmask(SIG_BLOCK, nullptr, &mask);
    EXPECT_EQ(sigismember(&mask, SIGPIPE), 1);
    EXPECT_FALSE(scope.expired());
    co_return;
  });
  ::pthread_sigmask(SIG_BLOCK, nullptr, &mask);
  EXPECT_EQ(sigismember(&mask, SIGPIPE), 0);
}

}  // namespace
}  // namespace bridge
