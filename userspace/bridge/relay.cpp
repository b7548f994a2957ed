// The two pumps of a relay, and how their ends become one ending.

#include "userspace/bridge/relay.h"

#include <array>
#include <cerrno>
#include <optional>
#include <utility>
#include <variant>

#include <sys/socket.h>

#include "userspace/bridge/closing.h"
#include "userspace/bridge/feed.h"
#include "userspace/io/when_both.h"

namespace bridge {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using std::chrono::milliseconds;

// How long the client role keeps what it needs to take tickets.
constexpr milliseconds kTicketTimeout = std::chrono::seconds(10);

constexpr std::array<std::string_view, 7> kEndingNames = {"clean", "truncated", "reset", "timeout",
                                                          "alert", "cancelled", "error"};

// What one relay's tasks share.
struct Relay {
  Loop& loop;
  Scope& scope;
  Connection& connection;
  PlainSide plain;
  milliseconds idle_timeout;
  Departure* departure;
  RelayReport report;
  std::optional<Error> failure;  // the first one; it ends both pumps
  // close_notify and FIN are on their way to the peer.
  bool has_sent_all = false;
  // The peer's close_notify came, and FIN is on its way to the plain side.
  bool has_received_all = false;
  // The peer has all, and nobody is left who would read what it says: it has its time to close.
  bool is_over = false;

