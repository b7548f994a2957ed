// Task<T>: a lazy coroutine that yields one T, owned by whoever holds it.
//
// A Task starts when it is awaited (or spawned on a Loop), and only the Loop resumes it after
// that. `co_await std::move(task)` moves it into the awaiting expression, so its frame goes as
// soon as its value has been taken. Destroying a Task that is suspended destroys its frame and,
// first, the frames of the tasks it awaits; operations they have in flight are detached.
//
// There is no symmetric transfer: at -O0 and under the sanitizers g++ 12 makes no tail call of
// it, and a loop of awaits that complete at once would overflow the stack. await_suspend starts
// the child itself and answers false when the child has finished already.
//
// Exceptions end the program: functions here answer with Result.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace bridge {

// Is told that a task has finished. The call comes from the task's final suspension, so the
// task's frame may be destroyed from within it.
class TaskObserver {
 public:
  TaskObserver() = default;
  TaskObserver(const TaskObserver&) = delete;
  TaskObserver& operator=(const TaskObserver&) = delete;
  virtual ~TaskObserver() = default;

  virtual void task_finished() noexcept = 0;
};

class TaskPromiseBase {
 public:
  struct FinalSuspension {
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> finished) const noexcept {
      TaskObserver* const observer = finished.promise().observer_;
      if (observer != nullptr) observer->task_finished();
    }
    void await_resume() const noexcept {}
  };

  [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
  [[nodiscard]] FinalSuspension final_suspend() const noexcept { return {}; }
  [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }

  void observe(TaskObserver& observer) { observer_ = &observer; }

 private:
  TaskObserver* observer_ = nullptr;
};

template <class T>
class Task;

template <class T>
class TaskPromise : public TaskPromiseBase {
 public:
  [[nodiscard]] Task<T> get_return_object();

  template <class U>
  requires std::is_constructible_v<T, U&&>
  void return_value(U&& value) { value_.emplace(std::forward<U>(value)); }

  [[nodiscard]] T take() { return *std::move(value_); }

 private:
  std::optional<T> value_;
};

template <>
class TaskPromise<void> : public TaskPromiseBase {
 public:
  [[nodiscard]] Task<void> get_return_object();
  void return_void() const noexcept {}
  void take() const noexcept {}
};

template <class T>
class [[nodiscard]] Task {
 public:
  using promise_type = TaskPromise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  Task() = default;
  explicit Task(Handle handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      reset();
      handle_ = std::exchange(other.handle_, {});
    }
    return *this;
  }
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  ~Task() { reset(); }

  class Awaiter;
  [[nodiscard]] Awaiter operator co_await() && noexcept { return Awaiter(std::move(*this)); }

  // For those who run tasks without awaiting them: Loop::spawn and when_both.

  [[nodiscard]] bool valid() const { return static_cast<bool>(handle_); }
  [[nodiscard]] bool finished() const { return handle_.done(); }
  [[nodiscard]] std::coroutine_handle<> handle() const { return handle_; }
  void observe(TaskObserver& observer) { handle_.promise().observe(observer); }
  T take() { return handle_.promise().take(); }

 private:
  void reset() {
    if (handle_) std::exchange(handle_, {}).destroy();
  }

  Handle handle_;
};

template <class T>
class Task<T>::Awaiter final : private TaskObserver {
 public:
  explicit Awaiter(Task&& task) noexcept : task_(std::move(task)) {}

  [[nodiscard]] bool await_ready() const noexcept { return false; }

  // The observer is set after the start: a child that finishes at once tells nobody.
  [[nodiscard]] bool await_suspend(std::coroutine_handle<> parent) {
    task_.handle().resume();
    if (task_.finished()) return false;
    parent_ = parent;
    task_.observe(*this);
    return true;
  }

  T await_resume() { return task_.take(); }

 private:
  void task_finished() noexcept override { parent_.resume(); }

  Task task_;
  std::coroutine_handle<> parent_;
};

template <class T>
Task<T> TaskPromise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<TaskPromise>::from_promise(*this));
}

inline Task<void> TaskPromise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<TaskPromise>::from_promise(*this));
}

}  // namespace bridge
