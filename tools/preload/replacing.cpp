#include "tools/preload/replacing.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tools/preload/channel.h"
#include "tools/preload/epoll_sets.h"

namespace preload {
namespace {

// Where the shim's own descriptors begin: in the last quarter of what the process may have, but
// never so high that tables of programs would grow for them.
int first_internal() {
  constexpr rlim_t kHighest = 65'536;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  const rlim_t room = std::min(limit.rlim_cur, kHighest);
  return static_cast<int>(room - room / 4);
}

// `operation`: F_DUPFD or F_DUPFD_CLOEXEC.
int duplicate_high(int fd, int operation) {
  const int high = ::fcntl(fd, operation, first_internal());
  // EINVAL: the limit has been lowered meanwhile. EMFILE: there is no place up there.
  return high >= 0 || (errno != EMFILE && errno != EINVAL) ? high : ::fcntl(fd, operation, 0);
}

int enter_internal(int fd) {
  Wrapped* const own = make(Kind::kInternal);
  if (own != nullptr && enter(fd, *own)) return fd;
  if (own != nullptr) discard(*own);
  ::close(fd);
  errno = ENOMEM;
  return -1;
}

void tell_whoever_knew(int fd, int moved) {
  if (channel() == fd) move_channel(moved);
  for_each_entry([&](int, Wrapped& each) {
    if (each.copy == fd) each.copy = moved;
  });
}

}  // namespace

int replace_file(Wrapped& wrapped, int fd, Kind kind) {
  withdraw_from_sets(wrapped);
  int error = 0;
  for_each_descriptor_of(wrapped, [&](int number) {
    const int flags = ::fcntl(number, F_GETFD);
    const int cloexec = (flags & FD_CLOEXEC) != 0 ? O_CLOEXEC : 0;
    while (error == 0 && ::dup3(fd, number, cloexec) < 0) {
      // EBUSY: somebody is opening a file at this number (dup(2)).
      if (errno != EINTR && errno != EBUSY) error = errno;
    }
  });
  if (error == 0) change_kind(wrapped, kind);
  put_back_into_sets(wrapped);
  return error;
}

int make_internal_copy(int fd) {
  const int copy = duplicate_high(fd, F_DUPFD_CLOEXEC);
  return copy < 0 ? -1 : enter_internal(copy);
}

int make_internal(int fd) {
  const int copy = make_internal_copy(fd);
  if (copy >= 0) ::close(fd);
  return copy;
}

void close_internal(int fd) {
  if (Wrapped* const own = leave(fd); own != nullptr && own->descriptors == 0) discard(*own);
  ::close(fd);
}

int make_room_at(int fd) {
  const bool is_inherited = (::fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0;
  const int moved = duplicate_high(fd, is_inherited ? F_DUPFD : F_DUPFD_CLOEXEC);
  if (moved < 0) return errno;
  if (enter_internal(moved) < 0) return errno;
  tell_whoever_knew(fd, moved);
  close_internal(fd);
  return 0;
}

}  // namespace preload
