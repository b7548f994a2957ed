// What both directions of the kernel transport need to splice, and how sockets wait.
#pragma once

#include <cstddef>

#include <sys/types.h>

namespace bridge {

// As programs expect of a socket that they are given.
void make_blocking(int fd);

// splice() between sockets and pipes must never block the loop.
void make_nonblocking(int fd);

// One attempt, without waiting. Bytes moved, 0 at the end of the stream, -errno otherwise.
[[nodiscard]] ssize_t splice_now(int in_fd, int out_fd, std::size_t size);

}  // namespace bridge
