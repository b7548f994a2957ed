#include "tools/preload/closing.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/preload/epoll_sets.h"
#include "tools/preload/listening.h"
#include "tools/preload/replacing.h"
#include "userspace/broker/client_connection.h"
#include "userspace/broker/ktls_bridge_client.h"

namespace preload {
namespace {

// Whose copy this process is; 0: it was not made by fork().
pid_t g_parent = 0;

// The program wants the connection cut off and not ended (SO_LINGER of 0 seconds).
bool is_to_be_reset(int fd) {
  linger option{};
  socklen_t size = sizeof option;
  return ::getsockopt(fd, SOL_SOCKET, SO_LINGER, &option, &size) == 0 && option.l_onoff != 0 &&
         option.l_linger == 0;
}

// A child that was made to run another program, or to do some work, has copies of all that its
// parent has, and need not have the broker look for others who have them.
bool is_left_to_parent(const Wrapped& wrapped) {
  return wrapped.is_parents.load() && ::getppid() == g_parent;
}

// Whether it worked is for the peer to see: the descriptor is closed in any case.
void end_connection(int fd, const Wrapped& wrapped) {
  if (is_to_be_reset(fd) || is_left_to_parent(wrapped)) {
    ::close(fd);
  } else if (wrapped.is_shared.load()) {
    broker::release(fd, wrapped.may_travel.load());
  } else {
    static_cast<void>(ktlsb_close(fd));
  }
}

// `fd` was the last descriptor of it, and is closed here.
int end(int fd, Wrapped& wrapped) {
  const ErrnoKept kept;
  switch (kind_of(wrapped)) {
    case Kind::kListener:
      if (is_left_to_parent(wrapped)) break;
      end_listening(fd, wrapped);
      return 0;
    case Kind::kDirect:
    case Kind::kRelayed:
      end_connection(fd, wrapped);
      return 0;
    default:
      // Of a connection under way the broker sees that nobody waits for its answer.
      break;
  }
  if (wrapped.copy >= 0) {
    const Changing changing;
    close_internal(wrapped.copy);
  }
  return ::close(fd);
}

// Takes `fd` out of the table. Whether it was the last one of `wrapped`.
bool take_out(int fd, Wrapped*& wrapped) {
  const Changing changing;
  forget_in_sets(fd);
  wrapped = leave(fd);
  if (wrapped == nullptr) return false;
  if (kind_of(*wrapped) == Kind::kListener) follow_inheritance(*wrapped);
  return wrapped->descriptors == 0;
}

void give_back(Wrapped& wrapped) {
  const Changing changing;
  forget_sets_of(wrapped);
  discard(wrapped);
}

}  // namespace

int close_wrapped(int fd) {
  Wrapped* wrapped = find(fd);
  if (wrapped != nullptr && kind_of(*wrapped) == Kind::kInternal) {
    errno = EBADF;
    return -1;
  }
  if (!take_out(fd, wrapped)) return ::close(fd);
  const int closed = end(fd, *wrapped);
  give_back(*wrapped);
  return closed;
}

void let_go_of(int fd) {
  const ErrnoKept kept;
  // Whatever ends is ended by a number of its own: the program's is about to have another file.
  const int last = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  Wrapped* wrapped = nullptr;
  const bool is_last = take_out(fd, wrapped);
  if (!is_last) {
    if (last >= 0) ::close(last);
    return;
  }
  // Without a descriptor to spare the peer sees an end without close_notify.
  if (last >= 0) end(last, *wrapped);
  give_back(*wrapped);
}

void close_all() {
  const ErrnoKept kept;
  for (unsigned number = 0; number < kDescriptorMax;) {
    if (g_pages[number >> kPageBits].load() == nullptr) {
      number = ((number >> kPageBits) + 1) << kPageBits;
      continue;
    }
    const int fd = static_cast<int>(number++);
    const Wrapped* const wrapped = find(fd);
    if (wrapped == nullptr) continue;
    const Kind kind = kind_of(*wrapped);
    if (kind == Kind::kDirect || kind == Kind::kRelayed || kind == Kind::kListener) {
      close_wrapped(fd);
    }
  }
}

void mark_all_parents() {
  g_parent = ::getppid();
  for_each_entry([](int, Wrapped& each) { each.is_parents.store(true); });
}

void mark_all_shared() {
  for_each_entry([](int, Wrapped& each) { each.is_shared.store(true); });
}

}  // namespace preload