  // The first failure is the one that counts. It ends both pumps, unless `to`, which could not be
  // written to, is gone and left something to read: who answers early and closes, as a server does
  // that will not have the whole upload, had its answer on the way. `from` is to take it.
  Result<void> fail(Error error, int from, int to) {
    if (!failure && is_over && error.code == ErrorCode::kTimeout) return ktls::fail(error);
    if (!failure) {
      const bool may_have_answered = error.code == ErrorCode::kSystem && is_gone(to);
      failure = std::move(error);
      if (!may_have_answered || is_gone(from)) scope.cancel();
    }
    return ktls::fail(*failure);
  }
  Result<void> fail_receiving(Error error) {
    return fail(std::move(error), connection.fd(), plain.to);
  }
  Result<void> fail_sending(Error error) {
    return fail(std::move(error), plain.from, connection.fd());
  }
};

// The end of what is read here, in order.
void end_plain(const PlainSide& plain) {
  if (plain.to != plain.from) empty_feed(plain.to);
  ::shutdown(plain.to, SHUT_WR);
}

// From the TLS peer to the plain side, until close_notify, or anything worse.
Task<Result<void>> pump_from_peer(Relay& relay) {
  for (;;) {
    auto step = co_await relay.connection.receiver().move_to(relay.scope, relay.plain.to);
    if (!step) co_return relay.fail_receiving(std::move(step).error());
    if (const auto* moved = std::get_if<Moved>(&*step)) {
      relay.report.received += moved->size;
      relay.connection.data_received();
      relay.scope.extend(relay.idle_timeout);
      continue;
    }
    if (std::holds_alternative<EndOfStream>(*step)) {
      if (!relay.has_sent_all && was_reset(relay.connection.fd())) {
        co_return relay.fail_receiving(Error::system(ECONNRESET, "the TLS peer"));
      }
      co_return relay.fail_receiving(
          Error::of(ErrorCode::kEndOfStream, "the peer closed without close_notify"));
    }
    auto control = co_await relay.connection.act_on(relay.scope, std::get<ControlRecord>(*step));
    if (!control) co_return relay.fail_receiving(std::move(control).error());
    if (*control == Connection::Control::kCloseNotify) {
      end_plain(relay.plain);
      relay.has_received_all = true;
      co_return Result<void>();
    }
  }
}

// A peer that goes on holding the connection of a program that has ended must not have its place
// for as long as one that is idle.
Task<void> limit_last_words(Relay& relay) {
  const bool has_reader = relay.departure == nullptr || !is_gone(relay.plain.to);
  if (has_reader || relay.has_received_all || relay.failure) co_return;
  const auto delivered =
      co_await await_delivery(relay.loop, relay.scope, relay.connection.fd(), Delivery::kAll);
  if (!delivered || relay.failure) co_return;
  relay.is_over = true;
  relay.scope.extend(kLastWordsTimeout);
}

// From the plain side to the TLS peer, until end of file, which becomes close_notify and FIN.
Task<Result<void>> pump_to_peer(Relay& relay) {
  for (;;) {
    auto step = co_await relay.connection.sender().move_from(relay.scope, relay.plain.from);
    if (!step) co_return relay.fail_sending(std::move(step).error());
    if (const auto* moved = std::get_if<Moved>(&*step)) {
      relay.report.sent += moved->size;
      relay.scope.extend(relay.idle_timeout);
      continue;
    }
    if (relay.failure) co_return ktls::fail(*relay.failure);
    if (!relay.has_received_all && was_reset(relay.plain.from)) {
      co_return relay.fail_sending(Error::system(ECONNRESET, "the plain side"));
    }
    if (relay.departure != nullptr && is_gone(relay.plain.from)) {
      auto left = co_await wait_a_moment(*relay.departure, relay.scope);
      if (!left) co_return relay.fail_sending(std::move(left).error());
    }
    auto closed = co_await send_close_notify(relay.loop, relay.scope, relay.connection);
    if (!closed) co_return relay.fail_sending(std::move(closed).error());
    relay.has_sent_all = true;
    co_await limit_last_words(relay);
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
Task<Result<void>> pump_both(Relay& relay, Scope& side_scope) {
  auto [from_peer, to_peer] = co_await when_both(pump_from_peer(relay), pump_to_peer(relay));
  side_scope.cancel();
  co_return from_peer ? to_peer : from_peer;
}

// A plaintext stream can say only by a reset that it was not all. At once: an application may be
// waiting for it, while the peer may have its time to listen.
Task<void> abort_plain(Relay& relay, bool in_time) {
  if (relay.has_received_all) {
    Scope scope(relay.loop, kLastWordsTimeout);
    if (in_time) co_await close_gently(relay.loop, scope, relay.plain.to);
    co_return;
  }
  reset_on_close(relay.plain.to);  // where disconnecting is no reset
  const sockaddr nobody{.sa_family = AF_UNSPEC, .sa_data = {}};
  static_cast<void>(::connect(relay.plain.to, &nobody, sizeof nobody));
}

// The plain side has ended in order and is closed; what failed is to give it more.
bool nobody_takes_more(const Relay& relay) {
  const Error& failure = *relay.failure;
  const bool was_closed = failure.code == ErrorCode::kSystem &&
                          (failure.sys_errno == EPIPE || failure.sys_errno == ECONNRESET);
  return relay.plain.is_socket_of_program && relay.has_sent_all && was_closed &&
         is_gone(relay.plain.to);
}

// Tells both sides that this was no orderly end.
Task<void> abort(Relay& relay) {
  const bool in_time =
      relay.failure->code != ErrorCode::kTimeout && relay.failure->code != ErrorCode::kCancelled;
  refuse_more(relay.plain.from);
  co_await abort_plain(relay, in_time);
  if (nobody_takes_more(relay)) {
    co_await reset_peer(relay.loop, relay.connection);
    co_return;
  }
  co_await abort_peer(relay.loop, relay.connection, *relay.failure, relay.has_sent_all);
}

}  // namespace

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

ktls::Reason reason_of_end(const Error& error) {
  switch (error.code) {
    case ErrorCode::kSequenceUnknown:
      return ktls::Reason::kSequenceUnknown;
    case ErrorCode::kRekeyImpossible:
      return ktls::Reason::kRekeyImpossible;
    case ErrorCode::kKeyBudgetSpent:
      return ktls::Reason::kKeyBudgetSpent;
    case ErrorCode::kKeyMissing:
      return ktls::Reason::kKeyMissing;
    case ErrorCode::kKeyUpdateFlood:
      return ktls::Reason::kKeyUpdateFlood;
    default:
      return ktls::Reason::kNone;
  }
}

std::string_view name_of(Ending ending) {
  return kEndingNames.at(static_cast<std::size_t>(ending));
}

Task<RelayReport> relay(Loop& loop, Scope& scope, Connection& connection, PlainSide plain,
                        milliseconds idle_timeout, Departure* departure) {
  Relay state{.loop = loop,
              .scope = scope,
              .connection = connection,
              .plain = plain,
              .idle_timeout = idle_timeout,
              .departure = departure,
              .report = {},
              .failure = std::nullopt};
  scope.extend(idle_timeout);
  Scope side_scope(loop);
  if (connection.facts().role == tls::Role::kClient) {
    static_cast<void>(co_await when_both(pump_both(state, side_scope),
                                         release_handshake_later(loop, side_scope, connection)));
  } else {
    static_cast<void>(co_await pump_both(state, side_scope));
  }
  state.report.key_updates_received = connection.key_updates_received();
  state.report.key_updates_sent = connection.sender().key_updates().updates;
  state.report.key_update_waits = connection.sender().key_updates().waits;
  if (state.failure) {
    co_await abort(state);
    state.report.ending = ending_of(*state.failure);
    state.report.detail = state.failure->message();
    state.report.reason = reason_of_end(*state.failure);
  }
  co_return std::move(state.report);
}

}  // namespace bridge
