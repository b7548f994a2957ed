#include "tools/preload/identity.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <optional>

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/preload/descriptors.h"
#include "tools/preload/listening.h"
#include "tools/preload/replacing.h"
#include "tools/preload/setting.h"
#include "tools/preload/sockets.h"
#include "tools/preload/wrapped.h"
#include "userspace/broker/client_records.h"
#include "userspace/broker/protocol.h"

namespace preload {
namespace {

// The object that another descriptor of the same socket has already.
Wrapped* find_same(int fd) {
  const std::uint64_t cookie = cookie_of(fd);
  Wrapped* same = nullptr;
  for_each_entry([&](int other, Wrapped& each) {
    const Kind kind = kind_of(each);
    const bool is_own = kind == Kind::kInternal || kind == Kind::kEpoll;
    if (same == nullptr && !is_own && cookie_of(other) == cookie) same = &each;
  });
  return same;
}

Wrapped* enter_as(int fd, Kind kind) {
  Wrapped* wrapped = find_same(fd);
  if (wrapped == nullptr) wrapped = make(kind);
  if (wrapped == nullptr) return nullptr;
  wrapped->is_shared.store(true);
  if (enter(fd, *wrapped)) return wrapped;
  if (wrapped->descriptors == 0) discard(*wrapped);
  return nullptr;
}

// Our copy of the listening socket came along, and nobody else has that socket at another number
// than the program's, which are channels.
int find_listening_socket(const broker::ListenName& name) {
  int found = -1;
  std::uint64_t cookie = 0;
  std::memcpy(&cookie, name.cookie.data(), sizeof cookie);
  for_each_descriptor([&](int fd) {
    const bool is_taken = find(fd) != nullptr;
    if (found < 0 && !is_taken && socket_option(fd, SO_ACCEPTCONN) == 1 &&
        cookie_of(fd) == cookie) {
      found = fd;
    }
  });
  return found;
}

void recognise_listener(int fd, const broker::ListenName& name) {
  Wrapped* const wrapped = enter_as(fd, Kind::kListener);
  if (wrapped == nullptr || wrapped->copy >= 0) return;
  wrapped->local = name.local;
  const int socket = find_listening_socket(name);
  if (socket < 0) return;
  Wrapped* const own = make(Kind::kInternal);
  if (own == nullptr || !enter(socket, *own)) return;
  wrapped->copy = socket;
}

void recognise_local(int fd) {
  sockaddr_un address{};
  socklen_t size = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return;
  broker::StreamName stream;
  broker::ListenName listener;
  if (broker::name_of_address(address, size, stream)) {
    Wrapped* const wrapped = enter_as(fd, Kind::kRelayed);
    if (wrapped == nullptr) return;
    wrapped->local = stream.local;
    wrapped->remote = stream.remote;
  } else if (broker::name_of_address(address, size, listener)) {
    recognise_listener(fd, listener);
  }
}

bool is_unused(int fd) {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  return socket_option(fd, SO_ACCEPTCONN) == 0 &&
         ::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0;
}

void recognise_internet(int fd) {
  if (socket_option(fd, SO_TYPE) != SOCK_STREAM) return;
  if (broker::kind_of(fd) == broker::StreamKind::kKernelTls) {
    enter_as(fd, Kind::kDirect);
  } else if (is_unused(fd)) {
    enter_as(fd, Kind::kFresh);
  }
}

void recognise_socket(int fd) {
  switch (socket_option(fd, SO_DOMAIN)) {
    case AF_UNIX:
      recognise_local(fd);
      break;
    case AF_INET:
    case AF_INET6:
      recognise_internet(fd);
      break;
    default:
      break;
  }
}

// A listening socket that came from whoever started the program (sd_listen_fds(3), inetd), and is
// no copy of ours.
void take_over_listener(int fd) {
  if (find(fd) != nullptr || socket_option(fd, SO_ACCEPTCONN) != 1) return;
  if (!is_to_be_wrapped(fd)) return;
  static_cast<void>(begin_listening(fd, SOMAXCONN));
}

}  // namespace

void recognise(int fd) {
  const ErrnoKept kept;
  const Changing changing;
  if (find(fd) == nullptr && is_socket(fd)) recognise_socket(fd);
  if (Wrapped* const wrapped = find(fd); wrapped != nullptr) wrapped->may_travel.store(true);
}

void recognise_all() {
  const ErrnoKept kept;
  {
    const Changing changing;
    for_each_descriptor([](int fd) {
      if (find(fd) == nullptr && is_socket(fd)) recognise_socket(fd);
    });
  }
  if (!wraps_any_port()) return;
  for_each_descriptor([](int fd) {
    if (is_socket(fd)) take_over_listener(fd);
  });
}

}  // namespace preload
