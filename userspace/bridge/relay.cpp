// The two pumps of a relay, and how their ends become one ending.

#include "userspace/bridge/relay.h"

#include <array>
#include <cerrno>
#include <optional>
#include <utility>
#include <variant>

#include <sys/socket.h>

#include "userspace/io/when_both.h"

namespace bridge {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using std::chrono::milliseconds;
using tls::AlertDescription;

// A peer that does not read may not keep a connection alive that has failed already.
constexpr milliseconds kAlertTimeout = std::chrono::seconds(2);
// How long the client role keeps what it needs to take tickets.
constexpr milliseconds kTicketTimeout = std::chrono::seconds(10);

constexpr std::array<std::string_view, 7> kEndingNames = {"clean", "truncated", "reset", "timeout",
                                                          "alert", "cancelled", "error"};

// What one relay's tasks share.
struct Relay {
  Loop& loop;
  Scope& scope;
  Connection& connection;
  int plain_fd;
  milliseconds idle_timeout;
  RelayReport report;
  std::optional<Error> failure;  // the first one; it ends both pumps
  bool has_sent_all = false;     // close_notify and FIN are on their way to the peer

  // Ends both pumps; the first failure is the one that counts.
  Result<void> fail(Error error) {
    if (!failure) {
      failure = std::move(error);
      scope.cancel();
    }
    return ktls::fail(*failure);
  }
};

// From the TLS peer to the plain side, until close_notify, or anything worse.
Task<Result<void>> pump_from_peer(Relay& relay) {
  for (;;) {
    auto step = co_await relay.connection.receiver().move_to(relay.scope, relay.plain_fd);
    if (!step) co_return relay.fail(std::move(step).error());
    if (const auto* moved = std::get_if<Moved>(&*step)) {
      relay.report.received += moved->size;
      relay.connection.data_received();
      relay.scope.extend(relay.idle_timeout);
      continue;
    }
    if (std::holds_alternative<EndOfStream>(*step)) {
      co_return relay.fail(
          Error::of(ErrorCode::kEndOfStream, "the peer closed without close_notify"));
    }
    auto control = co_await relay.connection.act_on(relay.scope, std::get<ControlRecord>(*step));
    if (!control) co_return relay.fail(std::move(control).error());
    if (*control == Connection::Control::kCloseNotify) {
      ::shutdown(relay.plain_fd, SHUT_WR);
      co_return Result<void>();
    }
  }
}

// From the plain side to the TLS peer, until end of file, which becomes close_notify and FIN.
Task<Result<void>> pump_to_peer(Relay& relay) {
  for (;;) {
    auto step = co_await relay.connection.sender().move_from(relay.scope, relay.plain_fd);
    if (!step) co_return relay.fail(std::move(step).error());
    if (const auto* moved = std::get_if<Moved>(&*step)) {
      relay.report.sent += moved->size;
      relay.scope.extend(relay.idle_timeout);
      auto owed = co_await relay.connection.send_owed(relay.scope);
      if (!owed) co_return relay.fail(std::move(owed).error());
      continue;
    }
    auto closed = co_await relay.connection.send_alert(relay.scope, AlertDescription::kCloseNotify);
    if (!closed) co_return relay.fail(std::move(closed).error());
    // The kernel may hold records that TCP had no room for, and FIN would cut them off.
    auto room = co_await relay.loop.writable(relay.scope, relay.connection.fd());
    if (!room) co_return relay.fail(std::move(room).error());
    ::shutdown(relay.connection.fd(), SHUT_WR);
    relay.has_sent_all = true;
    co_return Result<void>();
  }
}

// Frees what the client role keeps of its handshake, when tickets have had their time.
Task<Result<void>> release_handshake_later(Loop& loop, Scope& scope, Connection& connection) {
  auto slept = co_await loop.sleep(scope, kTicketTimeout);
  connection.release_handshake();  // ended early, the connection is over: release all the same
  co_return slept;
}

// What failed stands in relay.failure; the pumps' own results only say that it did.
Task<Result<void>> pump_both(Relay& relay, Scope& ticket_scope) {
  auto [from_peer, to_peer] = co_await when_both(pump_from_peer(relay), pump_to_peer(relay));
  ticket_scope.cancel();
  co_return from_peer ? to_peer : from_peer;
}

// Tells both sides that this was no orderly end.
Task<void> abort(Relay& relay) {
  const Error& failure = *relay.failure;
  reset_on_close(relay.plain_fd);
  const bool is_ours = failure.alert != Error::kNoAlert && failure.code != ErrorCode::kPeerAlert;
  // What was sent whole, close_notify included, stays the peer's to read.
  if (relay.has_sent_all) co_return;
  if (!is_ours) {
    reset_on_close(relay.connection.fd());
    co_return;
  }
  Scope alert_scope(relay.loop, kAlertTimeout);
  auto sent = co_await relay.connection.send_alert(alert_scope,
                                                   static_cast<AlertDescription>(failure.alert));
  if (!sent) reset_on_close(relay.connection.fd());
}

}  // namespace

void reset_on_close(int fd) {
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

Ending ending_of(const Error& error) {
  switch (error.code) {
    case ErrorCode::kTimeout:
      return Ending::kTimeout;
    case ErrorCode::kCancelled:
      return Ending::kCancelled;
    case ErrorCode::kPeerAlert:
      return Ending::kAlert;
    case ErrorCode::kEndOfStream:
      return Ending::kTruncated;
    case ErrorCode::kSystem:
      return error.sys_errno == ECONNRESET || error.sys_errno == EPIPE ? Ending::kReset
                                                                       : Ending::kError;
    default:
      return error.alert != Error::kNoAlert ? Ending::kAlert : Ending::kError;
  }
}

std::string_view name_of(Ending ending) {
  return kEndingNames.at(static_cast<std::size_t>(ending));
}

Task<RelayReport> relay(Loop& loop, Scope& scope, Connection& connection, int plain_fd,
                        milliseconds idle_timeout) {
  Relay state{.loop = loop,
              .scope = scope,
              .connection = connection,
              .plain_fd = plain_fd,
              .idle_timeout = idle_timeout,
              .report = {},
              .failure = std::nullopt};
  scope.extend(idle_timeout);
  Scope ticket_scope(loop);
  if (connection.facts().role == tls::Role::kClient) {
    static_cast<void>(co_await when_both(pump_both(state, ticket_scope),
                                         release_handshake_later(loop, ticket_scope, connection)));
  } else {
    static_cast<void>(co_await pump_both(state, ticket_scope));
  }
  if (state.failure) {
    co_await abort(state);
    state.report.ending = ending_of(*state.failure);
    state.report.detail = state.failure->message();
    state.report.reason = connection.end_reason();
  }
  co_return std::move(state.report);
}

}  // namespace bridge
