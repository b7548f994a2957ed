// What is left to do for a socket that others write to: reading, keys, and the end.

#include "userspace/bridge/guard.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <optional>
#include <utility>
#include <variant>

#include <linux/bpf.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "userspace/bridge/closing.h"
#include "userspace/bridge/feed.h"
#include "userspace/bridge/key_watch.h"
#include "userspace/bridge/splicing.h"
#include "userspace/bridge/standing_holders.h"
#include "userspace/io/when_both.h"
#include "userspace/suite/alert.h"

namespace bridge {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using std::chrono::milliseconds;

// How often it is looked whether processes that outlived the program still have the socket.
constexpr milliseconds kHolderPoll{20};
constexpr milliseconds kHolderPollMax{500};

std::optional<tcp_info> info_of(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return std::nullopt;
  return info;
}

// Whether FIN went out, by somebody else's shutdown(2). A socket that both sides have ended is as
// closed as one that was reset: there the peer has acknowledged one byte more than was sent.
bool has_sent_fin(int fd) {
  const std::optional<tcp_info> info = info_of(fd);
  if (!info) return false;
  if (info->tcpi_state == BPF_TCP_CLOSE) {
    return info->tcpi_bytes_acked > info->tcpi_bytes_sent - info->tcpi_bytes_retrans;
  }
  constexpr std::array<int, 4> kStates = {BPF_TCP_FIN_WAIT1, BPF_TCP_FIN_WAIT2, BPF_TCP_CLOSING,
                                          BPF_TCP_LAST_ACK};
  return std::ranges::find(kStates, int{info->tcpi_state}) != kStates.end();
}

// Whether TCP has moved anything since the last deadline.
class Traffic final : public Patience {
 public:
  Traffic(int fd, milliseconds idle_timeout) : fd_(fd), idle_timeout_(idle_timeout) {}

  std::optional<milliseconds> more() override {
    const std::optional<tcp_info> info = info_of(fd_);
    if (!info) return std::nullopt;
    const std::uint64_t moved = info->tcpi_bytes_acked + info->tcpi_bytes_received;
    if (std::exchange(moved_, moved) == moved) return std::nullopt;
    return idle_timeout_;
  }

 private:
  int fd_;
  milliseconds idle_timeout_;
  std::uint64_t moved_ = 0;
};

bool is_of_peer(const Error& error) {
  return error.code == ErrorCode::kPeerAlert || error.code == ErrorCode::kEndOfStream ||
         (error.code == ErrorCode::kSystem && error.sys_errno == ECONNRESET);
}

// What the tasks of one guard share.
struct Guard {
  Loop& loop;
  Scope& scope;  // until everybody has let go of the socket, or something went wrong
  Connection& connection;
  const HandedOut& handed_out;
  StandingHolders holders;
  KeyWatch key_watch;
  std::uint64_t received = 0;
  std::optional<Error> failure = std::nullopt;  // the first one
  bool has_ended = false;                       // everybody has let go of the socket
  bool was_shut_down = false;                   // and somebody had sent FIN before

  [[nodiscard]] int fd() const { return connection.fd(); }
  [[nodiscard]] int feed() const { return handed_out.feed_fd; }

