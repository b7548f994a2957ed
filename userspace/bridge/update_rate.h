// UpdateRate: how many KeyUpdates of the peer are too many: each costs it a few bytes and us a key
// derivation, and in the kernel a system call.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "userspace/io/timer.h"

namespace bridge {

// A bucket of one second's allowance, which fills at that rate.
class UpdateRate {
 public:
  explicit UpdateRate(std::uint32_t a_second) : a_second_(a_second), left_(a_second) {}

  // One more at `now`. False: that was too many.
  [[nodiscard]] bool take(Clock::time_point now) {
    const std::chrono::duration<double> passed = now - last_;
    last_ = now;
    left_ = std::min<double>(a_second_, left_ + passed.count() * a_second_);
    if (left_ < 1) return false;
    left_ -= 1;
    return true;
  }

 private:
  double a_second_;
  double left_;
  Clock::time_point last_{};
};

}  // namespace bridge
