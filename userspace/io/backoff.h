// Backoff: pauses between attempts at something that claims to be ready and is not.
#pragma once

#include <algorithm>
#include <chrono>

#include "ktls/base/result.h"
#include "userspace/io/loop.h"
#include "userspace/io/scope.h"
#include "userspace/io/task.h"

namespace bridge {

// For descriptors whose readiness cannot be trusted: on Linux 6.1 a kTLS socket is readable
// while only part of a record is there, and reads answer EAGAIN; after an error it has POLLERR for
// good. Each pause is twice as long as the
// one before: 1, 2, 4 … 32 ms. The first is short enough not to be felt, the last long enough
// for a peer that stalls within a record to cost nothing.
class Backoff {
 public:
  static constexpr std::chrono::milliseconds kFirst{1};
  static constexpr std::chrono::milliseconds kLast{32};

  [[nodiscard]] Task<ktls::Result<void>> pause(Scope& scope) {
    const std::chrono::milliseconds now = pause_;
    pause_ = std::min(pause_ * 2, kLast);
    return scope.loop().sleep(scope, now);
  }

  // Progress was made.
  void reset() { pause_ = kFirst; }

 private:
  std::chrono::milliseconds pause_ = kFirst;
};

}  // namespace bridge
