// The sifting of TimerHeap.

#include "userspace/io/timer.h"

#include <utility>

namespace bridge {

void TimerHeap::arm(Timer& timer, Clock::time_point when) {
  timer.when_ = when;
  if (!timer.armed()) {
    heap_.push_back(&timer);
    timer.index_ = heap_.size() - 1;
  }
  sift_up(timer.index_);
  sift_down(timer.index_);
}

void TimerHeap::disarm(Timer& timer) {
  if (!timer.armed()) return;
  const std::size_t index = std::exchange(timer.index_, Timer::kNotArmed);
  Timer* const last = heap_.back();
  heap_.pop_back();
  if (last == &timer) return;
  place(*last, index);
  sift_up(index);
  sift_down(last->index_);
}

std::optional<Clock::time_point> TimerHeap::soonest() const {
  if (heap_.empty()) return std::nullopt;
  return heap_.front()->when_;
}

void TimerHeap::fire_due(Clock::time_point now) {
  // Counted first: a timer that arms itself again at once must not keep us here.
  for (std::size_t left = heap_.size(); left > 0 && !heap_.empty(); --left) {
    Timer& timer = *heap_.front();
    if (timer.when_ > now) return;
    disarm(timer);
    timer.fire();
  }
}

void TimerHeap::place(Timer& timer, std::size_t index) {
  heap_[index] = &timer;
  timer.index_ = index;
}

void TimerHeap::sift_up(std::size_t index) {
  Timer& timer = *heap_[index];
  while (index > 0) {
    const std::size_t parent = (index - 1) / 2;
    if (heap_[parent]->when_ <= timer.when_) break;
    place(*heap_[parent], index);
    index = parent;
  }
  place(timer, index);
}

void TimerHeap::sift_down(std::size_t index) {
  Timer& timer = *heap_[index];
  for (;;) {
    std::size_t child = 2 * index + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && heap_[child + 1]->when_ < heap_[child]->when_) ++child;
    if (timer.when_ <= heap_[child]->when_) break;
    place(*heap_[child], index);
    index = child;
  }
  place(timer, index);
}

}  // namespace bridge
