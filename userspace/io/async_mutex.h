// AsyncMutex: lets one coroutine of a loop at a time through, in the order of asking.
#pragma once

#include <utility>

#include "ktls/base/result.h"
#include "userspace/io/list.h"
#include "userspace/io/scope.h"
#include "userspace/io/task.h"
#include "userspace/io/wait.h"

namespace bridge {

struct MutexTag;

// For one loop's thread. Must outlive its guards and those who wait.
class AsyncMutex {
 public:
  // Holds the mutex until it goes; then the longest waiting coroutine has it.
  class Guard {
   public:
    Guard() = default;
    Guard(Guard&& other) noexcept : mutex_(std::exchange(other.mutex_, nullptr)) {}
    Guard& operator=(Guard&& other) noexcept {
      if (this != &other) {
        reset();
        mutex_ = std::exchange(other.mutex_, nullptr);
      }
      return *this;
    }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
    ~Guard() { reset(); }

    void reset() {
      if (mutex_ != nullptr) std::exchange(mutex_, nullptr)->unlock();
    }

   private:
    friend class AsyncMutex;
    explicit Guard(AsyncMutex& mutex) : mutex_(&mutex) {}

    AsyncMutex* mutex_ = nullptr;
  };

  AsyncMutex();
  ~AsyncMutex();
  AsyncMutex(const AsyncMutex&) = delete;
  AsyncMutex& operator=(const AsyncMutex&) = delete;

  // kTimeout or kCancelled when the scope ends first.
  [[nodiscard]] Task<ktls::Result<Guard>> lock(Scope& scope);

  [[nodiscard]] bool locked() const { return locked_; }

 private:
  class LockWait;

  void unlock();

  bool locked_ = false;
  List<LockWait, MutexTag> waits_;
};

}  // namespace bridge
