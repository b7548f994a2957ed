// Doorbell: has tasks wait until something that they want may be there again.
#pragma once

#include <set>

#include "ktls/base/result.h"
#include "userspace/io/loop.h"
#include "userspace/io/scope.h"
#include "userspace/io/task.h"

namespace tools {

// On one loop's thread. Nothing is remembered: who waits looks first, and again afterwards.
class Doorbell {
 public:
  // Until somebody rings. Errors: those of the scope.
  [[nodiscard]] bridge::Task<ktls::Result<void>> wait(bridge::Loop& loop, bridge::Scope& scope);
  // Wakes all, because the first may have gone.
  void ring();

 private:
  std::set<bridge::Scope*> waiting_;
};

}  // namespace tools
