// The ways to read: read(2), recv(2) and theirs.
#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <ctime>

#include "tools/preload/exports.h"
#include "tools/preload/failing.h"
#include "tools/preload/messages.h"
#include "tools/preload/reading.h"
#include "tools/preload/real.h"
#include "tools/preload/room.h"

namespace preload {
namespace {

// What TCP knows of the flags and TLS in the kernel, too.
constexpr int kFlags = MSG_PEEK | MSG_WAITALL | MSG_DONTWAIT | MSG_CMSG_CLOEXEC;
// Of what is thrown away (MSG_TRUNC, tcp(7)), so many bytes at a time.
constexpr std::size_t kDiscarded = 4096;
// How many messages one call takes (UIO_MAXIOV, net/socket.c).
constexpr unsigned kMessagesMax = 1024;

ssize_t receive_once(int fd, Wrapped& wrapped, iovec part, int flags) {
  const bool is_waiting = (flags & MSG_DONTWAIT) == 0;
  return read_by(fd, wrapped, is_waiting,
                 [&] { return real::recv(fd, part.iov_base, part.iov_len, flags); });
}

// The kernel stops at each control record.
ssize_t receive_all(int fd, Wrapped& wrapped, iovec part, int flags) {
  const int error = errno;
  std::size_t total = 0;
  while (total < part.iov_len) {
    const iovec rest{static_cast<char*>(part.iov_base) + total, part.iov_len - total};
    const ssize_t size = receive_once(fd, wrapped, rest, flags);
    if (size <= 0 && total == 0) return size;
    if (size <= 0) break;
    total += static_cast<std::size_t>(size);
  }
  errno = error;
  return static_cast<ssize_t>(total);
}

ssize_t discard(int fd, Wrapped& wrapped, std::size_t size, int flags) {
  std::array<char, kDiscarded> room{};
  const ssize_t taken =
      receive_once(fd, wrapped, {room.data(), std::min(size, room.size())}, flags & ~MSG_WAITALL);
  ::explicit_bzero(room.data(), room.size());
  return taken;
}

// 0, or what TCP answers where there is no urgent data and nothing in the error queue.
int refusal_of(int flags) {
  if ((flags & MSG_ERRQUEUE) != 0) return EAGAIN;
  return (flags & MSG_OOB) != 0 ? EINVAL : 0;
}

ssize_t receive(int fd, Wrapped& wrapped, void* buffer, std::size_t size, int flags) {
  if (const int error = refusal_of(flags); error != 0) return fail_with(error);
  if (size == 0 && is_connection(wrapped)) return 0;
  const int known = flags & kFlags;
  if ((flags & MSG_TRUNC) != 0 && (flags & MSG_PEEK) == 0) return discard(fd, wrapped, size, known);
  const bool wants_all = (flags & MSG_WAITALL) != 0 && (flags & MSG_PEEK) == 0;
  return wants_all ? receive_all(fd, wrapped, {buffer, size}, known)
                   : receive_once(fd, wrapped, {buffer, size}, known);
}

ssize_t receive_from(int fd, Wrapped& wrapped, iovec part, int flags, const sockaddr* address,
                     socklen_t* address_size) {
  const ssize_t size = receive(fd, wrapped, part.iov_base, part.iov_len, flags);
  // TCP tells no address here.
  if (size >= 0 && address != nullptr) *address_size = 0;
  return size;
}

ssize_t receive_parts(int fd, Wrapped& wrapped, const msghdr& message, int flags) {
  if ((flags & MSG_WAITALL) == 0 || (flags & MSG_PEEK) != 0) {
    return read_by(fd, wrapped, (flags & MSG_DONTWAIT) == 0, [&] {
      // Without room for the type of a record, for then the kernel gives control records as data.
      msghdr plain{};
      plain.msg_iov = message.msg_iov;
      plain.msg_iovlen = message.msg_iovlen;
      return real::recvmsg(fd, &plain, flags);
    });
  }
  const int error = errno;
  ssize_t total = 0;
  for (std::size_t i = 0; i < message.msg_iovlen; ++i) {
    const iovec part = message.msg_iov[i];
    const ssize_t size = receive_all(fd, wrapped, part, flags);
    if (size < 0 && total == 0) return size;
    if (size > 0) total += size;
    if (size < 0 || static_cast<std::size_t>(size) < part.iov_len) break;
  }
  errno = error;
  return total;
}

ssize_t receive_message(int fd, Wrapped& wrapped, msghdr* message, int flags) {
  if (message == nullptr) return fail_with(EFAULT);
  const std::size_t room = room_of(message->msg_iov, message->msg_iovlen);
  if (room == kUnusable) return real::recvmsg(fd, message, flags);
  if (const int error = refusal_of(flags); error != 0) return fail_with(error);
  const bool is_empty = room == 0 && is_connection(wrapped);
  const ssize_t size = is_empty ? 0 : receive_parts(fd, wrapped, *message, flags & kFlags);
  if (size < 0) return size;
  message->msg_namelen = 0;
  message->msg_controllen = 0;
  message->msg_flags = flags & MSG_CMSG_CLOEXEC;
  return size;
}

ssize_t receive_vector(int fd, Wrapped& wrapped, const iovec* parts, int count) {
  const std::size_t room = count < 0 ? kUnusable : room_of(parts, static_cast<std::size_t>(count));
  if (room == kUnusable) return real::readv(fd, parts, count);
  if (room == 0 && is_connection(wrapped)) return 0;
  return read_by(fd, wrapped, true, [&] { return real::readv(fd, parts, count); });
}

ssize_t receive_vector_at(int fd, Wrapped& wrapped, const iovec* parts, int count, off64_t offset,
                          int flags) {
  const std::size_t room = count < 0 ? kUnusable : room_of(parts, static_cast<std::size_t>(count));
  if (room == kUnusable || offset != -1) return real::preadv64v2(fd, parts, count, offset, flags);
  if (room == 0 && is_connection(wrapped)) return 0;
  return read_by(fd, wrapped, (flags & RWF_NOWAIT) == 0,
                 [&] { return real::preadv64v2(fd, parts, count, offset, flags); });
}

timespec now() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return time;
}

timespec operator+(const timespec& a, const timespec& b) {
  timespec sum{a.tv_sec + b.tv_sec, a.tv_nsec + b.tv_nsec};
  if (sum.tv_nsec >= 1'000'000'000) {
    sum.tv_nsec -= 1'000'000'000;
    ++sum.tv_sec;
  }
  return sum;
}

// 0 where `b` is later.
timespec left_until(const timespec& a, const timespec& b) {
  timespec left{a.tv_sec - b.tv_sec, a.tv_nsec - b.tv_nsec};
  if (left.tv_nsec < 0) {
    left.tv_nsec += 1'000'000'000;
    --left.tv_sec;
  }
  return left.tv_sec < 0 ? timespec{} : left;
}

// As the kernel: the time is looked at after each message alone (recvmmsg(2), BUGS).
int receive_messages(int fd, Wrapped& wrapped, mmsghdr* messages, unsigned count, int flags,
                     timespec* timeout) {
  const int error = errno;
  const timespec end = timeout != nullptr ? now() + *timeout : timespec{};
  unsigned done = 0;
  while (done < std::min(count, kMessagesMax)) {
    mmsghdr& each = messages[done];
    const ssize_t size = receive_message(fd, wrapped, &each.msg_hdr, flags & ~MSG_WAITFORONE);
    if (size < 0) break;
    each.msg_len = static_cast<unsigned>(size);
    ++done;
    if ((flags & MSG_WAITFORONE) != 0) flags |= MSG_DONTWAIT;
    if (timeout == nullptr) continue;
    *timeout = left_until(end, now());
    if (timeout->tv_sec == 0 && timeout->tv_nsec == 0) break;
  }
  if (done == 0 && count > 0) return -1;
  errno = error;
  return static_cast<int>(done);
}

}  // namespace
}  // namespace preload

