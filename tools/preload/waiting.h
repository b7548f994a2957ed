// Waiting for many descriptors at once, some of which are connections under way, or TLS.
#pragma once

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <ctime>

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include "tools/preload/setting.h"
#include "tools/preload/wrapped.h"

namespace preload {

// Whether this process has anything of which poll(2) would not tell what it tells of plain TCP.
inline bool is_any_to_be_translated() {
  return count_of(Kind::kListener) != 0 || count_of(Kind::kDirect) != 0 ||
         count_of(Kind::kPending) != 0 || count_of(Kind::kFailed) != 0;
}

// Whether this descriptor is one, for who asks for such events of poll(2).
[[nodiscard]] bool is_to_be_translated(int fd, short events);

// A limit of time for one call, and what is left of it.
class TimeLeft {
 public:
  // Negative: none.
  static TimeLeft in_ms(int timeout_ms);
  // Null: none. False of is_valid(): it is no time.
  explicit TimeLeft(const timespec* timeout);

  [[nodiscard]] bool is_valid() const { return is_valid_; }
  [[nodiscard]] bool is_limited() const { return is_limited_; }
  [[nodiscard]] std::int64_t left_ns() const;  // 0 when it is over
  [[nodiscard]] timespec left() const;
  // At least as long, for who counts in milliseconds; -1: without limit.
  [[nodiscard]] int left_ms() const;

 private:
  bool is_limited_ = false;
  bool is_valid_ = true;
  std::int64_t end_ns_ = 0;
};

// As ppoll(2).
int poll_all(pollfd* descriptors, nfds_t count, const timespec* timeout, const sigset_t* mask);

// The first argument of select(2) as the kernel would take it without the shim. Programs that give
// the most there can be have sets without room for it, and the kernel looks only at places that its
// table has; which our own descriptors, being high, make many more.
[[nodiscard]] int selected_within_table(int count);

// As pselect(2). `left`: where what is left of the time is to be written, or null.
int select_all(int count, fd_set* readable, fd_set* writable, fd_set* exceptional,
               const timespec* timeout, const sigset_t* mask, timespec* left);
// Whether one of these needs poll_all().
[[nodiscard]] bool is_any_selected_to_be_translated(int count, const fd_set* readable,
                                                    const fd_set* writable,
                                                    const fd_set* exceptional);

// Of the events of a set takes out what is the shim's own, and acts on it. Whether any connection
// is not under way any more.
bool take_marks_out(int set, epoll_event* events, int& count);

// As epoll_wait(2), by `wait()`, which calls the real one for as long as `time` is left.
template <class Wait>
int wait_in_set(int set, epoll_event* events, const TimeLeft& time, Wait wait) {
  const int before = errno;
  for (;;) {
    int count = wait();
    if (count < 0) return count;
    const bool is_any = count > 0;
    const bool is_settled = is_any && take_marks_out(set, events, count);
    const bool is_over = !is_settled && time.is_limited() && time.left_ns() == 0;
    if (count > 0 || !is_any || is_over) {
      errno = before;
      return count;
    }
  }
}

}  // namespace preload
