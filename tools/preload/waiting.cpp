#include "tools/preload/waiting.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>

#include <sys/socket.h>
#include <unistd.h>

#include "tools/preload/connecting.h"
#include "tools/preload/epoll_sets.h"
#include "tools/preload/poll_room.h"
#include "userspace/broker/ktls_bridge_client.h"

namespace preload {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;
constexpr std::int64_t kNsPerMs = 1'000'000;
// Where the kernel says that something is readable which is none for the program, as the first
// half of a record may be, and would say so again at once.
constexpr std::int64_t kPauseNs = 5 * kNsPerMs;
// Tickets that may come one behind the other.
constexpr int kControlsMax = 64;
constexpr short kReadable = POLLIN | POLLRDNORM;
// What a listener's channel always is, and a listening socket never.
constexpr short kWritable = POLLOUT | POLLWRNORM | POLLWRBAND;

timespec timespec_of(std::int64_t ns) {
  return {static_cast<time_t>(ns / kNsPerSecond), static_cast<long>(ns % kNsPerSecond)};
}

std::int64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kNsPerSecond + now.tv_nsec;
}

// Whether a read of the program would not wait: tickets and key updates are dealt with.
bool has_data(int fd) {
  for (int i = 0; i < kControlsMax; ++i) {
    char any = 0;
    if (::recv(fd, &any, sizeof any, MSG_PEEK | MSG_DONTWAIT) >= 0) return true;
    if (errno == EAGAIN) return false;
    // Whatever else it is a read finds out, and without waiting.
    if (errno != EIO && errno != EKEYEXPIRED) return true;
    if (ktlsb_control(fd) != 1) return errno != EAGAIN;
  }
  return false;
}

// What the program is to be told of a descriptor of which the kernel says `found`.
short translate(const pollfd& asked, short found) {
  Wrapped* const wrapped = find(asked.fd);
  if (wrapped == nullptr || found == 0) return found;
  switch (kind_of(*wrapped)) {
    case Kind::kFailed:
      // What the kernel's socket has forgotten.
      if (wrapped->error.load() == 0) return found;
      return static_cast<short>(found | POLLERR | POLLHUP | (asked.events & POLLOUT));
    case Kind::kDirect:
      if ((found & kReadable) == 0 || (found & (POLLERR | POLLHUP)) != 0) return found;
      return static_cast<short>(has_data(asked.fd) ? found : found & ~kReadable);
    case Kind::kListener:
      return static_cast<short>(found & ~kWritable);
    default:
      return found;
  }
}

// One wait after the other, until there is something to tell. Of each descriptor there are two
// entries: what the kernel is asked, and, behind all of those, what is known of it: `events` that
// are held back for a moment, and `revents` where it is pending.
class Polling {
 public:
  Polling(pollfd* asked, std::size_t count, PollRoom& room)
      : asked_(asked), count_(count), room_(room) {
    for (std::size_t i = 0; i < count_; ++i) known(i) = {-1, 0, 0};
  }

  int run(const TimeLeft& time, const sigset_t* mask) {
    for (;;) {
      prepare();
      const bool is_limited = time.is_limited();
      const std::int64_t left = time.left_ns();
      const bool pauses = is_any_held_back_ && (!is_limited || left > kPauseNs);
      const timespec limit = timespec_of(pauses ? kPauseNs : left);
      const int found =
          ::ppoll(room_.data(), count_, pauses || is_limited ? &limit : nullptr, mask);
      if (found < 0) return -1;
      const int told = tell();
      if (told > 0 || (found == 0 && !pauses)) return told;
      if (is_limited && time.left_ns() == 0 && !is_settled_) return 0;
    }
  }

 private:
  pollfd& known(std::size_t i) { return room_[count_ + i]; }

  void prepare() {
    for (std::size_t i = 0; i < count_; ++i) {
      pollfd& copy = room_[i];
      copy = {asked_[i].fd, static_cast<short>(asked_[i].events & ~known(i).events), 0};
      known(i).revents = 0;
      const Wrapped* const wrapped = find(copy.fd);
      if (wrapped == nullptr) continue;
      const Kind kind = kind_of(*wrapped);
      if (kind == Kind::kListener) copy.events &= static_cast<short>(~kWritable);
      if (kind != Kind::kPending) continue;
      copy.events = POLLIN;
      known(i).revents = 1;
    }
  }