using preload::find_minded;
using preload::Wrapped;
namespace real = preload::real;

PRELOAD_EXPORT ssize_t read(int fd, void* buffer, size_t size) {
  Wrapped* const wrapped = find_minded(fd);
  if (wrapped == nullptr) [[likely]]
    return real::read(fd, buffer, size);
  if (size > SSIZE_MAX) return preload::fail_with(EINVAL);
  return preload::receive(fd, *wrapped, buffer, size, 0);
}

PRELOAD_EXPORT ssize_t __read_chk(int fd, void* buffer, size_t size, size_t room) {
  Wrapped* const wrapped = find_minded(fd);
  if (wrapped == nullptr || size > room) return real::__read_chk(fd, buffer, size, room);
  return preload::receive(fd, *wrapped, buffer, size, 0);
}

PRELOAD_EXPORT ssize_t readv(int fd, const iovec* parts, int count) {
  Wrapped* const wrapped = find_minded(fd);
  if (wrapped == nullptr) [[likely]]
    return real::readv(fd, parts, count);
  return preload::receive_vector(fd, *wrapped, parts, count);
}

PRELOAD_EXPORT ssize_t preadv2(int fd, const iovec* parts, int count, off_t offset, int flags) {
  Wrapped* const wrapped = find_minded(fd);
  if (wrapped == nullptr) return real::preadv2(fd, parts, count, offset, flags);
  return preload::receive_vector_at(fd, *wrapped, parts, count, offset, flags);
}

