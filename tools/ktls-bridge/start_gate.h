// StartGate: where a service waits, ready to accept, until the other services of its configuration
// are ready as well.
#pragma once

#include "ktls/base/unique_fd.h"

namespace tools {

// Used before there are threads. In a process that is not one of several, none of this does
// anything.
class StartGate {
 public:
  // In the process of one service: `gate` is its end of a socket pair whose other end is held by
  // whoever supervises it.
  static void stand_at(ktls::UniqueFd gate);

  // In such a process.
  [[nodiscard]] static bool is_supervised();

  // Tells the other end that this service is ready, and answers whether all are. From then on the
  // end of the supervisor is SIGTERM, whatever user this process has become.
  [[nodiscard]] static bool pass();
};

}  // namespace tools
