#include "userspace/bridge/splicing.h"

#include <cerrno>

#include <fcntl.h>

namespace bridge {

void make_nonblocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags >= 0 && (flags & O_NONBLOCK) == 0) ::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

void make_blocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags >= 0) ::fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}

ssize_t splice_now(int in_fd, int out_fd, std::size_t size) {
  for (;;) {
    const ssize_t moved =
        ::splice(in_fd, nullptr, out_fd, nullptr, size, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (moved >= 0) return moved;
    if (errno != EINTR) return -errno;
  }
}

}  // namespace bridge
