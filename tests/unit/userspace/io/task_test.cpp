// Task and when_both without a loop.

#include "userspace/io/task.h"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "userspace/io/when_both.h"

namespace bridge {
namespace {

// Suspends whoever awaits it until the test resumes them.
struct Gate {
  std::coroutine_handle<> waiting;

  struct Awaiter {
    Gate& gate;
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> coroutine) const { gate.waiting = coroutine; }
    void await_resume() const noexcept {}
  };
  [[nodiscard]] Awaiter operator co_await() { return {*this}; }

  void open() { std::exchange(waiting, {}).resume(); }
};

Task<int> answer(int value) {
  co_return value;
}

Task<int> add_one_million_ones() {
  int sum = 0;
  for (int i = 0; i < 1'000'000; ++i) sum += co_await answer(1);
  co_return sum;
}

Task<int> deep(int levels) {
  if (levels == 0) co_return 0;
  const int below = co_await deep(levels - 1);
  co_return below + 1;
}

Task<std::string> gated(Gate& gate, std::string word, std::vector<std::string>* log = nullptr) {
  struct Farewell {
    std::vector<std::string>* log;
    std::string word;
    ~Farewell() {
      if (log != nullptr) log->push_back(word);
    }
  } const farewell{log, word};
  co_await gate;
  co_return word;
}

Task<void> store(Task<std::string> task, std::string& result) {
  result = co_await std::move(task);
}

TEST(Task, StartsOnlyWhenAwaited) {
  bool started = false;
  const auto story = [&]() -> Task<int> {
    started = true;
    co_return 7;
  };
  Task<int> task = story();
  EXPECT_FALSE(started);
  task.handle().resume();
  EXPECT_TRUE(started);
  ASSERT_TRUE(task.finished());
  EXPECT_EQ(task.take(), 7);
}

TEST(Task, AwaitsAMillionTimesWhatCompletesAtOnceOnAFlatStack) {
  Task<int> task = add_one_million_ones();
  task.handle().resume();
  ASSERT_TRUE(task.finished());
  EXPECT_EQ(task.take(), 1'000'000);
}

TEST(Task, AwaitsAMillionTimesWhatSuspendsFirstOnAFlatStack) {
  Gate gate;
  const auto child = [&]() -> Task<int> {
    co_await gate;
    co_return 1;
  };
  const auto story = [&]() -> Task<int> {
    int sum = 0;
    for (int i = 0; i < 1'000'000; ++i) sum += co_await child();
    co_return sum;
  };
  Task<int> task = story();
  task.handle().resume();
  while (gate.waiting) gate.open();
  ASSERT_TRUE(task.finished());
  EXPECT_EQ(task.take(), 1'000'000);
}

TEST(Task, PassesAValueUpThroughEachLevel) {
  Task<int> task = deep(100);
  task.handle().resume();
  ASSERT_TRUE(task.finished());
  EXPECT_EQ(task.take(), 100);
}

TEST(Task, GoesOnWhenItsChildDoes) {
  Gate gate;
  std::string result;
  Task<void> task = store(gated(gate, "done"), result);
  task.handle().resume();
  EXPECT_FALSE(task.finished());
  gate.open();
  EXPECT_TRUE(task.finished());
  EXPECT_EQ(result, "done");
}

TEST(Task, DestroyedWhileSuspendedDestroysItsChildFirst) {
  Gate gate;
  std::vector<std::string> log;
  const auto parent = [&]() -> Task<void> {
    struct Farewell {
      std::vector<std::string>& log;
      ~Farewell() { log.push_back("parent"); }
    } const farewell{log};
    const std::string word = co_await gated(gate, "child", &log);
    log.push_back(word + " finished");
  };
  {
    Task<void> task = parent();
    task.handle().resume();
    EXPECT_TRUE(log.empty());
  }
  EXPECT_EQ(log, (std::vector<std::string>{"child", "parent"}));
}

TEST(Task, CarriesWhatCannotBeCopied) {
  const auto child = []() -> Task<std::unique_ptr<int>> { co_return std::make_unique<int>(5); };
  const auto parent = [&]() -> Task<int> {
    const std::unique_ptr<int> value = co_await child();
    co_return *value;
  };
  Task<int> task = parent();
  task.handle().resume();
  EXPECT_EQ(task.take(), 5);
}

TEST(Task, DestroysAnArgumentPassedByValueExactlyOnce) {
  const auto counted = std::make_shared<int>(0);
  const auto child = [](std::shared_ptr<int> held) -> Task<long> { co_return held.use_count(); };
  const auto parent = [&]() -> Task<long> {
    const long within = co_await child(counted);
    co_return within;
  };
  {
    Task<long> task = parent();
    task.handle().resume();
    EXPECT_EQ(task.take(), 2);
  }
  EXPECT_EQ(counted.use_count(), 1);
}

TEST(WhenBoth, YieldsBothValuesWhateverTheOrderOfCompletion) {
  for (const bool first_comes_first : {true, false}) {
    Gate one;
    Gate other;
    std::string joined;
    const auto story = [&]() -> Task<void> {
      const auto [a, b] = co_await when_both(gated(one, "a"), gated(other, "b"));
      joined = a + b;
    };
    Task<void> task = story();
    task.handle().resume();
    (first_comes_first ? one : other).open();
    EXPECT_FALSE(task.finished());
    (first_comes_first ? other : one).open();
    EXPECT_TRUE(task.finished());
    EXPECT_EQ(joined, "ab");
  }
}

TEST(WhenBoth, DoesNotSuspendWhenBothCompleteAtOnce) {
  const auto story = []() -> Task<int> {
    int sum = 0;
    for (int i = 0; i < 100'000; ++i) {
      const auto [a, b] = co_await when_both(answer(1), answer(2));
      sum += a + b;
    }
    co_return sum;
  };
  Task<int> task = story();
  task.handle().resume();
  ASSERT_TRUE(task.finished());
  EXPECT_EQ(task.take(), 300'000);
}

TEST(WhenBoth, DestroyedHalfDoneDestroysBoth) {
  Gate one;
  Gate other;
  std::vector<std::string> log;
  const auto story = [&]() -> Task<void> {
    const auto both = co_await when_both(gated(one, "a", &log), gated(other, "b", &log));
    log.push_back(both.first + both.second);
  };
  {
    Task<void> task = story();
    task.handle().resume();
    one.open();
    EXPECT_EQ(log, (std::vector<std::string>{"a"}));
  }
  EXPECT_EQ(log, (std::vector<std::string>{"a", "b"}));
}

}  // namespace
}  // namespace bridge