PRELOAD_EXPORT ssize_t preadv64v2(int fd, const iovec* parts, int count, off64_t offset,
                                  int flags) {
  Wrapped* const wrapped = find_minded(fd);
  if (wrapped == nullptr) return real::preadv64v2(fd, parts, count, offset, flags);
  return preload::receive_vector_at(fd, *wrapped, parts, count, offset, flags);
}

PRELOAD_EXPORT ssize_t recv(int fd, void* buffer, size_t size, int flags) {
  Wrapped* const wrapped = find_minded(fd);
  if (wrapped == nullptr) [[likely]]
    return real::recv(fd, buffer, size, flags);
  return preload::receive(fd, *wrapped, buffer, size, flags);
}

PRELOAD_EXPORT ssize_t __recv_chk(int fd, void* buffer, size_t size, size_t room, int flags) {
  Wrapped* const wrapped = find_minded(fd);
  if (wrapped == nullptr || size > room) return real::__recv_chk(fd, buffer, size, room, flags);
  return preload::receive(fd, *wrapped, buffer, size, flags);
}

PRELOAD_EXPORT ssize_t recvfrom(int fd, void* buffer, size_t size, int flags, sockaddr* address,
                                socklen_t* address_size) {
  Wrapped* const wrapped = find_minded(fd);
  if (wrapped == nullptr) [[likely]] {
    return real::recvfrom(fd, buffer, size, flags, address, address_size);
  }
  return preload::receive_from(fd, *wrapped, {buffer, size}, flags, address, address_size);
}

PRELOAD_EXPORT ssize_t __recvfrom_chk(int fd, void* buffer, size_t size, size_t room, int flags,
                                      sockaddr* address, socklen_t* address_size) {
  Wrapped* const wrapped = find_minded(fd);
  if (wrapped == nullptr || size > room) {
    return real::__recvfrom_chk(fd, buffer, size, room, flags, address, address_size);
  }
  return preload::receive_from(fd, *wrapped, {buffer, size}, flags, address, address_size);
}

PRELOAD_EXPORT ssize_t recvmsg(int fd, msghdr* message, int flags) {
  if (Wrapped* const wrapped = find_minded(fd); wrapped != nullptr) {
    return preload::receive_message(fd, *wrapped, message, flags);
  }
  const ssize_t size = real::recvmsg(fd, message, flags);
  if (size >= 0) preload::recognise_arrived(*message);
  return size;
}

PRELOAD_EXPORT int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags,
                            timespec* timeout) {
  if (Wrapped* const wrapped = find_minded(fd); wrapped != nullptr) {
    return preload::receive_messages(fd, *wrapped, messages, count, flags, timeout);
  }
  const int taken = real::recvmmsg(fd, messages, count, flags, timeout);
  for (int i = 0; i < taken; ++i) preload::recognise_arrived(messages[i].msg_hdr);
  return taken;
}
