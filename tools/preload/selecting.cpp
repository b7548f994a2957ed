// select(2) by poll(2), where one of its descriptors is a connection under way, or TLS.
#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstddef>

#include <poll.h>

#include "tools/preload/descriptors.h"
#include "tools/preload/filters.h"
#include "tools/preload/poll_room.h"
#include "tools/preload/waiting.h"

namespace preload {
namespace {

// What select(2) means by its three sets (fs/select.c).
constexpr short kReadable = POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR;
constexpr short kWritable = POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR;
constexpr short kExceptional = POLLPRI;

// Between two looks at a descriptor that has something for poll(2) and nothing for select(2).
constexpr long kPauseNs = 1'000'000;

// So many bits the kernel may look at: its table of descriptors has had as many places for those of
// the program, and is never made smaller.
std::atomic<int> g_places = FD_SETSIZE;

using Word = unsigned long;
constexpr int kWordBits = sizeof(Word) * 8;

// A set has as many bits as the caller says, which may be more than FD_SETSIZE.
bool is_in(const fd_set* set, int fd) {
  if (set == nullptr) return false;
  const Word word = reinterpret_cast<const Word*>(set)[fd / kWordBits];
  return (word >> (fd % kWordBits) & 1) != 0;
}

void put_into(fd_set* set, int fd) {
  reinterpret_cast<Word*>(set)[fd / kWordBits] |= Word{1} << (fd % kWordBits);
}

void make_empty(fd_set* set, int count) {
  if (set == nullptr) return;
  std::fill_n(reinterpret_cast<Word*>(set), (count + kWordBits - 1) / kWordBits, Word{0});
}

struct Sets {
  fd_set* readable;
  fd_set* writable;
  fd_set* exceptional;
};

short asked_of(const Sets& sets, int fd) {
  return static_cast<short>((is_in(sets.readable, fd) ? POLLIN | POLLRDNORM | POLLRDBAND : 0) |
                            (is_in(sets.writable, fd) ? POLLOUT | POLLWRNORM | POLLWRBAND : 0) |
                            (is_in(sets.exceptional, fd) ? POLLPRI : 0));
}

// How many of its bits are to be set.
int bits_of(const pollfd& each) {
  int bits = 0;
  if ((each.events & POLLIN) != 0 && (each.revents & kReadable) != 0) ++bits;
  if ((each.events & POLLOUT) != 0 && (each.revents & kWritable) != 0) ++bits;
  if ((each.events & POLLPRI) != 0 && (each.revents & kExceptional) != 0) ++bits;
  return bits;
}

void tell(const Sets& sets, int count, PollRoom& asked, std::size_t size) {
  make_empty(sets.readable, count);
  make_empty(sets.writable, count);
  make_empty(sets.exceptional, count);
  for (std::size_t i = 0; i < size; ++i) {
    const pollfd& each = asked[i];
    const auto is_told = [&](short wanted, short found) {
      return (each.events & wanted) != 0 && (each.revents & found) != 0;
    };
    if (is_told(POLLIN, kReadable)) put_into(sets.readable, each.fd);
    if (is_told(POLLOUT, kWritable)) put_into(sets.writable, each.fd);
    if (is_told(POLLPRI, kExceptional)) put_into(sets.exceptional, each.fd);
  }
}

// As poll_all(), but its result is select(2)'s: the number of bits.
int wait_for_bits(PollRoom& asked, std::size_t size, const TimeLeft& time, const sigset_t* mask) {
  for (;;) {
    const timespec left = time.left();
    const int found = poll_all(asked.data(), size, time.is_limited() ? &left : nullptr, mask);
    if (found <= 0) return found;
    int bits = 0;
    for (std::size_t i = 0; i < size; ++i) {
      if ((asked[i].revents & POLLNVAL) != 0) {
        errno = EBADF;
        return -1;
      }
      bits += bits_of(asked[i]);
    }
    if (bits > 0 || (time.is_limited() && time.left_ns() == 0)) return bits;
    const timespec pause{0, kPauseNs};
    if (::ppoll(nullptr, 0, &pause, mask) < 0) return -1;
  }
}

}  // namespace

int selected_within_table(int count) {
  if (count <= g_places.load() || count_of(Kind::kInternal) == 0 || is_filtered()) return count;
  unsigned places = FD_SETSIZE;
  for_each_descriptor([&](int fd) {
    const Wrapped* const wrapped = find(fd);
    if (wrapped != nullptr && kind_of(*wrapped) == Kind::kInternal) return;
    places = std::max(places, std::bit_ceil(static_cast<unsigned>(fd) + 1));
  });
  int seen = g_places.load();
  while (seen < static_cast<int>(places) &&
         !g_places.compare_exchange_weak(seen, static_cast<int>(places))) {
  }
  return std::min(count, g_places.load());
}

bool is_any_selected_to_be_translated(int count, const fd_set* readable, const fd_set* writable,
                                      const fd_set* exceptional) {
  if (!is_any_to_be_translated()) return false;
  // It is read, and no more.
  const Sets sets{const_cast<fd_set*>(readable), const_cast<fd_set*>(writable),
                  const_cast<fd_set*>(exceptional)};
  for (int fd = 0; fd < count; ++fd) {
    const short events = asked_of(sets, fd);
    if (events != 0 && is_to_be_translated(fd, events)) return true;
  }
  return false;
}

int select_all(int count, fd_set* readable, fd_set* writable, fd_set* exceptional,
               const timespec* timeout, const sigset_t* mask, timespec* left) {
  const Sets sets{readable, writable, exceptional};
  const TimeLeft time(timeout);
  PollRoom asked(static_cast<std::size_t>(count));
  if (!time.is_valid() || !asked.has_room()) {
    errno = time.is_valid() ? ENOMEM : EINVAL;
    return -1;
  }
  std::size_t size = 0;
  for (int fd = 0; fd < count; ++fd) {
    const short events = asked_of(sets, fd);
    if (events != 0) asked[size++] = {fd, events, 0};
  }
  const int before = errno;
  const int bits = wait_for_bits(asked, size, time, mask);
  if (left != nullptr) *left = time.left();
  if (bits < 0) return -1;
  tell(sets, count, asked, bits == 0 ? 0 : size);
  errno = before;
  return bits;
}

}  // namespace preload
