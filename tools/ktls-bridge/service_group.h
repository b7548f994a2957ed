// ServiceGroup: several services, each in a process of its own, as if they were one: they start
// together or not at all, get the same signals, and end together.
//
// Processes, since what protects a service is a process's: its user, its sandbox, its limits, and
// that no other can read its keys.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "ktls/base/result.h"
#include "ktls/base/unique_fd.h"
#include "tools/common/log.h"
#include "tools/ktls-bridge/signals.h"
#include "tools/supervision/supervisor.h"

namespace tools {

struct GroupedService {
  std::string name;
  std::function<int()> run;          // in its own process, whose exit code it answers
  std::optional<int> ready_fd = {};  // inherited, for its process alone
};

// Used on a thread that is the only one.
class ServiceGroup {
 public:
  // `log` is borrowed.
  ServiceGroup(std::vector<GroupedService> services, const Log& log);

  // Until all have ended; answers the exit code: that of the first service that ended without being
  // asked to, else the highest. A service that cannot start says why itself.
  [[nodiscard]] int run();

  // One after the other, without waiting for any to be ready: for what ends by itself. Answers the
  // first exit code that is not 0.
  [[nodiscard]] int run_in_turn();

 private:
  struct Child {
    std::string name;
    pid_t pid = -1;         // -1: it has ended, or never was
    ktls::UniqueFd gate;    // our end
    ktls::UniqueFd beats;   // our end of where it sends its heartbeat
    bool is_ready = false;  // stands at its gate
  };

  [[nodiscard]] ktls::Result<Child> start(const GroupedService& service, bool has_gate);
  [[nodiscard]] bool await_readiness(Signals& signals);
  void open_gates();
  void abandon();
  void act_on(const Signal& signal);
  void reap();
  void note_end(Child& child, int status);
  void send_all(int number) const;
  [[nodiscard]] bool is_running() const;
  // Whether each that has not ended has sent a heartbeat since the last time.
  [[nodiscard]] bool have_all_beaten() const;

  // Whoever reads from one waits for its end, too.
  void close_ready_descriptors(std::optional<int> but) const;
  [[nodiscard]] std::string status() const;

  std::vector<GroupedService> services_;
  const Log& log_;
  // Nobody but us can say that all are ready, and speak for a process that is not theirs. It takes
  // its variables out of the environment, so that no service finds them.
  Supervisor supervisor_;
  std::vector<Child> children_;
  bool are_started_ = false;
  bool is_ending_ = false;
  int ending_signal_ = 0;  // the second one
  int worst_code_ = 0;
  int failed_code_ = 0;  // of the first that ended unasked
};

}  // namespace tools
