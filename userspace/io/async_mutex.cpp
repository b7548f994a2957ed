// The waiting line of an AsyncMutex.

#include "userspace/io/async_mutex.h"

#include <cassert>

#include "userspace/io/loop.h"

namespace bridge {

class AsyncMutex::LockWait final : public Wait, public ListHook<MutexTag> {
 public:
  LockWait(AsyncMutex& mutex, Scope& scope) : Wait(scope), mutex_(mutex) {}

  // A lock that was handed over and not taken, because the task was destroyed, goes on.
  ~LockWait() override {
    if (granted_) mutex_.unlock();
  }

  [[nodiscard]] ktls::Result<Guard> await_resume() {
    if (!std::exchange(granted_, false)) return ktls::fail(abort_error());
    return Guard(mutex_);
  }

  void grant() {
    granted_ = true;
    finish();
  }

 private:
  [[nodiscard]] bool begin() override {
    if (mutex_.locked_) {
      mutex_.waits_.push_back(*this);
      return true;
    }
    mutex_.locked_ = granted_ = true;
    return false;
  }

  void stop() override {
    ListHook<MutexTag>::unlink();
    finish();
  }

  AsyncMutex& mutex_;
  bool granted_ = false;
};

AsyncMutex::AsyncMutex() = default;

AsyncMutex::~AsyncMutex() {
  assert(!locked_ && waits_.empty());
}

Task<ktls::Result<AsyncMutex::Guard>> AsyncMutex::lock(Scope& scope) {
  const ktls::Result<void> begun = co_await scope.loop().turn(scope);
  if (!begun) co_return ktls::fail(begun.error());
  LockWait wait(*this, scope);
  co_return co_await wait;
}

void AsyncMutex::unlock() {
  LockWait* const next = waits_.pop_front();
  if (next == nullptr) {
    locked_ = false;
  } else {
    next->grant();
  }
}

}  // namespace bridge
