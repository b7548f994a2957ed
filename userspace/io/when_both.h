// when_both: awaits two tasks that run at the same time.
#pragma once

#include <coroutine>
#include <utility>

#include "userspace/io/task.h"

namespace bridge {

// Starts both tasks, the first one first, and is done when both are. Destroying it destroys both.
template <class A, class B>
class [[nodiscard]] WhenBoth final : private TaskObserver {
 public:
  WhenBoth(Task<A>&& first, Task<B>&& second)
      : first_(std::move(first)), second_(std::move(second)) {}

  [[nodiscard]] bool await_ready() const noexcept { return false; }

  [[nodiscard]] bool await_suspend(std::coroutine_handle<> parent) {
    parent_ = parent;
    first_.observe(*this);
    second_.observe(*this);
    first_.handle().resume();
    second_.handle().resume();
    // The third count is this function's own: whoever finishes last resumes the parent, and the
    // parent is not suspended before this returns.
    --unfinished_;
    return unfinished_ != 0;
  }

  std::pair<A, B> await_resume() { return {first_.take(), second_.take()}; }

 private:
  void task_finished() noexcept override {
    if (--unfinished_ == 0) parent_.resume();
  }

  Task<A> first_;
  Task<B> second_;
  std::coroutine_handle<> parent_;
  int unfinished_ = 3;
};

// `co_await when_both(one(), other())` yields std::pair<A, B>.
template <class A, class B>
[[nodiscard]] WhenBoth<A, B> when_both(Task<A> first, Task<B> second) {
  return WhenBoth<A, B>(std::move(first), std::move(second));
}

}  // namespace bridge
