// Accepting for a program: many handshakes at once, each finished one delivered when there is room.

#include "tools/broker/listening.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "tools/broker/datagram.h"
#include "tools/broker/welcome.h"
#include "tools/common/address.h"
#include "userspace/io/when_both.h"

namespace tools {
namespace {

using bridge::Scope;
using bridge::Task;
using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using std::chrono::milliseconds;

// When descriptors or memory run out, accepting again at once would spin: connections end first.
constexpr milliseconds kAcceptPause{50};
constexpr milliseconds kAcceptTimeout{100};
// For a program to take the answer to kStop.
constexpr milliseconds kFarewellTimeout = std::chrono::seconds(1);
// A listening socket is there for as long as its program.
constexpr milliseconds kForever = std::chrono::hours(24 * 365);

// Shared by the tasks of one listening socket, the last of which frees it.
struct Listening {
  Listening(BrokerState& the_state, Client the_client, ForeignFd the_socket, ForeignFd the_replies,
            std::size_t the_backlog)
      : state(the_state),
        client(std::move(the_client)),
        socket(std::move(the_socket)),
        replies(std::move(the_replies)),
        backlog(the_backlog),
        open(the_state.open, kForever) {}
  // One that was sent is no more on its way.
  void forget_one() {
    undelivered.pop_back();
    taken.ring();
  }
  void close() {
    open.cancel();
    for (Cancellation* each : std::exchange(pending, {})) each->cancel();
  }

