// Last words, and the time that a peer has to hear them.

#include "userspace/bridge/closing.h"

#include <algorithm>

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "userspace/bridge/feed.h"
#include "userspace/suite/alert.h"

namespace bridge {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using std::chrono::milliseconds;
using tls::AlertDescription;

constexpr milliseconds kDeliveryPoll(5);
constexpr milliseconds kDeliveryPollMax(250);

// Bytes that the peer has not acknowledged.
int undelivered(int fd) {
  int size = 0;
  return ::ioctl(fd, SIOCOUTQ, &size) == 0 ? size : 0;
}

bool has_room(int fd) {
  pollfd poll{.fd = fd, .events = POLLOUT, .revents = 0};
  return ::poll(&poll, 1, 0) == 1 && (poll.revents & POLLOUT) != 0;
}

bool is_tcp(int fd) {
  int protocol = 0;
  socklen_t size = sizeof protocol;
  return ::getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 &&
         protocol == IPPROTO_TCP;
}

bool is_unix(int fd) {
  int domain = 0;
  socklen_t size = sizeof domain;
  return ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

// Both sides may have said FIN while ours still has much to send: that goes on.
bool takes_no_more(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0) {
    return info.tcpi_state == TCP_CLOSE;
  }
  return is_gone(fd);
}

// Waits until the other side's TCP has all that was sent: a reset throws the rest away.
Task<void> deliver(Loop& loop, Scope& scope, int fd) {
  auto ready = co_await loop.writable(scope, fd);  // the kernel's TLS may hold records, too
  while (ready && !is_gone(fd) && undelivered(fd) != 0) {
    ready = co_await loop.sleep(scope, kDeliveryPoll);
  }
}

}  // namespace

bool is_gone(int fd) {
  pollfd poll{.fd = fd, .events = 0, .revents = 0};
  return ::poll(&poll, 1, 0) == 1 && (poll.revents & POLLHUP) != 0;
}

bool was_reset(int fd) {
  return is_tcp(fd) && is_gone(fd);
}

void reset_on_close(int fd) {
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

void refuse_more(int fd) {
  if (!is_unix(fd)) return;
  ::shutdown(fd, SHUT_RD);
  empty_feed(fd);
}

Task<void> close_gently(Loop& loop, Scope& scope, int fd) {
  ::shutdown(fd, SHUT_WR);
  for (;;) {
    const auto unwanted = co_await loop.receive_pooled(scope, fd);
    if (unwanted && unwanted->empty()) co_return;
    if (!unwanted) break;
  }
  co_await deliver(loop, scope, fd);  // the kernel reads nothing after a record that did not open
}

Task<Result<void>> await_delivery(Loop& loop, Scope& scope, int fd, Delivery delivery) {
  milliseconds pause = kDeliveryPoll;
  while (!takes_no_more(fd) && undelivered(fd) != 0) {
    if (delivery == Delivery::kRoomForMore && has_room(fd)) break;
    auto slept = co_await loop.sleep(scope, pause);
    if (!slept) co_return slept;
    pause = std::min(2 * pause, kDeliveryPollMax);
  }
  co_return Result<void>();
}

Task<Result<void>> send_last_alert(Loop& loop, Scope& scope, Connection& connection,
                                   AlertDescription alert) {
  auto sent = co_await connection.send_alert(scope, alert);
  if (!sent) co_return sent;
  if (connection.plan().transmit.in_kernel()) {
    // The kernel may hold records that TCP had no room for, and FIN would cut them off.
    auto room = co_await loop.writable(scope, connection.fd());
    if (!room) co_return room;
  }
  ::shutdown(connection.fd(), SHUT_WR);
  co_return Result<void>();
}

std::optional<AlertDescription> alert_for(const Error& failure) {
  if (failure.alert == Error::kNoAlert || failure.code == ErrorCode::kPeerAlert) {
    return std::nullopt;
  }
  return static_cast<AlertDescription>(failure.alert);
}

Task<void> abort_peer(Loop& loop, Connection& connection, const Error& failure, bool has_ended) {
  const int fd = connection.fd();
  Scope scope(loop, kLastWordsTimeout);
  if (const auto alert = alert_for(failure); alert && !has_ended) {
    has_ended = (co_await connection.send_alert(scope, *alert)).has_value();
  }
  if (!has_ended) reset_on_close(fd);
  if (failure.code == ErrorCode::kTimeout || failure.code == ErrorCode::kCancelled) co_return;
  if (has_ended) {
    co_await close_gently(loop, scope, fd);
  } else {
    co_await deliver(loop, scope, fd);
  }
}

Task<void> reset_peer(Loop& loop, Connection& connection) {
  Scope scope(loop, kLastWordsTimeout);
  const auto delivered = co_await await_delivery(loop, scope, connection.fd(), Delivery::kAll);
  static_cast<void>(delivered);
  reset_on_close(connection.fd());
}

}  // namespace bridge
