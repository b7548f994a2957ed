// The ways to write: write(2), send(2) and theirs, sendfile(2) and splice(2).
#include <algorithm>
#include <array>
#include <cerrno>

#include <sys/stat.h>

#include "tools/preload/connecting.h"
#include "tools/preload/exports.h"
#include "tools/preload/failing.h"
#include "tools/preload/messages.h"
#include "tools/preload/reading.h"
#include "tools/preload/real.h"
#include "tools/preload/room.h"
#include "tools/preload/setting.h"
#include "tools/preload/writing.h"

namespace preload {
namespace {

// What TLS in the kernel takes; whatever else TCP takes means nothing to it, or nothing here.
constexpr int kFlags = MSG_MORE | MSG_DONTWAIT | MSG_NOSIGNAL;
constexpr int kUnsupported = MSG_OOB | MSG_ZEROCOPY | MSG_FASTOPEN;
// How many messages one call takes (UIO_MAXIOV, net/socket.c).
constexpr unsigned kMessagesMax = 1024;

template <class Real>
ssize_t send_by(int fd, Wrapped& wrapped, int flags, Real call) {
  if ((flags & kUnsupported) != 0) return fail_with(EOPNOTSUPP);
  const bool is_waiting = (flags & MSG_DONTWAIT) == 0;
  const bool is_quiet = (flags & MSG_NOSIGNAL) != 0;
  return write_by(fd, wrapped, is_waiting, is_quiet, [&] { return call(flags & kFlags); });
}

ssize_t send_bytes(int fd, Wrapped& wrapped, const void* buffer, std::size_t size, int flags) {
  return send_by(fd, wrapped, flags,
                 [&](int known) { return real::send(fd, buffer, size, known); });
}

ssize_t send_message(int fd, Wrapped& wrapped, const msghdr* message, int flags) {
  if (message == nullptr) return fail_with(EFAULT);
  return send_by(fd, wrapped, flags, [&](int known) {
    // Neither an address, which TCP ignores, nor a type of record, nor descriptors for the broker.
    msghdr plain{};
    plain.msg_iov = message->msg_iov;
    plain.msg_iovlen = message->msg_iovlen;
    return real::sendmsg(fd, &plain, known);
  });
}

int send_messages(int fd, Wrapped& wrapped, mmsghdr* messages, unsigned count, int flags) {
  const int before = errno;
  unsigned done = 0;
  while (done < std::min(count, kMessagesMax)) {
    mmsghdr& each = messages[done];
    const ssize_t size = send_message(fd, wrapped, &each.msg_hdr, flags);
    if (size < 0) break;
    each.msg_len = static_cast<unsigned>(size);
    ++done;
    if (each.msg_len < room_of(each.msg_hdr.msg_iov, each.msg_hdr.msg_iovlen)) break;
  }
  if (done == 0 && count > 0) return -1;
  errno = before;
  return static_cast<int>(done);
}

// What would connect and write in one call, past the handshake. Programs for which there is no
// MSG_FASTOPEN, as on other systems, call connect().
bool gets_around(int fd, int flags, const void* address, socklen_t size) {
  return (flags & MSG_FASTOPEN) != 0 && wraps_any_peer() &&
         is_connection_wrapped(fd, static_cast<const sockaddr*>(address), size);
}

// 0, or the errno of what is not to be sent.
int may_send(int fd, const msghdr& message, int flags) {
  if (gets_around(fd, flags, message.msg_name, message.msg_namelen)) return EOPNOTSUPP;
  return share_departing(message);
}

ssize_t write_vector_at(int fd, Wrapped& wrapped, const iovec* parts, int count, off64_t offset,
                        int flags) {
  if (offset != -1) return real::pwritev64v2(fd, parts, count, offset, flags);
  return write_by(fd, wrapped, (flags & RWF_NOWAIT) == 0, false,
                  [&] { return real::pwritev64v2(fd, parts, count, offset, flags); });
}

struct Splice {
  int from = -1;
  off64_t* from_offset = nullptr;
  int to = -1;
  off64_t* to_offset = nullptr;
  std::size_t size = 0;
  unsigned flags = 0;

  [[nodiscard]] ssize_t call() const {
    return real::splice(from, from_offset, to, to_offset, size, flags);
  }
};

// Whether a connection that does not block has something to say, if only that it has ended: the
// kernel's TLS knows no O_NONBLOCK in splice(), but its flag, which is for the pipe as well.
bool is_readable(int fd) {
  pollfd wanted{fd, POLLIN | POLLRDHUP, 0};
  return ::poll(&wanted, 1, 0) > 0;
}

ssize_t splice_from(const Splice& splice, Wrapped& wrapped) {
  if (splice.size == 0 && is_connection(wrapped)) return 0;
  const bool is_waiting = is_blocking(splice.from);
  Reading reading(splice.from, wrapped, is_waiting && (splice.flags & SPLICE_F_NONBLOCK) == 0,
                  Call::kSplice);
  if (!reading.may_begin()) return -1;
  ssize_t answer = 0;
  do {
    const bool may_stall = !is_waiting && kind_of(wrapped) == Kind::kDirect;
    answer = may_stall && !is_readable(splice.from) ? fail_with(EAGAIN) : splice.call();
  } while (reading.goes_on(answer));
  return answer;
}

bool is_pipe(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode);
}

ssize_t splice_any(const Splice& splice) {
  Wrapped* const source = find_minded(splice.from);
  Wrapped* const target = find_minded(splice.to);
  if (target == nullptr) {
    return source == nullptr ? splice.call() : splice_from(splice, *source);
  }
  // The kernel looks at the kinds of files first.
  if (!is_connection(*target) && !is_pipe(splice.from)) return splice.call();
  const bool is_waiting = (splice.flags & SPLICE_F_NONBLOCK) == 0;
  return write_by(splice.to, *target, is_waiting, false, [&] { return splice.call(); });
}

}  // namespace
}  // namespace preload

