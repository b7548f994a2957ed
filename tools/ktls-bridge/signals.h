// Signals: those of this process that it takes note of, read from a descriptor.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>

#include <sys/types.h>

#include "ktls/base/result.h"
#include "ktls/base/unique_fd.h"

namespace tools {

// One that came.
struct Signal {
  int number = 0;
  bool is_from_kernel = false;  // as those of a terminal are, which its whole process group gets
  pid_t sender = 0;             // of one that was sent by a process
};

// "SIGTERM", "SIGRTMIN+1"; of what is neither, its number.
[[nodiscard]] std::string name_of_signal(int number);

class Signals {
 public:
  // SIGTERM, SIGINT and SIGHUP, as below.
  [[nodiscard]] static ktls::Result<Signals> hold();
  // Called before any thread is made, so that every thread leaves them to the descriptor. From
  // here on they wait there until somebody takes them; each at most once, as signals do. SIGPIPE is
  // ignored from here on: a log that nobody reads must not end the program. Error: kSystem.
  [[nodiscard]] static ktls::Result<Signals> hold(std::span<const int> numbers);

  // Readable when there is one.
  [[nodiscard]] int fd() const { return fd_.get(); }
  // One that waits; empty: none does.
  [[nodiscard]] std::optional<Signal> take();

 private:
  explicit Signals(ktls::UniqueFd fd) : fd_(std::move(fd)) {}

  ktls::UniqueFd fd_;
};

}  // namespace tools
