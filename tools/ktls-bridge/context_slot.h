// ContextSlot: the tls::Context of connections that begin; those that have begun keep theirs.
#pragma once

#include <memory>
#include <mutex>
#include <utility>

#include "userspace/handshake/openssl/context.h"

namespace tools {

// Thread-safe, by a mutex: taken once a handshake it costs nothing. libstdc++ 12 releases the lock
// within its std::atomic<std::shared_ptr> with memory_order_relaxed, and ThreadSanitizer reports
// it.
class ContextSlot {
 public:
  // Null before the first replace().
  [[nodiscard]] std::shared_ptr<tls::Context> current() const {
    const std::lock_guard lock(mutex_);
    return current_;
  }

  void replace(std::shared_ptr<tls::Context> next) {
    const std::lock_guard lock(mutex_);
    current_.swap(next);  // the old one, if it is the last of it, is freed by the caller
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<tls::Context> current_;
};

}  // namespace tools
