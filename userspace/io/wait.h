// Wait: one coroutine's stay in a Scope until something happens.
#pragma once

#include <coroutine>
#include <optional>

#include "ktls/base/result.h"
#include "userspace/io/list.h"

namespace bridge {

class Loop;
class Scope;

struct ReadyTag;
struct ScopeTag;

// A suspended coroutine that a Loop can put in its queue of those to resume. One that is
// destroyed first leaves the queue.
class Resumption : public ListHook<ReadyTag> {
 protected:
  Resumption() = default;
  ~Resumption() = default;

  std::coroutine_handle<> coroutine_;

 private:
  friend class Loop;
};

// Lives in the frame of the coroutine that waits and is awaited there. What happened is told by
// the subclass; the base knows whether the Scope ended the wait.
//
// A Scope may be destroyed while coroutines still wait in it. They are resumed with
// aborted() set, and must not touch the Scope again: after an await, look at the outcome first.
class Wait : public Resumption, public ListHook<ScopeTag> {
 public:
  Wait(const Wait&) = delete;
  Wait& operator=(const Wait&) = delete;
  virtual ~Wait() = default;

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  [[nodiscard]] bool await_suspend(std::coroutine_handle<> coroutine);

 protected:
  explicit Wait(Scope& scope);

  // Starts waiting; false if there is nothing to wait for. The subclass calls finish() later.
  [[nodiscard]] virtual bool begin() = 0;

  // The Scope ended: stop waiting, and call finish() as soon as the operation has let go.
  virtual void stop() = 0;

  // Leaves the Scope; the loop resumes the coroutine in its next round.
  void finish();

  [[nodiscard]] Loop& loop() const { return loop_; }
  [[nodiscard]] Scope& scope() const { return *scope_; }
  [[nodiscard]] bool aborted() const { return aborted_.has_value(); }

  // What to answer when aborted() and nothing better came in the meantime.
  [[nodiscard]] ktls::Error abort_error() const;

 private:
  friend class Scope;
  void abort(ktls::ErrorCode why);

  Loop& loop_;
  Scope* scope_;
  std::optional<ktls::ErrorCode> aborted_;
};

}  // namespace bridge
