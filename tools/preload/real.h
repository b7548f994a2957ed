// The functions behind ours: what a program would have called without the shim.
//
// Inside of the shim a plain `::read(...)` is the real one already: the linker's --wrap sends it
// through a jump to the pointer of that name here (real.cpp). Only a file that defines an exported
// function of the same name cannot use the name for the other, and calls `real::read` instead.
#pragma once

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

// The fortified names, which no header declares for who does not fortify. Source: glibc,
// debug/*_chk.c and socket/*_chk.c.
extern "C" {
ssize_t __read_chk(int fd, void* buffer, size_t size, size_t room);
ssize_t __recv_chk(int fd, void* buffer, size_t size, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void* buffer, size_t size, size_t room, int flags, sockaddr* address,
                       socklen_t* address_size);
int __poll_chk(pollfd* descriptors, nfds_t count, int timeout_ms, size_t room);
int __ppoll_chk(pollfd* descriptors, nfds_t count, const timespec* timeout, const sigset_t* mask,
                size_t room);
}

namespace preload::real {

// The jumps of real.cpp find them by these names.
#define SHIM(name, what) \
  extern __attribute__((visibility("hidden"))) decltype(&::name) name asm("real_" #name);
#include "tools/preload/interposed.def"
#undef SHIM

// Finds them all. Until then each finds them at its first call.
void resolve();

}  // namespace preload::real
