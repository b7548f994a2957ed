#include "tools/preload/epoll_sets.h"

#include <algorithm>
#include <cerrno>

#include <sys/epoll.h>

#include "tools/preload/epoll_members.h"

namespace preload {
namespace {

// Sockets that are connected leave, so this bounds connections under way and listeners.
constexpr std::size_t kEntriesMax = 65'536;
// Numbers of sets that have any of ours.
constexpr std::size_t kSetNumbersMax = 4096;
constexpr std::size_t kBuckets = 4096;

// No pointer of a program has such bits above, and no descriptor.
constexpr std::uint64_t kMark = 0x6b74'6c73ULL << 32;
constexpr std::uint64_t kMarkBits = 0xffff'ffffULL << 32;

// What a listener's channel would answer always, and a listening socket never.
constexpr std::uint32_t kWritable = EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;
// What goes with EPOLLEXCLUSIVE (fs/eventpoll.c).
constexpr std::uint32_t kExclusive =
    EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;

//   has_fired  with EPOLLONESHOT: it was told of, and the program has not asked for more since
//   set        number of the set as in SetNumber::set
//   wanted     what the program asked for
//   next       index of the next one in the bucket or among those that are free
struct Entry {
  bool is_used = false;
  bool is_marked = false;
  bool has_fired = false;
  int fd = -1;
  unsigned set = 0;
  epoll_event wanted{};
  std::uint32_t next = 0;
};

// A set has all its numbers in common: what one put there, another takes out.
struct SetNumber {
  int fd = -1;
  unsigned set = 0;  // 0: this place is free
};

// Index 0 stands for none. Pages that were never used cost nothing.
std::array<Entry, kEntriesMax> g_entries;
std::array<std::uint32_t, kBuckets> g_buckets;
std::uint32_t g_entry_end = 1;
std::uint32_t g_free = 0;
std::array<SetNumber, kSetNumbersMax> g_sets;
std::size_t g_set_end = 0;
unsigned g_last_set = 0;

std::uint32_t& bucket_of(int fd) {
  return g_buckets[static_cast<unsigned>(fd) % kBuckets];
}

unsigned set_at(int fd) {
  for (std::size_t i = 0; i < g_set_end; ++i) {
    if (g_sets[i].set != 0 && g_sets[i].fd == fd) return g_sets[i].set;
  }
  return 0;
}

int number_of(unsigned set) {
  for (std::size_t i = 0; i < g_set_end; ++i) {
    if (g_sets[i].set == set) return g_sets[i].fd;
  }
  return -1;
}

bool add_set_number(int fd, unsigned set) {
  std::size_t i = 0;
  while (i < g_set_end && g_sets[i].set != 0) ++i;
  if (i == g_sets.size()) return false;
  g_set_end = std::max(g_set_end, i + 1);
  g_sets[i] = {fd, set};
  return true;
}

// The set that has the number, which is known from now on; 0: there is no room.
unsigned enter_set(int fd) {
  if (const unsigned known = set_at(fd); known != 0) return known;
  if (find(fd) == nullptr) {
    Wrapped* const wrapped = make(Kind::kEpoll);
    if (wrapped == nullptr) return 0;
    if (!enter(fd, *wrapped)) {
      discard(*wrapped);
      return 0;
    }
  }
  const unsigned set = ++g_last_set;
  return add_set_number(fd, set) ? set : 0;
}

Entry* find_entry(unsigned set, int fd) {
  if (set == 0) return nullptr;
  for (std::uint32_t i = bucket_of(fd); i != 0; i = g_entries[i].next) {
    if (g_entries[i].set == set && g_entries[i].fd == fd) return &g_entries[i];
  }
  return nullptr;
}

std::uint32_t index_of(const Entry& entry) {
  return static_cast<std::uint32_t>(&entry - g_entries.data());
}

Entry* add_entry(unsigned set, int fd) {
  std::uint32_t index = g_free;
  if (index != 0) {
    g_free = g_entries[index].next;
  } else if (g_entry_end < g_entries.size()) {
    index = g_entry_end++;
  } else {
    return nullptr;
  }
  Entry& entry = g_entries[index];
  entry = {};
  entry.is_used = true;
  entry.fd = fd;
  entry.set = set;
  entry.next = bucket_of(fd);
  bucket_of(fd) = index;
  return &entry;
}

void remove_entry(Entry& entry) {
  const std::uint32_t index = index_of(entry);
  std::uint32_t* link = &bucket_of(entry.fd);
  while (*link != index) link = &g_entries[*link].next;
  *link = entry.next;
  entry = {};
  entry.next = g_free;
  g_free = index;
}

// What the kernel is to be asked for.
epoll_event event_for(Entry& entry, Kind kind) {
  entry.is_marked = kind == Kind::kPending;
  epoll_event event = entry.wanted;
  if (entry.is_marked) {
    // A single answer, of which every waiting thread is told until one has taken it.
    event.events = EPOLLIN;
    event.data.u64 = kMark | index_of(entry);
    return event;
  }
  if (kind == Kind::kListener) event.events &= ~kWritable;
  if (entry.has_fired) event.events &= kKeptWhenFired;
  return event;
}

// The kernel would say so only of the socket, when the connection is no longer under way.
bool is_refused(const epoll_event& event) {
  return (event.events & EPOLLEXCLUSIVE) != 0 && (event.events & ~kExclusive) != 0;
}

void put_back(Entry& entry, Kind kind) {
  const int set = number_of(entry.set);
  epoll_event event = event_for(entry, kind);
  static_cast<void>(::epoll_ctl(set, EPOLL_CTL_ADD, entry.fd, &event));
}

template <class Visit>
void for_each_entry_of(const Wrapped& wrapped, Visit visit) {
  for_each_descriptor_of(wrapped, [&](int fd) {
    for (std::uint32_t i = bucket_of(fd); i != 0;) {
      Entry& entry = g_entries[i];
      i = entry.next;
      if (entry.fd == fd) visit(entry);
    }
  });
}

void withdraw(const Entry& entry) {
  static_cast<void>(::epoll_ctl(number_of(entry.set), EPOLL_CTL_DEL, entry.fd, nullptr));
}

int control_unknown(int set, int operation, int fd, epoll_event* event, Kind kind) {
  const bool has_event = operation != EPOLL_CTL_DEL && event != nullptr;
  if (!has_event || is_refused(*event)) return ::epoll_ctl(set, operation, fd, event);
  if (operation != EPOLL_CTL_ADD) {
    // Another process may have put it there.
    epoll_event asked = *event;
    if (kind == Kind::kListener) asked.events &= ~kWritable;
    return ::epoll_ctl(set, operation, fd, &asked);
  }
  Entry* const entry = add_entry(0, fd);
  if (entry == nullptr) {
    errno = ENOSPC;
    return -1;
  }
  entry->wanted = *event;
  epoll_event asked = event_for(*entry, kind);
  // The kernel's word first: whether this is a set, and may have the descriptor.
  int error = ::epoll_ctl(set, operation, fd, &asked) == 0 ? 0 : errno;
  if (error == 0) {
    entry->set = enter_set(set);
    if (entry->set != 0) return 0;
    ::epoll_ctl(set, EPOLL_CTL_DEL, fd, nullptr);
    error = ENOSPC;
  }
  remove_entry(*entry);
  errno = error;
  return -1;
}

int change_entry(int set, epoll_event* event, Kind kind, Entry& entry) {
  if (event == nullptr) return ::epoll_ctl(set, EPOLL_CTL_MOD, entry.fd, event);
  if (((event->events | entry.wanted.events) & EPOLLEXCLUSIVE) != 0) {
    errno = EINVAL;  // as the kernel, which does not know of it while the connection is pending
    return -1;
  }
  const epoll_event before = entry.wanted;
  const bool had_fired = entry.has_fired;
  entry.wanted = *event;
  entry.has_fired = false;
  epoll_event asked = event_for(entry, kind);
  if (::epoll_ctl(set, EPOLL_CTL_MOD, entry.fd, &asked) == 0) return 0;
  const int error = errno;
  entry.wanted = before;
  entry.has_fired = had_fired;
  errno = error;
  return -1;
}

void forget_set(unsigned set) {
  for (std::uint32_t i = 1; i < g_entry_end; ++i) {
    if (g_entries[i].is_used && g_entries[i].set == set) remove_entry(g_entries[i]);
  }
}

}  // namespace

bool is_mark(std::uint64_t data) {
  return (data & kMarkBits) == kMark && (data & ~kMarkBits) < kEntriesMax;
}

int control_set(int set, int operation, int fd, epoll_event* event, Wrapped& wrapped) {
  const Kind kind = kind_of(wrapped);
  Entry* const entry = find_entry(set_at(set), fd);
  if (entry == nullptr) return control_unknown(set, operation, fd, event, kind);
  switch (operation) {
    case EPOLL_CTL_MOD:
      return change_entry(set, event, kind, *entry);
    case EPOLL_CTL_DEL: {
      const int removed = ::epoll_ctl(set, operation, fd, event);
      remove_entry(*entry);
      return removed;
    }
    default:
      return ::epoll_ctl(set, operation, fd, event);  // EEXIST, or EINVAL
  }
}

void withdraw_from_sets(const Wrapped& wrapped) {
  for_each_entry_of(wrapped, [](Entry& entry) {
    // While it is pending nothing is told of it.
    if ((entry.wanted.events & EPOLLONESHOT) != 0 && !entry.has_fired && !entry.is_marked) {
      entry.has_fired = has_fired(number_of(entry.set), entry.fd, entry.wanted.data.u64);
    }
    withdraw(entry);
  });
}

void put_back_into_sets(const Wrapped& wrapped) {
  for_each_entry_of(wrapped, [&](Entry& entry) { put_back(entry, kind_of(wrapped)); });
}

void forget_in_sets(int fd) {
  for (std::uint32_t i = bucket_of(fd); i != 0;) {
    Entry& entry = g_entries[i];
    i = entry.next;
    if (entry.fd != fd) continue;
    // Where another process or number keeps the file open, the kernel would go on telling of a
    // mark that nobody knows.
    if (entry.is_marked) withdraw(entry);
    remove_entry(entry);
  }
  const unsigned set = set_at(fd);
  if (set == 0) return;
  for (std::size_t i = 0; i < g_set_end; ++i) {
    if (g_sets[i].fd == fd) g_sets[i] = {};
  }
  while (g_set_end > 0 && g_sets[g_set_end - 1].set == 0) --g_set_end;
  if (number_of(set) < 0) forget_set(set);
}

void forget_sets_of(const Wrapped& wrapped) {
  for_each_entry_of(wrapped, [](Entry& entry) { remove_entry(entry); });
}

void copy_set(int fd, int copy) {
  const unsigned set = set_at(fd);
  if (set != 0 && set_at(copy) == 0) static_cast<void>(add_set_number(copy, set));
}

Wrapped* find_by_mark(std::uint64_t mark) {
  const Entry& entry = g_entries[mark & ~kMarkBits];
  if (!entry.is_used || !entry.is_marked) return nullptr;
  Wrapped* const wrapped = find(entry.fd);
  return wrapped != nullptr && kind_of(*wrapped) == Kind::kPending ? wrapped : nullptr;
}

void add_errors_of_failed(int set, epoll_event* events, int count) {
  const unsigned known = set_at(set);
  if (known == 0) return;
  for (std::uint32_t i = 1; i < g_entry_end; ++i) {
    const Entry& entry = g_entries[i];
    if (!entry.is_used || entry.set != known) continue;
    const Wrapped* const wrapped = find(entry.fd);
    const bool is_failed = wrapped != nullptr && kind_of(*wrapped) == Kind::kFailed;
    if (!is_failed || wrapped->error.load() == 0) continue;
    for (int at = 0; at < count; ++at) {
      if (events[at].data.u64 == entry.wanted.data.u64) events[at].events |= EPOLLERR | EPOLLHUP;
    }
  }
}

}  // namespace preload
