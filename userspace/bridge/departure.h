// Departure: how a program leaves whose connection the bridge keeps.
#pragma once

#include <chrono>

#include "ktls/base/result.h"
#include "userspace/io/scope.h"
#include "userspace/io/task.h"

namespace bridge {

class Departure {
 public:
  virtual ~Departure() = default;
  // Waits until the program has ended. An error where what it sent may not be all that it had to
  // say: it was killed. The peer is told by an alert then, and never by close_notify.
  [[nodiscard]] virtual Task<ktls::Result<void>> wait(Scope& scope) = 0;
};

// The same for a program that has let go of its connection, as it does when it ends, or is killed,
// and may do while it goes on: that is an orderly end, too, once it has had a moment to end in.
[[nodiscard]] Task<ktls::Result<void>> wait_a_moment(Departure& departure, Scope& scope);

}  // namespace bridge
