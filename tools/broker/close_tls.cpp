// Who sends close_notify, and when.

#include "tools/broker/close_tls.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <utility>

#include <sys/socket.h>

#include "ktls/core/socket.h"
#include "userspace/bridge/closing.h"
#include "userspace/suite/alert.h"
#include "userspace/suite/content_type.h"

namespace tools {

using bridge::Scope;
using bridge::Task;
using std::chrono::milliseconds;

namespace {

// For the peer of a socket that was closed with a full send buffer to take what is in it.
constexpr milliseconds kCloseTimeout = std::chrono::seconds(60);
// For a program that has said that it will close a descriptor.
constexpr milliseconds kReleaseTimeout = std::chrono::seconds(1);
// For descriptors on their way between programs to arrive.
constexpr milliseconds kFlightTimeout = std::chrono::seconds(1);
constexpr milliseconds kFlightPause{50};

// One program that has closed the socket with that cookie, and is a holder of it while we have its
// copy.
class Leaving {
 public:
  Leaving(BrokerState& state, std::uint64_t cookie) : state_(state), cookie_(cookie) {
    ++state_.leaving[cookie_];
  }
  Leaving(const Leaving&) = delete;
  Leaving& operator=(const Leaving&) = delete;
  ~Leaving() {
    const auto mine = state_.leaving.find(cookie_);
    if (--mine->second == 0) state_.leaving.erase(mine);
  }

  [[nodiscard]] bool is_last() const { return state_.leaving.at(cookie_) == 1; }

 private:
  BrokerState& state_;
  std::uint64_t cookie_;
};

// The kernel has all the keys that it takes.
Task<void> send_close_notify(BrokerState& state, int fd) {
  constexpr std::array<std::uint8_t, 2> kCloseNotify = {
      static_cast<std::uint8_t>(tls::AlertLevel::kWarning),
      static_cast<std::uint8_t>(tls::AlertDescription::kCloseNotify)};
  Scope scope(state.loop, kCloseTimeout);
  ktls::TlsSocket socket(fd);
  for (;;) {
    // First of all: somebody else may be waiting for room, in the kernel and with its lock.
    const auto room = co_await state.loop.writable(scope, fd);
    if (!room) co_return;
    const auto sent =
        socket.send(static_cast<std::uint8_t>(tls::ContentType::kAlert), kCloseNotify);
    // EPIPE: the program has said so itself.
    if (sent || sent.error().sys_errno == EPIPE) break;
    if (sent.error().sys_errno != EAGAIN) co_return;
  }
  const auto delivered =
      co_await bridge::await_delivery(state.loop, scope, fd, bridge::Delivery::kRoomForMore);
  static_cast<void>(delivered);
  ::shutdown(fd, SHUT_WR);
  // Closing with something unread, such as a ticket, is a reset, and takes what is under way with
  // it.
  const auto arrived =
      co_await bridge::await_delivery(state.loop, scope, fd, bridge::Delivery::kAll);
  static_cast<void>(arrived);
}

// What is on its way to somebody is in nobody's hands, and could be this socket.
Task<bool> is_held_by_nobody(BrokerState& state, int fd, bool may_travel) {
  const Flight flight = may_travel ? Flight::kCounted : Flight::kIgnored;
  Scope scope(state.loop, kFlightTimeout);
  for (;;) {
    const Held held = co_await state.held.find(fd, flight);
    if (held.by_somebody) co_return false;
    // Connections that we have sent to programs wait there to be taken.
    if (!may_travel || held.in_flight <= state.undelivered.taken()) co_return true;
    const auto slept = co_await state.loop.sleep(scope, kFlightPause);
    if (!slept) co_return false;
  }
}

}  // namespace

Task<void> await_release(BrokerState& state, int replies) {
  Scope scope(state.loop, kReleaseTimeout);
  // There is nothing to read there but the end; who sends something else has told it too early.
  const auto left = co_await state.loop.readable(scope, replies);
  static_cast<void>(left);
}

Task<void> close_tls(BrokerState& state, ForeignFd fd) {
  const auto cookie = cookie_of(fd.get());
  if (!cookie) co_return;
  const Leaving leaving(state, *cookie);
  const BrokerSession session(state, fd.get());
  co_await send_close_notify(state, fd.get());
}

Task<void> release_tls(BrokerState& state, ForeignFd fd, int replies, bool may_travel) {
  const auto cookie = cookie_of(fd.get());
  if (!cookie) co_return;
  const Leaving leaving(state, *cookie);
  const BrokerSession session(state, fd.get());
  co_await await_release(state, replies);
  const bool is_over = leaving.is_last() && co_await is_held_by_nobody(state, fd.get(), may_travel);
  if (!is_over || !leaving.is_last()) co_return;
  co_await send_close_notify(state, fd.get());
}

}  // namespace tools
