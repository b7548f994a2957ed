// What all ways to write have in common.
#pragma once

#include <cerrno>
#include <csignal>

#include <sys/types.h>

#include "tools/preload/reading.h"

namespace preload {

// 0: there is a connection to write to; or the errno of the answer. EPIPE has raised SIGPIPE,
// unless `is_quiet`, as TCP does.
[[nodiscard]] int may_write_to(int fd, Wrapped& wrapped, bool is_waiting, bool is_quiet);

// `call()` is the kernel's own.
template <class Real>
ssize_t write_by(int fd, Wrapped& wrapped, bool is_waiting, bool is_quiet, Real call) {
  const int before = errno;
  if (const int error = may_write_to(fd, wrapped, is_waiting, is_quiet); error != 0) {
    errno = error;
    return -1;
  }
  errno = before;
  const ssize_t answer = call();
  // The kernel's TLS says so once, and then takes what goes nowhere (net/tls/tls_sw.c).
  if (answer < 0 && errno == EPIPE) wrapped.is_write_ended.store(true);
  return answer;
}

// Ends the write side of a connection (close_notify), and the read side, as shutdown(2) with `how`,
// which is one of its three. 0, or -1 and errno.
int shut_down(int fd, Wrapped& wrapped, int how);

}  // namespace preload
