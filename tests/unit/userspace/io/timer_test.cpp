// TimerHeap against a sorted list.

#include "userspace/io/timer.h"

#include <algorithm>
#include <array>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace bridge {
namespace {

using std::chrono::milliseconds;

class Alarm final : public Timer {
 public:
  explicit Alarm(std::vector<Clock::time_point>& log) : log_(log) {}
  ~Alarm() override = default;

 private:
  void fire() override { log_.push_back(when()); }

  std::vector<Clock::time_point>& log_;
};

class Repeating final : public Timer {
 public:
  Repeating(TimerHeap& heap, int& count) : heap_(heap), count_(count) {}
  ~Repeating() override { heap_.disarm(*this); }

 private:
  void fire() override {
    ++count_;
    heap_.arm(*this, when());
  }

  TimerHeap& heap_;
  int& count_;
};

TEST(TimerHeap, FiresInTheOrderOfTimeWhateverWasArmedMovedAndDisarmed) {
  constexpr int kTimers = 500;
  std::mt19937 random(7);  // NOLINT(cert-msc51-cpp): the same sequence each time
  std::uniform_int_distribution<int> some_time(0, 1000);
  const Clock::time_point start{};
  TimerHeap heap;
  std::vector<Clock::time_point> log;
  std::vector<std::unique_ptr<Alarm>> alarms;
  std::vector<Clock::time_point> expected;
  for (int i = 0; i < kTimers; ++i) {
    alarms.push_back(std::make_unique<Alarm>(log));
    heap.arm(*alarms.back(), start + milliseconds(some_time(random)));
  }
  for (int i = 0; i < kTimers; ++i) {
    if (i % 3 == 0) heap.arm(*alarms[i], start + milliseconds(some_time(random)));
    if (i % 5 == 0) heap.disarm(*alarms[i]);
  }
  for (const auto& alarm : alarms) {
    if (alarm->armed()) expected.push_back(alarm->when());
  }
  std::sort(expected.begin(), expected.end());
  ASSERT_EQ(heap.soonest(), expected.front());

  heap.fire_due(start + milliseconds(499));
  for (const Clock::time_point when : log) EXPECT_LE(when, start + milliseconds(499));
  ASSERT_TRUE(heap.soonest());
  EXPECT_GT(*heap.soonest(), start + milliseconds(499));
  heap.fire_due(start + milliseconds(1000));
  EXPECT_EQ(log, expected);
  EXPECT_EQ(heap.soonest(), std::nullopt);
}

TEST(TimerHeap, FiresATimerThatArmsItselfAgainOnceACall) {
  TimerHeap heap;
  int count = 0;
  Repeating timer(heap, count);
  heap.arm(timer, {});
  heap.fire_due({});
  EXPECT_EQ(count, 1);
  heap.fire_due({});
  EXPECT_EQ(count, 2);
}

}  // namespace
}  // namespace bridge
