// listen(), accept() and accept4() of the program.
#include <cerrno>

#include "tools/preload/connecting.h"
#include "tools/preload/exports.h"
#include "tools/preload/listening.h"
#include "tools/preload/real.h"
#include "tools/preload/replacing.h"
#include "tools/preload/setting.h"
#include "tools/preload/sockets.h"

namespace preload {
namespace {

// What accept() is about. A socket that listens already may have come from elsewhere, or another
// process that shares it may have had it listen: then it becomes a listener here.
Wrapped* find_accepting(int fd) {
  Wrapped* const wrapped = find(fd);
  const bool may_listen = wrapped == nullptr || kind_of(*wrapped) == Kind::kFresh;
  if (!may_listen || !wraps_any_port()) return wrapped;
  const ErrnoKept kept;
  if (socket_option(fd, SO_ACCEPTCONN) != 1 || !is_to_be_wrapped(fd)) return nullptr;
  static_cast<void>(begin_listening(fd, SOMAXCONN));
  return find(fd);
}

int accept_wrapped(int fd, Wrapped& wrapped, sockaddr* address, socklen_t* size, int flags) {
  switch (kind_of(wrapped)) {
    case Kind::kListener:
      return accept_from(fd, wrapped, address, size, flags);
    case Kind::kInternal:
      errno = EBADF;
      return -1;
    default:
      errno = EINVAL;  // as of any socket that does not listen
      return -1;
  }
}

}  // namespace
}  // namespace preload

using preload::find;
using preload::Kind;
using preload::Wrapped;

PRELOAD_EXPORT int listen(int fd, int backlog) noexcept {
  Wrapped* const wrapped = find(fd);
  if (wrapped != nullptr && kind_of(*wrapped) == Kind::kListener) {
    return preload::listen_again(*wrapped, backlog);
  }
  const int listens = preload::real::listen(fd, backlog);
  if (listens != 0 || !preload::is_to_be_wrapped(fd)) return listens;
  return preload::begin_listening(fd, backlog < 0 ? SOMAXCONN : static_cast<unsigned>(backlog));
}

PRELOAD_EXPORT int accept(int fd, sockaddr* address, socklen_t* size) {
  Wrapped* const wrapped = preload::find_accepting(fd);
  if (wrapped == nullptr) return preload::real::accept(fd, address, size);
  return preload::accept_wrapped(fd, *wrapped, address, size, 0);
}

PRELOAD_EXPORT int accept4(int fd, sockaddr* address, socklen_t* size, int flags) {
  Wrapped* const wrapped = preload::find_accepting(fd);
  if (wrapped == nullptr) return preload::real::accept4(fd, address, size, flags);
  return preload::accept_wrapped(fd, *wrapped, address, size, flags);
}
