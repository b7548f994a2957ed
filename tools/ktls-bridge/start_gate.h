// StartGate: where a service waits, ready to accept, until the other services of its configuration
// are ready as well.
#pragma once

#include <chrono>
#include <optional>

#include "ktls/base/unique_fd.h"

namespace tools {

// How the supervisor learns that a service goes on: a byte in each interval, while its loops turn.
//   to  a stream socket that does not block; none: nobody looks
struct Heartbeat {
  ktls::UniqueFd to;
  std::chrono::microseconds interval{};
};

// Used before there are threads. In a process that is not one of several, none of this does
// anything.
class StartGate {
 public:
  // In the process of one service: `gate` is its end of a socket pair whose other end is held by
  // whoever supervises it. `heartbeat` is not sent there: that end is the supervisor's, by SIGTERM,
  // as soon as something comes or goes.
  static void stand_at(ktls::UniqueFd gate, Heartbeat heartbeat);

  // In such a process.
  [[nodiscard]] static bool is_supervised();

  // Tells the other end that this service is ready, and answers whether all are. From then on the
  // end of the supervisor is SIGTERM, whatever user this process has become.
  [[nodiscard]] static bool pass();

  // None: nobody looks.
  [[nodiscard]] static std::optional<std::chrono::microseconds> beat_interval();
  static void beat();
};

}  // namespace tools
