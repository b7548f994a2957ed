#include "tools/preload/writing.h"

#include <sys/socket.h>

#include "tools/preload/connecting.h"
#include "userspace/broker/client_connection.h"
#include "userspace/broker/client_records.h"
#include "userspace/broker/ktls_bridge_client.h"

namespace preload {

int may_write_to(int fd, Wrapped& wrapped, bool is_waiting, bool is_quiet) {
  int error = await_connected(fd, wrapped, is_waiting, EPIPE);
  // Where the broker has been given the end to send, the kernel would still take more.
  if (error == 0 && wrapped.is_write_ended.load()) error = EPIPE;
  if (error == EPIPE && !is_quiet) ::raise(SIGPIPE);
  return error;
}

namespace {

// shutdown(2) does not wait for the peer. Where it makes no room for close_notify the broker sends
// that later; where there is no broker either, the peer sees a stream that was cut off.
int end_writing(int fd) {
  if (!broker::may_write(fd)) return ::shutdown(fd, SHUT_WR);
  const int error = broker::send_alert(fd, broker::kCloseNotify);
  if (error == EAGAIN && broker::hand_over_end(fd) == 0) return 0;
  // Blocking callers can wait for room, within bounds.
  if (error == EAGAIN && is_blocking(fd)) static_cast<void>(::ktlsb_shutdown_write(fd));
  return ::shutdown(fd, SHUT_WR);
}

int end_direct(int fd, Wrapped& wrapped, int how) {
  if (how != SHUT_WR) wrapped.is_read_ended.store(true);
  if (how == SHUT_RD) return ::shutdown(fd, SHUT_RD);
  wrapped.is_write_ended.store(true);
  const int answer = end_writing(fd);
  if (how == SHUT_RDWR) ::shutdown(fd, SHUT_RD);
  return answer;
}

int end_relayed(int fd, Wrapped& wrapped, int how) {
  if (how != SHUT_WR) wrapped.is_read_ended.store(true);
  if (how == SHUT_RD) return ::shutdown(fd, SHUT_RD);
  // Told once: the broker that relays it may be gone by the second time.
  const bool was_ended = wrapped.is_write_ended.exchange(true);
  // Without its word the broker takes the end of the stream for a cut, which is the truth then.
  if (!was_ended && ::ktlsb_shutdown_write(fd) != 0) ::shutdown(fd, SHUT_WR);
  if (how == SHUT_RDWR) ::shutdown(fd, SHUT_RD);
  return 0;
}

// As Linux: a listener listens no more, in whatever process, when its read side is ended; the
// writing side has no meaning.
int end_listener(int fd, Wrapped& wrapped, int how) {
  if (how == SHUT_WR) return 0;
  wrapped.is_read_ended.store(true);
  if (wrapped.copy >= 0) ::shutdown(wrapped.copy, SHUT_RDWR);
  // Whoever waits for a connection hears of it.
  ::shutdown(fd, SHUT_RDWR);
  return 0;
}

}  // namespace

int shut_down(int fd, Wrapped& wrapped, int how) {
  const int before = errno;
  int answer = 0;
  if (kind_of(wrapped) == Kind::kPending) static_cast<void>(settle(wrapped));
  switch (kind_of(wrapped)) {
    case Kind::kDirect:
      answer = end_direct(fd, wrapped, how);
      break;
    case Kind::kRelayed:
      answer = end_relayed(fd, wrapped, how);
      break;
    case Kind::kListener:
      answer = end_listener(fd, wrapped, how);
      break;
    case Kind::kPending:
      // It is given up, whichever side is meant; the broker's answer will say so.
      answer = wrapped.copy >= 0 ? ::shutdown(wrapped.copy, SHUT_RDWR) : 0;
      break;
    default:
      errno = kind_of(wrapped) == Kind::kInternal ? EBADF : ENOTCONN;
      return -1;
  }
  if (answer == 0) errno = before;
  return answer;
}

}  // namespace preload
