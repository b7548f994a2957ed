// Ticker: a descriptor that becomes readable at regular times.
#pragma once

#include <chrono>

#include "ktls/base/result.h"
#include "ktls/base/unique_fd.h"

namespace tools {

class Ticker {
 public:
  // Error: kSystem.
  [[nodiscard]] ktls::Result<void> start(std::chrono::microseconds interval);

  // -1 before start(): nothing to wait for.
  [[nodiscard]] int fd() const { return fd_.get(); }
  // Whether one was due, or several, since the last call.
  [[nodiscard]] bool take() const;

 private:
  ktls::UniqueFd fd_;
};

}  // namespace tools