  void fail(Error error) {
    if (failure || has_ended) return;
    if (is_of_peer(error) && has_sent_fin(fd())) return end();  // it was cut off before
    failure = std::move(error);
    scope.cancel();
  }
  void end() {
    has_ended = true;
    scope.cancel();
  }
};

// A program that reads no more: that is its right, and no failure.
bool is_unread(const Error& error, int feed) {
  return error.code == ErrorCode::kSystem && error.sys_errno == EPIPE && is_gone(feed);
}

Task<Result<ReceiveStep>> drop_data(Guard& guard) {
  auto step = co_await guard.connection.receiver().receive(guard.scope);
  if (!step) co_return ktls::fail(std::move(step).error());
  if (const auto* data = std::get_if<Buffer>(&*step)) co_return ReceiveStep(Moved{data->size()});
  if (auto* control = std::get_if<ControlRecord>(&*step)) {
    co_return ReceiveStep(std::move(*control));
  }
  co_return ReceiveStep(EndOfStream{});
}

// From the peer to the feed, until close_notify or anything worse. What nobody reads any more is
// taken all the same, as a KeyUpdate may follow.
Task<Result<void>> feed_program(Guard& guard) {
  bool is_read = true;
  for (;;) {
    Task<Result<ReceiveStep>> next =
        is_read ? guard.connection.receiver().move_to(guard.scope, guard.feed()) : drop_data(guard);
    auto step = co_await std::move(next);
    if (!step && is_read && is_unread(step.error(), guard.feed())) {
      is_read = false;
      continue;
    }
    if (!step) co_return ktls::fail(std::move(step).error());
    if (const auto* moved = std::get_if<Moved>(&*step)) {
      guard.received += moved->size;
      guard.connection.data_received();
      continue;
    }
    if (std::holds_alternative<EndOfStream>(*step)) {
      co_return ktls::fail(
          was_reset(guard.fd())
              ? Error::system(ECONNRESET, "the TLS peer")
              : Error::of(ErrorCode::kEndOfStream, "the peer closed without close_notify"));
    }
    auto control = co_await guard.connection.act_on(guard.scope, std::get<ControlRecord>(*step));
    if (!control) co_return ktls::fail(std::move(control).error());
    guard.key_watch.wake();
    if (*control == Connection::Control::kCloseNotify) {
      empty_feed(guard.feed());
      ::shutdown(guard.feed(), SHUT_WR);
      co_return Result<void>();
    }
  }
}

Task<Result<void>> await_holders(Guard& guard) {
  milliseconds pause = kHolderPoll;
  while (guard.holders.any()) {
    auto slept = co_await guard.loop.sleep(guard.scope, pause);
    if (!slept) co_return slept;
    pause = std::min(2 * pause, kHolderPollMax);
  }
  co_return Result<void>();
}

// A program that was started in the background of another one has the socket, and reads from
// elsewhere: so whoever reads is not all.
Task<Result<void>> await_departure(Guard& guard) {
  Result<void> left;
  if (guard.feed() >= 0) {
    auto unread = co_await guard.loop.hung_up(guard.scope, guard.feed());
    if (!unread) co_return unread;
    left = co_await wait_a_moment(guard.handed_out.departure, guard.scope);
  } else {
    left = co_await guard.handed_out.departure.wait(guard.scope);
  }
  const bool is_over = !left && guard.scope.failure();
  if (is_over) co_return left;
  auto gone = co_await await_holders(guard);
  co_return gone ? left : gone;
}

Task<Result<void>> run_feed(Guard& guard) {
  Result<void> fed;
  if (guard.feed() >= 0) fed = co_await feed_program(guard);
  if (!fed) guard.fail(std::move(fed).error());
  co_return Result<void>();
}

Task<Result<void>> run_key_watch(Guard& guard) {
  auto watched = co_await guard.key_watch.run(guard.scope);
  if (!watched) guard.fail(std::move(watched).error());
  co_return Result<void>();
}

Task<Result<void>> run_departure(Guard& guard) {
  auto left = co_await await_departure(guard);
  if (!left) {
    guard.fail(std::move(left).error());
  } else {
    guard.end();
  }
  co_return Result<void>();
}

Task<Result<void>> run_rest(Guard& guard) {
  static_cast<void>(co_await when_both(run_key_watch(guard), run_departure(guard)));
  co_return Result<void>();
}

// The last holder has gone: what it wrote last may still be on its way.
Task<Result<void>> close(Guard& guard, milliseconds idle_timeout) {
  Traffic traffic(guard.fd(), idle_timeout);
  Scope scope(guard.loop, idle_timeout);
  scope.ask_at_deadline(traffic);
  guard.was_shut_down = has_sent_fin(guard.fd());
  if (guard.was_shut_down) {
    guard.connection.sender().end();  // the kernel would count as sent what can only be dropped
  } else {
    auto closed = co_await send_close_notify(guard.loop, scope, guard.connection);
    if (!closed) co_return closed;
  }
  auto delivered = co_await await_delivery(guard.loop, scope, guard.fd(), Delivery::kAll);
  if (!delivered) co_return delivered;
  Scope last_words(guard.loop, kLastWordsTimeout);
  co_await close_gently(guard.loop, last_words, guard.fd());
  co_return Result<void>();
}

// Others may still have the socket: after the alert they must not write to it, and closing it is
// not in our hands.
Task<void> abort(Guard& guard) {
  co_await abort_peer(guard.loop, guard.connection, *guard.failure, false);
  ::shutdown(guard.fd(), SHUT_RDWR);
}

}  // namespace

Task<RelayReport> guard(Loop& loop, Scope& scope, Connection& connection,
                        const HandedOut& handed_out) {
  make_blocking(connection.fd());
  Traffic traffic(connection.fd(), handed_out.idle_timeout);
  Scope until_end(scope, handed_out.idle_timeout);
  until_end.ask_at_deadline(traffic);
  Guard state{.loop = loop,
              .scope = until_end,
              .connection = connection,
              .handed_out = handed_out,
              .holders = StandingHolders(loop, connection.fd(), handed_out.group),
              .key_watch = KeyWatch(loop, connection.sender(), connection.key_limit())};
  connection.sender().share_with(state.holders);
  static_cast<void>(co_await when_both(run_feed(state), run_rest(state)));

  if (!state.failure) {
    auto closed = co_await close(state, handed_out.idle_timeout);
    if (!closed) state.failure = std::move(closed).error();
  }
  RelayReport report;
  report.received = state.received;
  report.key_updates_received = connection.key_updates_received();
  report.key_updates_sent = connection.sender().key_updates().updates;
  report.key_update_waits = connection.sender().key_updates().waits;
  if (state.was_shut_down) {
    report.ending = Ending::kTruncated;
    report.detail = "the program shut its sending down: there is no close_notify";
  }
  if (state.failure) {
    co_await abort(state);
    report.ending = ending_of(*state.failure);
    report.detail = state.failure->message();
    report.reason = reason_of_end(*state.failure);
  }
  co_return report;
}

}  // namespace bridge
