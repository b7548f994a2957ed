// Descriptors of the program: their end, their copies, and that the shim's own are none of them.
#include <cerrno>
#include <climits>
#include <cstdarg>

#include "tools/preload/channel.h"
#include "tools/preload/closing.h"
#include "tools/preload/connecting.h"
#include "tools/preload/descriptors.h"
#include "tools/preload/epoll_sets.h"
#include "tools/preload/exports.h"
#include "tools/preload/failing.h"
#include "tools/preload/listening.h"
#include "tools/preload/real.h"
#include "tools/preload/replacing.h"
#include "tools/preload/setting.h"

namespace preload {
namespace {

bool is_internal(const Wrapped* wrapped) {
  return wrapped != nullptr && kind_of(*wrapped) == Kind::kInternal;
}

// A socket that has nothing to do with TLS yet may have before its copy has: then the copy is to be
// known as well.
bool is_to_be_known(int fd) {
  if (find(fd) != nullptr) return true;
  if ((!wraps_any_port() && !wraps_any_peer()) || !may_become_tls(fd)) return false;
  const ErrnoKept kept;
  const Changing changing;
  return enter_fresh(fd) != nullptr;
}

// `copy` is a new number of what `fd` is. -1 and errno ENOMEM, with `copy` closed.
int enter_copy(int fd, int copy) {
  if (copy < 0) return copy;
  const Changing changing;
  Wrapped* const wrapped = find(fd);
  if (wrapped == nullptr) return copy;
  if (!enter(copy, *wrapped)) {
    real::close(copy);
    return fail_with(ENOMEM);
  }
  if (kind_of(*wrapped) == Kind::kEpoll) copy_set(fd, copy);
  if (kind_of(*wrapped) == Kind::kListener) follow_inheritance(*wrapped);
  return copy;
}

// Makes `to` a number that dup3() may take. 0, or an errno.
int make_way(int fd, int to) {
  Wrapped* const there = find(to);
  if (there == nullptr) return 0;
  if (real::fcntl(fd, F_GETFD) < 0) return EBADF;
  if (is_internal(there)) {
    const Changing changing;
    return make_room_at(to);
  }
  let_go_of(to);
  return 0;
}

// dup2() and dup3() with different numbers.
int duplicate_to(int fd, int to, int flags) {
  const ErrnoOnSuccess keeps;
  if (is_internal(find(fd))) return fail_with(EBADF);
  // What cannot be done ends nothing.
  if ((flags & ~O_CLOEXEC) != 0) return fail_with(EINVAL);
  if (const int error = make_way(fd, to); error != 0) return fail_with(error);
  return keeps.answer(enter_copy(fd, real::dup3(fd, to, flags)));
}

int set_descriptor_flags(int fd, int flags) {
  const int set = real::fcntl(fd, F_SETFD, flags);
  if (set != 0) return set;
  const Changing changing;
  const Wrapped* const wrapped = find(fd);
  if (wrapped != nullptr && kind_of(*wrapped) == Kind::kListener) follow_inheritance(*wrapped);
  return set;
}

int control_wrapped(int fd, int operation, void* argument) {
  const ErrnoOnSuccess keeps;
  const int number = static_cast<int>(reinterpret_cast<long>(argument));
  switch (operation) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
      return keeps.answer(enter_copy(fd, real::fcntl(fd, operation, number)));
    case F_SETFD:
      return keeps.answer(set_descriptor_flags(fd, number));
    default:
      return real::fcntl(fd, operation, argument);
  }
}

bool makes_copy(int operation) {
  return operation == F_DUPFD || operation == F_DUPFD_CLOEXEC;
}

// Whether fcntl() of it is more than the kernel's own.
bool is_controlled(int fd, int operation) {
  return makes_copy(operation) ? is_to_be_known(fd) : find(fd) != nullptr;
}

bool is_in_range(int fd, unsigned first, unsigned last) {
  return static_cast<unsigned>(fd) >= first && static_cast<unsigned>(fd) <= last;
}

// Numbers of ours that are left open, and those of connections, which are ended one by one, are
// few: the kernel closes what is between them.
int close_between(unsigned first, unsigned last) {
  unsigned begin = first;
  int result = 0;
  for_each_entry([&](int fd, Wrapped&) {
    const auto number = static_cast<unsigned>(fd);
    if (!is_in_range(fd, begin, last)) return;
    if (number > begin) result |= real::close_range(begin, number - 1, 0);
    begin = number + 1;
  });
  if (begin <= last) result |= real::close_range(begin, last, 0);
  return result;
}

int set_cloexec_between(unsigned first, unsigned last) {
  const int result = real::close_range(first, last, CLOSE_RANGE_CLOEXEC);
  const Changing changing;
  for_each_entry([&](int fd, Wrapped& each) {
    if (!is_in_range(fd, first, last)) return;
    if (kind_of(each) == Kind::kListener) follow_inheritance(each);
    // The channel goes on to the next program, which is under the shim as this one is.
    if (fd == channel()) real::fcntl(fd, F_SETFD, 0);
  });
  return result;
}

int close_all_between(unsigned first, unsigned last, int flags) {
  constexpr int kKnown = CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC;
  if (first > last || (flags & ~kKnown) != 0) return fail_with(EINVAL);
  // From here on other threads keep what is closed here.
  if ((flags & CLOSE_RANGE_UNSHARE) != 0 && ::unshare(CLONE_FILES) != 0) return -1;
  if ((flags & CLOSE_RANGE_CLOEXEC) != 0) return set_cloexec_between(first, last);
  for (unsigned number = first; number <= last && number < kDescriptorMax; ++number) {
    if (g_pages[number >> kPageBits].load() == nullptr) {
      number |= (1U << kPageBits) - 1;
      continue;
    }
    const int fd = static_cast<int>(number);
    const Wrapped* const wrapped = find(fd);
    if (wrapped != nullptr && !is_internal(wrapped)) close_wrapped(fd);
  }
  return close_between(first, last);
}

}  // namespace
}  // namespace preload

