// Syscalls: the few system calls that this floor makes, behind a seam so that tests can answer
// them (FakeKernel) and inject every errno.
#pragma once

#include <cstddef>

#include <sys/socket.h>
#include <sys/types.h>

namespace ktls {

// Each member has the contract of the system call it is named after: -1 and errno on failure.
class Syscalls {
 public:
  virtual ~Syscalls() = default;
  virtual int setsockopt(int fd, int level, int name, const void* value, socklen_t size) = 0;
  virtual int getsockopt(int fd, int level, int name, void* value, socklen_t* size) = 0;
  virtual ssize_t sendmsg(int fd, const msghdr* message, int flags) = 0;
  virtual ssize_t recvmsg(int fd, msghdr* message, int flags) = 0;
  // Of one descriptor: 1 when it is ready, 0 after `timeout_ms`.
  virtual int poll(int fd, short events, int timeout_ms) = 0;
  // A connected pair of non-blocking TCP sockets over loopback in this network namespace, for
  // probe(). IPv4 is tried, then IPv6.
  virtual int tcp_pair(int fds[2]) = 0;
  virtual int close(int fd) = 0;
};

// The kernel itself.
[[nodiscard]] Syscalls& system_calls();

}  // namespace ktls
