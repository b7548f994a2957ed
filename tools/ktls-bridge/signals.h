// Signals: SIGTERM, SIGINT and SIGHUP of this process, read from a descriptor.
#pragma once

#include <optional>
#include <utility>

#include "ktls/base/result.h"
#include "ktls/base/unique_fd.h"

namespace tools {

class Signals {
 public:
  // Called before any thread is made, so that every thread leaves them to the descriptor. From
  // here on they wait there until somebody takes them; each at most once, as signals do. SIGPIPE is
  // ignored from here on: a log that nobody reads must not end the program. Error: kSystem.
  [[nodiscard]] static ktls::Result<Signals> hold();

  // Readable when there is one.
  [[nodiscard]] int fd() const { return fd_.get(); }
  // The number of one that waits; empty: none does.
  [[nodiscard]] std::optional<int> take();

 private:
  explicit Signals(ktls::UniqueFd fd) : fd_(std::move(fd)) {}

  ktls::UniqueFd fd_;
};

}  // namespace tools