using preload::find;
using preload::Wrapped;

PRELOAD_EXPORT int close(int fd) {
  if (find(fd) == nullptr) return preload::real::close(fd);
  return preload::close_wrapped(fd);
}

PRELOAD_EXPORT int close_range(unsigned first, unsigned last, int flags) noexcept {
  return preload::close_all_between(first, last, flags);
}

PRELOAD_EXPORT void closefrom(int first) noexcept {
  preload::close_all_between(first < 0 ? 0 : static_cast<unsigned>(first), UINT_MAX, 0);
}

PRELOAD_EXPORT int dup(int fd) noexcept {
  if (!preload::is_to_be_known(fd)) return preload::real::dup(fd);
  if (preload::is_internal(find(fd))) return preload::fail_with(EBADF);
  const preload::ErrnoOnSuccess keeps;
  return keeps.answer(preload::enter_copy(fd, preload::real::dup(fd)));
}

PRELOAD_EXPORT int dup2(int fd, int to) noexcept {
  if (fd == to || (!preload::is_to_be_known(fd) && find(to) == nullptr)) {
    return preload::real::dup2(fd, to);
  }
  return preload::duplicate_to(fd, to, 0);
}

PRELOAD_EXPORT int dup3(int fd, int to, int flags) noexcept {
  if (fd == to || (!preload::is_to_be_known(fd) && find(to) == nullptr)) {
    return preload::real::dup3(fd, to, flags);
  }
  return preload::duplicate_to(fd, to, flags);
}

// The third argument is a number or a pointer, or there is none: what is passed on is the same.
PRELOAD_EXPORT int fcntl(int fd, int operation, ...) {
  va_list arguments;
  va_start(arguments, operation);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  if (!preload::is_controlled(fd, operation)) return preload::real::fcntl(fd, operation, argument);
  if (preload::is_internal(find(fd))) return preload::fail_with(EBADF);
  return preload::control_wrapped(fd, operation, argument);
}

PRELOAD_EXPORT int fcntl64(int fd, int operation, ...) {
  va_list arguments;
  va_start(arguments, operation);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  if (!preload::is_controlled(fd, operation))
    return preload::real::fcntl64(fd, operation, argument);
  if (preload::is_internal(find(fd))) return preload::fail_with(EBADF);
  return preload::control_wrapped(fd, operation, argument);
}
