// poll(), select(), epoll_wait() and their like of the program.
#include <cerrno>
#include <cstdlib>

#include <sys/time.h>

#include "tools/preload/connecting.h"
#include "tools/preload/epoll_sets.h"
#include "tools/preload/exports.h"
#include "tools/preload/real.h"
#include "tools/preload/setting.h"
#include "tools/preload/waiting.h"

namespace preload {
namespace {

constexpr long kUsPerSecond = 1'000'000;

int poll_for_ms(pollfd* descriptors, nfds_t count, int timeout_ms) {
  const timespec timeout{timeout_ms / 1000, timeout_ms % 1000 * 1'000'000L};
  return poll_all(descriptors, count, timeout_ms < 0 ? nullptr : &timeout, nullptr);
}

int select_for(int count, fd_set* readable, fd_set* writable, fd_set* exceptional,
               timeval* timeout) {
  if (timeout == nullptr) {
    return select_all(count, readable, writable, exceptional, nullptr, nullptr, nullptr);
  }
  const bool is_time = timeout->tv_sec >= 0 && timeout->tv_usec >= 0;
  timespec left{timeout->tv_sec + timeout->tv_usec / kUsPerSecond,
                is_time ? timeout->tv_usec % kUsPerSecond * 1000 : -1};
  const int found =
      select_all(count, readable, writable, exceptional, &left, nullptr, is_time ? &left : nullptr);
  if (is_time) *timeout = {left.tv_sec, left.tv_nsec / 1000};
  return found;
}

// Whether the sets in which this descriptor is have to be remembered, or know of it already. What
// is connected stays what it is.
bool is_of_sets(int operation, int fd) {
  if (const Wrapped* const wrapped = find(fd); wrapped != nullptr) {
    const Kind kind = kind_of(*wrapped);
    return kind != Kind::kDirect && kind != Kind::kRelayed && kind != Kind::kEpoll;
  }
  if (operation != EPOLL_CTL_ADD || (!wraps_any_port() && !wraps_any_peer())) return false;
  const ErrnoKept kept;
  return may_become_tls(fd);
}

int control(int set, int operation, int fd, epoll_event* event) {
  const int before = errno;
  int controlled = 0;
  {
    const Changing changing;
    Wrapped* wrapped = find(fd);
    if (wrapped == nullptr && may_become_tls(fd)) wrapped = enter_fresh(fd);
    const Kind kind = wrapped == nullptr ? Kind::kEpoll : kind_of(*wrapped);
    switch (kind) {
      case Kind::kInternal:
        errno = EBADF;
        return -1;
      case Kind::kFresh:
      case Kind::kListener:
      case Kind::kPending:
      case Kind::kFailed:
        controlled = control_set(set, operation, fd, event, *wrapped);
        break;
      default:
        controlled = real::epoll_ctl(set, operation, fd, event);
    }
  }
  if (controlled == 0) errno = before;
  return controlled;
}

}  // namespace
}  // namespace preload

using preload::is_any_to_be_translated;
using preload::TimeLeft;
namespace real = preload::real;

PRELOAD_EXPORT int poll(pollfd* descriptors, nfds_t count, int timeout_ms) {
  if (!is_any_to_be_translated()) return real::poll(descriptors, count, timeout_ms);
  return preload::poll_for_ms(descriptors, count, timeout_ms);
}

PRELOAD_EXPORT int ppoll(pollfd* descriptors, nfds_t count, const timespec* timeout,
                         const sigset_t* mask) {
  if (!is_any_to_be_translated()) return real::ppoll(descriptors, count, timeout, mask);
  return preload::poll_all(descriptors, count, timeout, mask);
}

PRELOAD_EXPORT int __poll_chk(pollfd* descriptors, nfds_t count, int timeout_ms, size_t room) {
  // Too little room ends the program, which is for the real one to do.
  if (!is_any_to_be_translated() || room / sizeof(pollfd) < count) {
    return real::__poll_chk(descriptors, count, timeout_ms, room);
  }
  return preload::poll_for_ms(descriptors, count, timeout_ms);
}

PRELOAD_EXPORT int __ppoll_chk(pollfd* descriptors, nfds_t count, const timespec* timeout,
                               const sigset_t* mask, size_t room) {
  if (!is_any_to_be_translated() || room / sizeof(pollfd) < count) {
    return real::__ppoll_chk(descriptors, count, timeout, mask, room);
  }
  return preload::poll_all(descriptors, count, timeout, mask);
}

PRELOAD_EXPORT int select(int count, fd_set* readable, fd_set* writable, fd_set* exceptional,
                          timeval* timeout) {
  if (count > FD_SETSIZE) count = preload::selected_within_table(count);
  if (!preload::is_any_selected_to_be_translated(count, readable, writable, exceptional)) {
    return real::select(count, readable, writable, exceptional, timeout);
  }
  return preload::select_for(count, readable, writable, exceptional, timeout);
}

PRELOAD_EXPORT int pselect(int count, fd_set* readable, fd_set* writable, fd_set* exceptional,
                           const timespec* timeout, const sigset_t* mask) {
  if (count > FD_SETSIZE) count = preload::selected_within_table(count);
  if (!preload::is_any_selected_to_be_translated(count, readable, writable, exceptional)) {
    return real::pselect(count, readable, writable, exceptional, timeout, mask);
  }
  return preload::select_all(count, readable, writable, exceptional, timeout, mask, nullptr);
}

PRELOAD_EXPORT int epoll_ctl(int set, int operation, int fd, epoll_event* event) noexcept {
  if (!preload::is_of_sets(operation, fd)) return real::epoll_ctl(set, operation, fd, event);
  return preload::control(set, operation, fd, event);
}

PRELOAD_EXPORT int epoll_wait(int set, epoll_event* events, int room, int timeout_ms) {
  if (!preload::wraps_any_peer()) return real::epoll_wait(set, events, room, timeout_ms);
  const TimeLeft time = TimeLeft::in_ms(timeout_ms);
  return preload::wait_in_set(set, events, time,
                              [&] { return real::epoll_wait(set, events, room, time.left_ms()); });
}

PRELOAD_EXPORT int epoll_pwait(int set, epoll_event* events, int room, int timeout_ms,
                               const sigset_t* mask) {
  if (!preload::wraps_any_peer()) return real::epoll_pwait(set, events, room, timeout_ms, mask);
  const TimeLeft time = TimeLeft::in_ms(timeout_ms);
  return preload::wait_in_set(set, events, time, [&] {
    return real::epoll_pwait(set, events, room, time.left_ms(), mask);
  });
}

PRELOAD_EXPORT int epoll_pwait2(int set, epoll_event* events, int room, const timespec* timeout,
                                const sigset_t* mask) {
  const TimeLeft time(timeout);
  if (!preload::wraps_any_peer() || !time.is_valid()) {
    return real::epoll_pwait2(set, events, room, timeout, mask);
  }
  return preload::wait_in_set(set, events, time, [&] {
    const timespec left = time.left();
    return real::epoll_pwait2(set, events, room, timeout == nullptr ? nullptr : &left, mask);
  });
}
