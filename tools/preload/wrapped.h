// Wrapped: an open file that the shim minds, and the table of the descriptors that have one.
//
// find() is on the way of every call of the program, so it takes no lock. All changes are made
// under the one lock of the process (Changing), with signals held back, for a handler may close,
// too. Objects are never given back to the system: who races with a close of its own reads a
// stale object, and no freed memory.
#pragma once

#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstdint>

#include <netinet/in.h>

namespace preload {

//   kFresh     a TCP socket that neither listens nor is connected yet; passes through
//   kListener  one end of a channel to the broker, which brings connections
//   kPending   a connection under way: the socket on which the broker answers
//   kFailed    a connection that came to nothing
//   kDirect    TLS by the kernel
//   kRelayed   a stream whose other end the broker has
//   kInternal  the shim's own, which the program does not know of
//   kEpoll     an epoll set in which one of the above was put
enum class Kind : std::uint8_t {
  kFresh,
  kListener,
  kPending,
  kFailed,
  kDirect,
  kRelayed,
  kInternal,
  kEpoll,
};

// The TCP and IP options of a stream that is relayed, as the program set them.
struct RememberedOption {
  int level = 0;
  int name = 0;
  int value = 0;
};
inline constexpr std::size_t kRememberedOptions = 16;

//   kind         changes after everything else that belongs to it
//   is_shared    other processes may have it: by fork, exec or SCM_RIGHTS, at whichever end
//   may_travel   a descriptor of it was passed on by SCM_RIGHTS, or came so
//   is_parents   by fork alone: this process has done nothing with it, and its parent may have it
//   descriptors  how many of this process have it; under the lock
//   copy         kListener: the listening socket; kPending: the TCP socket; an internal descriptor
//   backlog      kListener: of listen()
//   error        kFailed: what nobody has been told yet, or 0
//   owes_answer  kPending, and after it: connect(2) has not told yet how it ended
//   local, remote  kListener: local; kPending: remote; kRelayed: both; sin6_family AF_INET or
//                AF_INET6
//   has_address  kPending, kFailed: the program had chosen its address before
//   is_owner     kListener: this process registered it
//   is_read_ended   the program has shut it down for reading: 0 is the answer, whoever ended it;
//                   kListener: it listens no more
//   is_write_ended  the program has shut it down for writing, also where the broker still sends;
//                   or the peer is gone, and the program has been told (EPIPE)
struct Wrapped {
  std::atomic<Kind> kind = Kind::kFresh;
  std::atomic<bool> is_shared = false;
  std::atomic<bool> may_travel = false;
  std::atomic<bool> is_parents = false;
  std::atomic<int> error = 0;
  std::atomic<bool> owes_answer = false;
  unsigned descriptors = 0;
  int copy = -1;
  unsigned backlog = 0;
  bool has_address = false;
  bool is_owner = false;
  std::atomic<bool> is_read_ended = false;
  std::atomic<bool> is_write_ended = false;
  sockaddr_in6 local{};
  sockaddr_in6 remote{};
  std::array<RememberedOption, kRememberedOptions> options{};
  std::size_t option_count = 0;
  Wrapped* next_free = nullptr;
};

inline constexpr unsigned kPageBits = 10;
inline constexpr unsigned kDescriptorMax = 1U << 20;  // fs.nr_open, unless somebody raised it

using Page = std::array<std::atomic<Wrapped*>, 1U << kPageBits>;
extern std::array<std::atomic<Page*>, (kDescriptorMax >> kPageBits)> g_pages;

// The object of a descriptor; null: it is none of ours.
inline Wrapped* find(int fd) {
  const auto number = static_cast<unsigned>(fd);
  if (number >= kDescriptorMax) return nullptr;
  Page* const page = g_pages[number >> kPageBits].load(std::memory_order_acquire);
  if (page == nullptr) [[likely]]
    return nullptr;
  return (*page)[number & ((1U << kPageBits) - 1)].load(std::memory_order_acquire);
}

inline Kind kind_of(const Wrapped& wrapped) {
  return wrapped.kind.load(std::memory_order_acquire);
}

// Wrapped objects of each kind that this process has, for who needs to know whether there is any.
extern std::array<std::atomic<unsigned>, 8> g_counts;
inline unsigned count_of(Kind kind) {
  return g_counts[static_cast<std::size_t>(kind)].load(std::memory_order_relaxed);
}

// While it lives this thread alone changes the table, and no signal is handled by it. Not to be
// nested; no request to the broker is made under it.
class Changing {
 public:
  Changing();
  ~Changing();
  Changing(const Changing&) = delete;
  Changing& operator=(const Changing&) = delete;

 private:
  sigset_t before_{};
};

// The functions below are called under Changing.

// A new object without descriptors. Null: there is no memory.
[[nodiscard]] Wrapped* make(Kind kind);
void change_kind(Wrapped& wrapped, Kind kind);
// `fd` is one of its descriptors from now on. False: there is no memory, or the number is beyond
// the table. What the number had before has to be gone.
[[nodiscard]] bool enter(int fd, Wrapped& wrapped);
// `fd` is none of ours any more. What it was, whose last descriptor it may have been (then it has
// none, and the caller gives it back by discard()); null: it was none.
Wrapped* leave(int fd);
void discard(Wrapped& wrapped);
// Calls `visit(fd)` for each descriptor of it, in rising order.
template <class Visit>
void for_each_descriptor_of(const Wrapped& wrapped, Visit visit) {
  unsigned left = wrapped.descriptors;
  for (unsigned number = 0; number < kDescriptorMax && left > 0;) {
    if (g_pages[number >> kPageBits].load() == nullptr) {
      number = ((number >> kPageBits) + 1) << kPageBits;
      continue;
    }
    if (find(static_cast<int>(number)) == &wrapped) {
      --left;
      visit(static_cast<int>(number));
    }
    ++number;
  }
}
// The same for all that are in the table: `visit(fd, wrapped)`.
template <class Visit>
void for_each_entry(Visit visit) {
  for (unsigned number = 0; number < kDescriptorMax;) {
    if (g_pages[number >> kPageBits].load() == nullptr) {
      number = ((number >> kPageBits) + 1) << kPageBits;
      continue;
    }
    if (Wrapped* const wrapped = find(static_cast<int>(number)); wrapped != nullptr) {
      visit(static_cast<int>(number), *wrapped);
    }
    ++number;
  }
}

// For fork(): the lock is held while the process is copied.
void hold_lock();
void release_lock();

// Keeps errno over what a caller is not told of.
class ErrnoKept {
 public:
  ErrnoKept();
  ~ErrnoKept();
  ErrnoKept(const ErrnoKept&) = delete;
  ErrnoKept& operator=(const ErrnoKept&) = delete;

 private:
  int before_;
};

// A wrapper that succeeds leaves errno as it was; one that fails has set it.
class ErrnoOnSuccess {
 public:
  ErrnoOnSuccess();
  // What the wrapper is to answer.
  [[nodiscard]] int answer(int result) const;

 private:
  int before_;
};

}  // namespace preload
