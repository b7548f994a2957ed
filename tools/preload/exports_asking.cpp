// Asking and telling: addresses, options, ioctl(2) and shutdown(2).
#include <cerrno>
#include <cstdarg>

#include <linux/sockios.h>

#include "tools/preload/connecting.h"
#include "tools/preload/exports.h"
#include "tools/preload/failing.h"
#include "tools/preload/options.h"
#include "tools/preload/reading.h"
#include "tools/preload/real.h"
#include "tools/preload/remembered.h"
#include "tools/preload/writing.h"

namespace preload {
namespace {

int answer(int error) {
  return error == 0 ? 0 : fail_with(error);
}

void settle_quietly(Wrapped& wrapped) {
  if (kind_of(wrapped) != Kind::kPending) return;
  const ErrnoKept kept;
  static_cast<void>(settle(wrapped));
}

int tell_name(int fd, Wrapped& wrapped, sockaddr* address, socklen_t* size) {
  settle_quietly(wrapped);
  switch (kind_of(wrapped)) {
    case Kind::kInternal:
      return fail_with(EBADF);
    case Kind::kListener:
    case Kind::kRelayed:
      return answer(tell_address(wrapped.local, address, size));
    case Kind::kPending:
    case Kind::kFailed:
      return real::getsockname(wrapped.copy >= 0 ? wrapped.copy : fd, address, size);
    default:
      return real::getsockname(fd, address, size);
  }
}

// Programs ask for the peer to see whether there is one: not before TLS is.
int tell_peer(int fd, Wrapped& wrapped, sockaddr* address, socklen_t* size) {
  settle_quietly(wrapped);
  switch (kind_of(wrapped)) {
    case Kind::kInternal:
      return fail_with(EBADF);
    case Kind::kListener:
    case Kind::kPending:
    case Kind::kFailed:
      return fail_with(ENOTCONN);
    case Kind::kRelayed:
      return answer(tell_address(wrapped.remote, address, size));
    default:
      return real::getpeername(fd, address, size);
  }
}

int store(void* argument, int value) {
  if (argument == nullptr) return fail_with(EFAULT);
  *static_cast<int*>(argument) = value;
  return 0;
}

int count_for(int fd, Wrapped& wrapped, void* argument) {
  settle_quietly(wrapped);
  switch (kind_of(wrapped)) {
    case Kind::kListener:
      return fail_with(EINVAL);
    case Kind::kPending:
    case Kind::kFailed:
      return store(argument, 0);
    case Kind::kDirect:
      return store(argument, count_readable(fd, wrapped));
    default:
      return real::ioctl(fd, FIONREAD, argument);
  }
}

int control(int fd, Wrapped& wrapped, unsigned long request, void* argument) {
  if (kind_of(wrapped) == Kind::kInternal) return fail_with(EBADF);
  switch (request) {
    case FIONREAD:
      return count_for(fd, wrapped, argument);
    case SIOCATMARK:
      if (kind_of(wrapped) == Kind::kRelayed) return store(argument, 0);
      break;
    case FIOCLEX:
    case FIONCLEX:
      // Whether it is inherited is the same for the listening socket itself.
      if (kind_of(wrapped) == Kind::kListener && wrapped.copy >= 0) {
        static_cast<void>(real::ioctl(wrapped.copy, request, argument));
      }
      break;
    default:
      break;
  }
  return real::ioctl(fd, request, argument);
}

}  // namespace
}  // namespace preload

using preload::find_minded;
using preload::Wrapped;
namespace real = preload::real;

PRELOAD_EXPORT int shutdown(int fd, int how) noexcept {
  Wrapped* const wrapped = find_minded(fd);
  const bool is_known = how == SHUT_RD || how == SHUT_WR || how == SHUT_RDWR;
  if (wrapped == nullptr || !is_known) return real::shutdown(fd, how);
  return preload::shut_down(fd, *wrapped, how);
}

PRELOAD_EXPORT int ioctl(int fd, unsigned long request, ...) noexcept {
  std::va_list arguments;
  va_start(arguments, request);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  Wrapped* const wrapped = find_minded(fd);
  if (wrapped == nullptr) [[likely]]
    return real::ioctl(fd, request, argument);
  return preload::control(fd, *wrapped, request, argument);
}

PRELOAD_EXPORT int getsockname(int fd, sockaddr* address, socklen_t* size) noexcept {
  Wrapped* const wrapped = find_minded(fd);
  if (wrapped == nullptr) return real::getsockname(fd, address, size);
  return preload::tell_name(fd, *wrapped, address, size);
}

PRELOAD_EXPORT int getpeername(int fd, sockaddr* address, socklen_t* size) noexcept {
  Wrapped* const wrapped = find_minded(fd);
  if (wrapped == nullptr) return real::getpeername(fd, address, size);
  return preload::tell_peer(fd, *wrapped, address, size);
}

PRELOAD_EXPORT int getsockopt(int fd, int level, int name, void* value, socklen_t* size) noexcept {
  Wrapped* const wrapped = find_minded(fd);
  if (wrapped == nullptr) return real::getsockopt(fd, level, name, value, size);
  return preload::ask_option(fd, *wrapped, level, name, value, size);
}

PRELOAD_EXPORT int setsockopt(int fd, int level, int name, const void* value,
                              socklen_t size) noexcept {
  Wrapped* const wrapped = find_minded(fd);
  if (wrapped == nullptr) return real::setsockopt(fd, level, name, value, size);
  return preload::set_option(fd, *wrapped, level, name, value, size);
}
