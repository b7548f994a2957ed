// One step of reading, which all ways to read have in common.
//
// A connection answers what is no application data by an error or 0 (userspace/broker). What that
// was is found out and acted on here, so that the program sees data, the end, or an error of TCP's.
#pragma once

#include <sys/types.h>

#include "tools/preload/sockets.h"
#include "tools/preload/wrapped.h"
#include "userspace/broker/client_reading.h"

namespace preload {

// The object of a descriptor whose calls are not simply the kernel's own.
inline Wrapped* find_minded(int fd) {
  Wrapped* const wrapped = find(fd);
  if (wrapped == nullptr) [[likely]]
    return nullptr;
  const Kind kind = kind_of(*wrapped);
  if (kind == Kind::kFresh || kind == Kind::kEpoll) return nullptr;
  if (wrapped->is_parents.load(std::memory_order_relaxed)) wrapped->is_parents.store(false);
  return wrapped;
}

inline bool is_connection(const Wrapped& wrapped) {
  const Kind kind = kind_of(wrapped);
  return kind == Kind::kDirect || kind == Kind::kRelayed;
}

// Waits, if it may, for a connection that is under way. 0: there is one; or the errno of a call
// that wants one, `unconnected` where there never was.
[[nodiscard]] int await_connected(int fd, Wrapped& wrapped, bool may_wait, int unconnected);

// Which errors of a call are not the program's own.
enum class Call : std::uint8_t { kRead, kSplice };

class Reading {
 public:
  // `is_waiting`: the call waits if the descriptor does.
  Reading(int fd, Wrapped& wrapped, bool is_waiting, Call call = Call::kRead);

  // False: -1 and errno is the answer.
  [[nodiscard]] bool may_begin();
  // Whether the call is to be made again after it answered `answer`; else that is what the program
  // is told, together with errno.
  [[nodiscard]] bool goes_on(ssize_t& answer);

 private:
  [[nodiscard]] bool is_answer(ssize_t answer) const;
  [[nodiscard]] bool is_own_mistake() const;
  bool finish(ssize_t& answer, ssize_t value);

  int fd_;
  Wrapped& wrapped_;
  int errno_before_;
  bool may_wait_;
  Call call_;
  broker::ControlAllowance allowance_;
};

// `call()` is the kernel's own, with room for at least a byte.
template <class Real>
ssize_t read_by(int fd, Wrapped& wrapped, bool is_waiting, Real call) {
  Reading reading(fd, wrapped, is_waiting);
  if (!reading.may_begin()) return -1;
  ssize_t answer = 0;
  do {
    answer = call();
  } while (reading.goes_on(answer));
  return answer;
}

// What FIONREAD counts: bytes that can be read at once, of at most kCountedMax.
inline constexpr std::size_t kCountedMax = 16384;
[[nodiscard]] int count_readable(int fd, Wrapped& wrapped);

}  // namespace preload