  // How many descriptors have something for the program.
  int tell() {
    int told = 0;
    is_any_held_back_ = false;
    is_settled_ = false;
    for (std::size_t i = 0; i < count_; ++i) {
      const short found = room_[i].revents;
      asked_[i].revents = 0;
      known(i).events = 0;
      if (found == 0) continue;
      if (known(i).revents != 0) {
        // Of another file than the program's, whoever settles it.
        Wrapped* const wrapped = find(asked_[i].fd);
        is_settled_ |= wrapped == nullptr || settle(*wrapped);
        continue;
      }
      asked_[i].revents = translate(asked_[i], found);
      if (asked_[i].revents != 0) {
        ++told;
      } else {
        known(i).events = found;
        is_any_held_back_ = true;
      }
    }
    return told;
  }

  pollfd* asked_;
  std::size_t count_;
  PollRoom& room_;
  bool is_any_held_back_ = false;
  bool is_settled_ = false;
};

}  // namespace

bool is_to_be_translated(int fd, short events) {
  const Wrapped* const wrapped = find(fd);
  if (wrapped == nullptr) return false;
  switch (kind_of(*wrapped)) {
    case Kind::kListener:
      return (events & kWritable) != 0;
    case Kind::kDirect:
      return (events & kReadable) != 0;
    case Kind::kPending:
    case Kind::kFailed:
      return true;
    default:
      return false;
  }
}

TimeLeft::TimeLeft(const timespec* timeout) {
  if (timeout == nullptr) return;
  is_limited_ = true;
  is_valid_ = timeout->tv_sec >= 0 && timeout->tv_nsec >= 0 && timeout->tv_nsec < kNsPerSecond;
  // Longer than any program runs, so that nothing overflows.
  constexpr std::int64_t kSecondsMax = 1'000'000'000;
  const std::int64_t seconds = std::min<std::int64_t>(timeout->tv_sec, kSecondsMax);
  if (is_valid_) end_ns_ = now_ns() + seconds * kNsPerSecond + timeout->tv_nsec;
}

TimeLeft TimeLeft::in_ms(int timeout_ms) {
  if (timeout_ms < 0) return TimeLeft(nullptr);
  const timespec timeout = timespec_of(timeout_ms * kNsPerMs);
  return TimeLeft(&timeout);
}

std::int64_t TimeLeft::left_ns() const {
  return is_limited_ ? std::max<std::int64_t>(0, end_ns_ - now_ns()) : 0;
}

timespec TimeLeft::left() const {
  return timespec_of(left_ns());
}

int TimeLeft::left_ms() const {
  if (!is_limited_) return -1;
  constexpr std::int64_t kMax = 0x7fff'ffff;
  return static_cast<int>(std::min(kMax, (left_ns() + kNsPerMs - 1) / kNsPerMs));
}

int poll_all(pollfd* descriptors, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  const bool is_any = count < kDescriptorMax && descriptors != nullptr &&
                      std::any_of(descriptors, descriptors + count, [](const pollfd& each) {
                        return is_to_be_translated(each.fd, each.events);
                      });
  if (!is_any) return ::ppoll(descriptors, count, timeout, mask);
  const TimeLeft time(timeout);
  if (!time.is_valid()) return ::ppoll(descriptors, count, timeout, mask);
  PollRoom room(count * 2);
  if (!room.has_room()) {
    errno = ENOMEM;
    return -1;
  }
  const int before = errno;
  const int told = Polling(descriptors, count, room).run(time, mask);
  if (told >= 0) errno = before;
  return told;
}

bool take_marks_out(int set, epoll_event* events, int& count) {
  const auto is_marked = [](const epoll_event& each) { return is_mark(each.data.u64); };
  bool is_settled = false;
  for (int i = 0; i < count; ++i) {
    if (!is_marked(events[i])) continue;
    Wrapped* pending = nullptr;
    {
      const Changing changing;
      pending = find_by_mark(events[i].data.u64);
    }
    if (pending != nullptr) is_settled |= settle(*pending);
  }
  const int found = count;
  count = static_cast<int>(std::remove_if(events, events + count, is_marked) - events);
  if (count_of(Kind::kFailed) != 0) {
    const Changing changing;
    add_errors_of_failed(set, events, count);
  }
  // A mark that nobody knows, of a set that is shared with another process, comes again at once.
  if (count == 0 && found > 0 && !is_settled) {
    const timespec pause = timespec_of(kPauseNs);
    ::nanosleep(&pause, nullptr);
  }
  return is_settled;
}

}  // namespace preload