  BrokerState& state;
  Client client;
  ForeignFd socket;
  ForeignFd replies;
  std::size_t backlog;
  Scope open;
  std::set<Cancellation*> pending;         // connections that nobody has yet
  std::vector<Places::Place> undelivered;  // one for each
  Doorbell taken;                          // there are fewer of them
  std::uint64_t last_number = 0;
  bool is_warned = false;  // once for each time that accepting does not work
};
using Shared = std::shared_ptr<Listening>;

// Waits until one more may be in flight. Errors: those of the scope.
Task<Result<void>> wait_for_room(Listening& listening, Scope& scope) {
  BrokerState& state = listening.state;
  for (;;) {
    while (listening.undelivered.size() >= listening.backlog) {
      auto rung = co_await listening.taken.wait(state.loop, scope);
      if (!rung) co_return rung;
    }
    auto place = co_await state.undelivered.wait(state.loop, scope, listening.client.user);
    if (!place) co_return ktls::fail(std::move(place).error());
    if (listening.undelivered.size() >= listening.backlog) continue;
    listening.undelivered.push_back(*std::move(place));
    co_return Result<void>();
  }
}

Task<Result<void>> deliver(Listening& listening, Welcome& welcome) {
  auto answer = welcome.introduce();
  if (!answer) co_return ktls::fail(std::move(answer).error());
  // A program that takes nothing for so long has no use for its peers.
  Scope in_time(listening.open, listening.state.options.idle_timeout);
  auto room = co_await wait_for_room(listening, in_time);
  if (!room) co_return room;
  answer->number = ++listening.last_number;
  auto sent = co_await send_answer(listening.state.loop, in_time, listening.replies.get(), *answer,
                                   welcome.descriptor());
  if (!sent) listening.forget_one();
  co_return sent;
}

Task<void> serve_one(Shared listening, Places::Place place, ForeignFd accepted) {
  BrokerState& state = listening->state;
  // It was accepted when the listener was about to close, and nobody would end it any more.
  if (listening->open.failure()) co_return;
  Welcome welcome(state, listening->client, std::move(place), std::move(accepted));
  {
    const AddressLimit::Place address = state.addresses.take(peer_address(welcome.fd()));
    if (!address) {
      welcome.turn_away("--max-handshakes-per-address: as many as it may have");
      co_return;
    }
    listening->pending.insert(&welcome.cancellation());
    const bool is_established = co_await welcome.establish();
    if (!is_established) {
      listening->pending.erase(&welcome.cancellation());
      co_return;
    }
  }
  auto delivered = co_await deliver(*listening, welcome);
  listening->pending.erase(&welcome.cancellation());
  if (!delivered) {
    co_await welcome.give_up(delivered.error());
    co_return;
  }
  listening.reset();  // a relay outlives it
  co_await welcome.let_go();
}

void warn(Listening& listening, const Error& error) {
  if (std::exchange(listening.is_warned, true)) return;
  listening.state.log.write(
      LogLevel::kWarning, "accept",
      {{"address", local_text(listening.socket.get())}, {"error", error.message()}});
}

Task<Result<void>> accept_all(Shared listening) {
  BrokerState& state = listening->state;
  for (;;) {
    // A place is for a connection that there is.
    const auto ready = co_await state.loop.readable(listening->open, listening->socket.get());
    if (!ready) break;
    auto place =
        co_await state.connections.wait(state.loop, listening->open, listening->client.user);
    if (!place) break;
    // Another process may accept from the same socket, and have been first.
    Scope soon(listening->open, kAcceptTimeout);
    auto accepted = co_await state.loop.accept(soon, listening->socket.get());
    if (accepted) {
      listening->is_warned = false;
      state.loop.spawn(serve_one(listening, *std::move(place), ForeignFd(*std::move(accepted))));
      continue;
    }
    if (listening->open.failure()) break;
    const bool is_gone = soon.expired() || accepted.error().sys_errno == ECONNABORTED;
    if (is_gone) continue;
    warn(*listening, accepted.error());
    auto paused = co_await state.loop.sleep(listening->open, kAcceptPause);
    static_cast<void>(paused);
  }
  co_return Result<void>();
}

// What the program says of it. True: it has asked for an end.
Task<Result<void>> heed(Shared listening, bool& is_stopped) {
  for (;;) {
    auto message =
        co_await receive_message(listening->state.loop, listening->open, listening->replies.get());
    if (!message || !*message) break;
    const broker::Kind kind = (*message)->request.header.kind;
    is_stopped = kind == broker::Kind::kStop;
    if (kind != broker::Kind::kTaken) break;
    if (listening->undelivered.empty()) break;  // it took more than there was
    listening->forget_one();
  }
  listening->close();
  co_return Result<void>();
}

}  // namespace

Task<void> listening(BrokerState& state, Client client, ForeignFd socket, ForeignFd replies,
                     std::size_t backlog) {
  std::optional<ListenedSockets::Copy> copy;  // goes after what has the socket
  copy.emplace(state.listened_sockets, socket.get(), replies.get());
  auto shared =
      std::make_shared<Listening>(state, std::move(client), std::move(socket), std::move(replies),
                                  std::clamp<std::size_t>(backlog, 1, kUndeliveredOfListenerMax));
  const std::string address = local_text(shared->socket.get());
  if (const auto bound = local_address(shared->socket.get())) {
    state.ports_listened.insert(bound->port());
  }
  const auto told = co_await send_answer(state.loop, shared->open, shared->replies.get(),
                                         answer_of(broker::Kind::kDone));
  if (!told) co_return;
  state.log.write(LogLevel::kInfo, "listening",
                  {{"address", address},
                   {"uid", std::uint64_t{shared->client.user}},
                   {"pid", static_cast<std::uint64_t>(shared->client.process)}});
  bool is_stopped = false;
  static_cast<void>(co_await when_both(accept_all(shared), heed(shared, is_stopped)));
  shared->socket.reset();
  copy.reset();
  if (is_stopped) {
    Scope scope(state.loop, kFarewellTimeout);
    const auto said = co_await send_answer(state.loop, scope, shared->replies.get(),
                                           answer_of(broker::Kind::kDone));
    static_cast<void>(said);
  }
  state.log.write(LogLevel::kInfo, "unlistened", {{"address", address}});
}

}  // namespace tools
