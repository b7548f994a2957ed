// Timer and TimerHeap: what a loop has to do at a later time, soonest first.
#pragma once

#include <chrono>
#include <cstddef>
#include <limits>
#include <optional>
#include <vector>

namespace bridge {

using Clock = std::chrono::steady_clock;

// Something that is to happen once. A timer is disarmed when it fires, and must be disarmed
// before it is destroyed.
class Timer {
 public:
  Timer() = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  virtual ~Timer() = default;

  [[nodiscard]] bool armed() const { return index_ != kNotArmed; }
  [[nodiscard]] Clock::time_point when() const { return when_; }

 protected:
  virtual void fire() = 0;

 private:
  friend class TimerHeap;
  static constexpr std::size_t kNotArmed = std::numeric_limits<std::size_t>::max();

  Clock::time_point when_;
  std::size_t index_ = kNotArmed;
};

// A binary heap of timers that know their place in it, so that one can leave early. It is as
// large as the number of scopes and sleeping tasks, which the number of connections bounds.
class TimerHeap {
 public:
  // Arms `timer`, or moves it to another time.
  void arm(Timer& timer, Clock::time_point when);
  void disarm(Timer& timer);

  [[nodiscard]] std::optional<Clock::time_point> soonest() const;

  // Fires all timers due at `now`; those that arm themselves again for a time up to `now` wait
  // for the next call.
  void fire_due(Clock::time_point now);

 private:
  void place(Timer& timer, std::size_t index);
  void sift_up(std::size_t index);
  void sift_down(std::size_t index);

  std::vector<Timer*> heap_;
};

}  // namespace bridge