using preload::find_minded;
using preload::Wrapped;
namespace real = preload::real;

PRELOAD_EXPORT ssize_t write(int fd, const void* buffer, size_t size) {
  Wrapped* const wrapped = find_minded(fd);
  if (wrapped == nullptr) [[likely]]
    return real::write(fd, buffer, size);
  return preload::write_by(fd, *wrapped, true, false,
                           [&] { return real::write(fd, buffer, size); });
}

PRELOAD_EXPORT ssize_t writev(int fd, const iovec* parts, int count) {
  Wrapped* const wrapped = find_minded(fd);
  if (wrapped == nullptr) [[likely]]
    return real::writev(fd, parts, count);
  return preload::write_by(fd, *wrapped, true, false,
                           [&] { return real::writev(fd, parts, count); });
}

PRELOAD_EXPORT ssize_t pwritev2(int fd, const iovec* parts, int count, off_t offset, int flags) {
  Wrapped* const wrapped = find_minded(fd);
  if (wrapped == nullptr) return real::pwritev2(fd, parts, count, offset, flags);
  return preload::write_vector_at(fd, *wrapped, parts, count, offset, flags);
}

PRELOAD_EXPORT ssize_t pwritev64v2(int fd, const iovec* parts, int count, off64_t offset,
                                   int flags) {
  Wrapped* const wrapped = find_minded(fd);
  if (wrapped == nullptr) return real::pwritev64v2(fd, parts, count, offset, flags);
  return preload::write_vector_at(fd, *wrapped, parts, count, offset, flags);
}

PRELOAD_EXPORT ssize_t send(int fd, const void* buffer, size_t size, int flags) {
  Wrapped* const wrapped = find_minded(fd);
  if (wrapped == nullptr) [[likely]]
    return real::send(fd, buffer, size, flags);
  return preload::send_bytes(fd, *wrapped, buffer, size, flags);
}

PRELOAD_EXPORT ssize_t sendto(int fd, const void* buffer, size_t size, int flags,
                              const sockaddr* address, socklen_t address_size) {
  Wrapped* const wrapped = find_minded(fd);
  if (wrapped == nullptr) [[likely]] {
    if (preload::gets_around(fd, flags, address, address_size))
      return preload::fail_with(EOPNOTSUPP);
    return real::sendto(fd, buffer, size, flags, address, address_size);
  }
  return preload::send_bytes(fd, *wrapped, buffer, size, flags);
}

PRELOAD_EXPORT ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  if (Wrapped* const wrapped = find_minded(fd); wrapped != nullptr) {
    return preload::send_message(fd, *wrapped, message, flags);
  }
  if (message != nullptr) {
    const int error = preload::may_send(fd, *message, flags);
    if (error != 0) return preload::fail_with(error);
  }
  return real::sendmsg(fd, message, flags);
}

PRELOAD_EXPORT int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
  if (Wrapped* const wrapped = find_minded(fd); wrapped != nullptr) {
    return preload::send_messages(fd, *wrapped, messages, count, flags);
  }
  for (unsigned i = 0; i < std::min(count, preload::kMessagesMax); ++i) {
    const int error = preload::may_send(fd, messages[i].msg_hdr, flags);
    if (error != 0 && i == 0) return preload::fail_with(error);
    // Those before it go out; the next call is about this one.
    if (error != 0) return real::sendmmsg(fd, messages, i, flags);
  }
  return real::sendmmsg(fd, messages, count, flags);
}

PRELOAD_EXPORT ssize_t sendfile(int to, int from, off_t* offset, size_t size) noexcept {
  Wrapped* const wrapped = find_minded(to);
  if (wrapped == nullptr) [[likely]]
    return real::sendfile(to, from, offset, size);
  return preload::write_by(to, *wrapped, true, false,
                           [&] { return real::sendfile(to, from, offset, size); });
}

PRELOAD_EXPORT ssize_t sendfile64(int to, int from, off64_t* offset, size_t size) noexcept {
  Wrapped* const wrapped = find_minded(to);
  if (wrapped == nullptr) [[likely]]
    return real::sendfile64(to, from, offset, size);
  return preload::write_by(to, *wrapped, true, false,
                           [&] { return real::sendfile64(to, from, offset, size); });
}

PRELOAD_EXPORT ssize_t splice(int from, off64_t* from_offset, int to, off64_t* to_offset,
                              size_t size, unsigned flags) {
  return preload::splice_any({from, from_offset, to, to_offset, size, flags});
}
