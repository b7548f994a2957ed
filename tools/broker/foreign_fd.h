// ForeignFd: a descriptor that a client has sent, which may be of anything.
#pragma once

#include <utility>

#include "ktls/base/unique_fd.h"

namespace tools {

// Owns it. Closing it keeps nobody waiting: the file may still be the client's, who chooses how
// long its close takes (SO_LINGER of a socket that cannot send, flush of a file system in
// userspace). What may take its time is closed by threads that have nothing else to do; sockets
// beyond a number of those lose their SO_LINGER.
class ForeignFd {
 public:
  ForeignFd() = default;
  explicit ForeignFd(ktls::UniqueFd fd) : fd_(std::move(fd)) {}
  ForeignFd(ForeignFd&&) = default;
  ForeignFd& operator=(ForeignFd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::move(other.fd_);
    }
    return *this;
  }
  ForeignFd(const ForeignFd&) = delete;
  ForeignFd& operator=(const ForeignFd&) = delete;
  ~ForeignFd() { reset(); }

  [[nodiscard]] int get() const { return fd_.get(); }
  [[nodiscard]] bool valid() const { return fd_.valid(); }
  void reset();

 private:
  ktls::UniqueFd fd_;
};

}  // namespace tools
