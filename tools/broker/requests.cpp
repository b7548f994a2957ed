// What is asked, whether it may be, and who does it.

#include "tools/broker/requests.h"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include <sys/socket.h>

#include "ktls/core/socket.h"
#include "tools/broker/close_tls.h"
#include "tools/broker/datagram.h"
#include "tools/broker/listening.h"
#include "tools/broker/predecessor.h"
#include "tools/broker/welcome.h"
#include "tools/common/address.h"
#include "userspace/io/when_both.h"
#include "userspace/suite/content_type.h"

namespace tools {
namespace {

using bridge::Scope;
using bridge::Task;
using broker::Kind;
using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using ktls::UniqueFd;
using std::chrono::milliseconds;

// A client that does not take its answer has lost its interest.
constexpr milliseconds kAnswerTimeout = std::chrono::seconds(5);
// Between the first word of who may not connect, and the end of the channel.
constexpr milliseconds kStrangerTimeout = std::chrono::seconds(10);
constexpr milliseconds kChannelTimeout = std::chrono::seconds(5);
constexpr milliseconds kControlTimeout = std::chrono::seconds(90);
// The others of a channel wait meanwhile.
constexpr milliseconds kPlaceTimeout = std::chrono::seconds(1);
// More than one round of the loop.
constexpr milliseconds kCountPause{2};
constexpr milliseconds kCountTimeout = std::chrono::seconds(1);
// For a task to see that its channel has ended, and to close its copy of a listening socket.
constexpr milliseconds kUnlistenTimeout = std::chrono::seconds(2);

// One request on its way.
struct Request {
  BrokerState& state;
  Client client;
  Message message;
  std::optional<Places::Place> place = std::nullopt;  // of its kind, if that has any

  [[nodiscard]] int replies() const { return message.descriptors.at(0).get(); }
  [[nodiscard]] ForeignFd take_subject() { return std::move(message.descriptors.at(1)); }
};

// Without waiting: the socket for one answer has no room only if the client has filled it itself.
void answer(const Request& request, const broker::Answer& answer) {
  const auto sent = send_answer_now(request.replies(), answer);
  static_cast<void>(sent);
}

enum class Wanted : std::uint8_t { kListening, kConnected, kConnecting };

bool is_connected(int fd) {
  return peer_address(fd).family() != AF_UNSPEC;
}

// What a stream socket has to be for a request, or why it is not. One that is being connected may
// turn out to be neither connected nor under way.
std::optional<broker::Answer> fault_of(int fd, Wanted wanted) {
  int type = 0;
  int listens = 0;
  socklen_t size = sizeof type;
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0) {
    return refusal(ENOTSOCK, "not a socket");
  }
  size = sizeof listens;
  if (type != SOCK_STREAM || ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0) {
    return refusal(EINVAL, "not a stream socket");
  }
  if (wanted == Wanted::kListening) {
    if (listens == 0) return refusal(EINVAL, "the socket does not listen");
    return std::nullopt;
  }
  const bool may_become_connected = wanted == Wanted::kConnecting && listens == 0;
  if (!may_become_connected && !is_connected(fd)) {
    return refusal(ENOTCONN, "not a connected socket");
  }
  return std::nullopt;
}

broker::Answer not_connected(int sys_errno) {
  broker::Answer answer = refusal(
      sys_errno, std::string("the connection came to nothing: ") + ::strerrordesc_np(sys_errno));
  answer.flags = broker::kNotConnected;
  return answer;
}

// Of a socket that somebody has begun to connect, when the kernel has something to say of it.
std::optional<broker::Answer> outcome_of_connect(int fd) {
  int failure = 0;
  socklen_t size = sizeof failure;
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size);
  if (failure != 0) return not_connected(failure);
  if (!is_connected(fd)) return refusal(ENOTCONN, "not a connected socket");
  return std::nullopt;
}

// Ends the connection of a client that is gone, or wants it no more.
Task<Result<void>> mind_client(Request& request, Welcome& welcome, Scope& scope) {
  auto left = co_await request.state.loop.hung_up(scope, request.replies());
  if (left) welcome.cancellation().cancel();
  co_return Result<void>();
}

// Until `done`.
Task<Result<void>> wait_for_hangup(Request& request, Scope& done, Scope& connecting) {
  auto left = co_await request.state.loop.hung_up(done, request.replies());
  if (left) connecting.cancel();
  co_return Result<void>();
}

Task<Result<void>> wait_for_room(Request& request, int fd, Scope& connecting, Scope& done) {
  auto ready = co_await request.state.loop.writable(connecting, fd);
  done.cancel();
  co_return ready;
}

// Until a connection that is being made has been, or come to nothing: then it is answered. False.
Task<bool> await_connection(Request& request, int fd) {
  if (is_connected(fd)) co_return true;
  BrokerState& state = request.state;
  Scope connecting(state.open, state.as_client.options().handshake_timeout);
  Scope done(state.loop);
  auto [ready, minded] = co_await when_both(wait_for_room(request, fd, connecting, done),
                                            wait_for_hangup(request, done, connecting));
  static_cast<void>(minded);
  if (state.is_ending()) co_return false;  // without an answer: the broker is gone
  const auto failed = ready ? outcome_of_connect(fd) : not_connected(ETIMEDOUT);
  if (failed) answer(request, *failed);
  co_return !failed;
}

Task<Result<void>> establish(Welcome& welcome, const std::string* name, bool& is_established,
                             Scope& minding) {
  is_established = co_await welcome.establish(name);
  minding.cancel();
  co_return Result<void>();
}

// kServe and kConnect.
Task<void> serve_connection(Request request) {
  BrokerState& state = request.state;
  const bool is_client = request.message.request.header.kind == Kind::kConnect;
  const std::string name(request.message.payload.begin(), request.message.payload.end());
  if (is_client &&
      (name.empty() || name.size() > broker::kNameMax || name.find('\0') != std::string::npos)) {
    answer(request, refusal(EINVAL, "the name to verify has 1 to 253 bytes"));
    co_return;
  }
  ForeignFd fd = request.take_subject();
  const auto wanted = is_client ? Wanted::kConnecting : Wanted::kConnected;
  if (const auto fault = fault_of(fd.get(), wanted)) {
    answer(request, *fault);
    co_return;
  }
  auto place = state.connections.take(request.client.user);
  if (!place) {
    answer(request, refusal(EAGAIN,
                            "as many connections as one may have: "
                            "--max-per-client, --max-connections"));
    co_return;
  }
  if (is_client) {
    const bool can_go_on = co_await await_connection(request, fd.get());
    if (!can_go_on) co_return;
  }
  Welcome welcome(state, request.client, *std::move(place), std::move(fd));
  Scope minding(state.loop);
  bool is_established = false;
  static_cast<void>(
      co_await when_both(establish(welcome, is_client ? &name : nullptr, is_established, minding),
                         mind_client(request, welcome, minding)));
  if (!is_established) {
    answer(request, welcome.complaint());
    co_return;
  }
  auto introduced = welcome.introduce();
  if (!introduced) {
    const Error error = introduced.error();
    answer(request, refusal(error.sys_errno, error.message()));
    co_await welcome.give_up(error);
    co_return;
  }
  Scope scope(state.loop, kAnswerTimeout);
  auto told = co_await send_answer(state.loop, scope, request.replies(), *introduced,
                                   welcome.is_relayed() ? welcome.descriptor() : -1);
  if (!told) {
    co_await welcome.give_up(told.error());
    co_return;
  }
  request.message.descriptors.clear();
  co_await welcome.let_go();
}

// kListen.
Task<void> serve_listener(Request request) {
  ForeignFd socket = request.take_subject();
  if (const auto fault = fault_of(socket.get(), Wanted::kListening)) {
    answer(request, *fault);
    co_return;
  }
  auto place = request.state.listeners.take(request.client.user);
  if (!place) {
    answer(request, refusal(EAGAIN,
                            "as many listening sockets as one user may have, by the broker's limit "
                            "of open files (ulimit -n)"));
    co_return;
  }
  co_await listening(request.state, std::move(request.client), std::move(socket),
                     std::move(request.message.descriptors.at(0)), request.message.request.backlog);
}

// A stream that we do not relay may be one that a broker before us still does.
bool is_passed_on(const Request& request) {
  return !request.state.is_ending() && pass_on(request.state.options.socket, request.message);
}

// What takes as long as its peer likes leaves its place to others, if there is room.
void count_as_connection(Request& request) {
  auto place = request.state.connections.take(request.client.user);
  if (place) request.place.emplace(*std::move(place));
}

Task<void> serve_close(Request request) {
  BrokerState& state = request.state;
  ForeignFd fd = request.take_subject();
  if (const auto cookie = cookie_of(fd.get()); cookie && state.relays.close_in_order(*cookie)) {
    ::shutdown(fd.get(), SHUT_WR);
    answer(request, answer_of(Kind::kDone));
    co_return;
  }
  const auto has_keys = ktls::TlsSocket(fd.get()).has_keys(ktls::Direction::kTransmit);
  if (!has_keys || !*has_keys) {
    request.message.descriptors.at(1) = std::move(fd);
    if (is_passed_on(request)) co_return;
    answer(request, refusal(EINVAL,
                            "neither a TLS socket of the kernel nor a stream that "
                            "is relayed"));
    co_return;
  }
  answer(request, answer_of(Kind::kDone));
  request.message.descriptors.clear();
  count_as_connection(request);
  co_await close_tls(state, std::move(fd));
}

// Of a listening socket, ours or not: answers when none of our copies keeps its port taken for a
// program that is gone.
Task<void> release_listener(Request request, std::uint64_t cookie) {
  BrokerState& state = request.state;
  if (!state.listened_sockets.has(cookie)) {
    request.take_subject().reset();
    answer(request, answer_of(Kind::kDone));
    co_return;
  }
  co_await await_release(state, request.replies());
  request.take_subject().reset();
  Scope scope(state.loop, kUnlistenTimeout);
  const auto closed =
      co_await state.listened_sockets.abandoned_are_closed(state.loop, scope, cookie);
  answer(request, closed ? answer_of(Kind::kDone)
                         : refusal(ETIMEDOUT, "the listening socket is not closed yet"));
}

Task<void> serve_release(Request request) {
  BrokerState& state = request.state;
  const auto cookie = cookie_of(request.message.descriptors.at(1).get());
  if (!cookie) co_return;
  const bool is_listener = state.listened_sockets.has(*cookie) ||
                           !fault_of(request.message.descriptors.at(1).get(), Wanted::kListening);
  if (is_listener) {
    co_await release_listener(std::move(request), *cookie);
    co_return;
  }
  if (!state.relays.has(*cookie)) {
    const auto has_keys = ktls::TlsSocket(request.message.descriptors.at(1).get())
                              .has_keys(ktls::Direction::kTransmit);
    if (has_keys && *has_keys) {
      const bool may_travel = request.message.request.number == broker::kMayTravel;
      count_as_connection(request);
      co_await release_tls(state, request.take_subject(), request.replies(), may_travel);
    } else {
      static_cast<void>(is_passed_on(request));
    }
    co_return;
  }
  co_await await_release(state, request.replies());
  // Whoever has it yet is to say so as well, or is killed before.
  const Held held =
      co_await state.held.find(request.message.descriptors.at(1).get(), Flight::kIgnored);
  if (held.by_somebody) co_return;
  // What a ring has received is told in the loop's next round, and counted then.
  Scope scope(state.loop, kCountTimeout);
  const auto counted = co_await state.loop.sleep(scope, kCountPause);
  static_cast<void>(counted);
  state.relays.release(*cookie);
}

Task<void> serve_control(Request request) {
  bridge::ControlRecord record{
      .type = static_cast<tls::ContentType>(request.message.request.record_type),
      .content = std::move(request.message.payload)};
  Scope scope(request.state.loop, kControlTimeout);
  ForeignFd fd = request.take_subject();
  const broker::Answer done =
      co_await request.state.handed_out.act_on(scope, fd.get(), std::move(record));
  answer(request, done);
  request.message.descriptors.clear();
  if (done.header.kind == Kind::kDone) co_await request.state.handed_out.settle(std::move(fd));
}

Task<void> serve_end(Request request) {
  const auto cookie = cookie_of(request.message.descriptors.at(1).get());
  const bool is_orderly = cookie && request.state.relays.was_orderly(*cookie);
  if (!is_orderly && is_passed_on(request)) co_return;
  answer(request,
         is_orderly ? answer_of(Kind::kDone) : refusal(ECONNRESET, "the connection was cut off"));
  co_return;
}

// Of anything else nobody would learn that the client has lost its interest.
bool takes_answers(int fd) {
  const auto option = [fd](int name) {
    int value = 0;
    socklen_t size = sizeof value;
    return ::getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
  };
  return option(SO_DOMAIN) == AF_UNIX && option(SO_TYPE) == SOCK_SEQPACKET;
}

Task<void> refuse_kind(Request request) {
  answer(request, refusal(EINVAL, "no request of version 1"));
  co_return;
}

Task<void> task_for(Request request) {
  switch (request.message.request.header.kind) {
    case Kind::kListen:
      return serve_listener(std::move(request));
    case Kind::kServe:
    case Kind::kConnect:
      return serve_connection(std::move(request));
    case Kind::kClose:
      return serve_close(std::move(request));
    case Kind::kControl:
      return serve_control(std::move(request));
    case Kind::kEnd:
      return serve_end(std::move(request));
    case Kind::kRelease:
      return serve_release(std::move(request));
    default:
      return refuse_kind(std::move(request));
  }
}

bool is_about_end(const Request& request) {
  const Kind kind = request.message.request.header.kind;
  return kind == Kind::kClose || kind == Kind::kEnd || kind == Kind::kRelease;
}

// Of who may not connect: the first request is answered, so that it is known why.
Task<void> refuse_stranger(BrokerState& state, const Client& client, const UniqueFd& channel) {
  state.log.write(LogLevel::kWarning, "refused",
                  {{"uid", std::uint64_t{client.user}},
                   {"pid", static_cast<std::uint64_t>(client.process)},
                   {"hint", std::string("--allow-user or --allow-group lets others in")}});
  Scope scope(state.loop, kStrangerTimeout);
  auto message = co_await receive_message(state.loop, scope, channel.get());
  if (!message || !*message || (*message)->descriptors.empty()) co_return;
  Request request{.state = state, .client = client, .message = **std::move(message)};
  answer(request, refusal(EACCES, "this broker does not serve the user"));
}

// Most channels live for one request, so it is worth waiting for one to end. Nothing: it was not.
Task<std::optional<Places::Place>> place_for_channel(BrokerState& state, uid_t user) {
  auto place = state.channels.take(user);
  if (place) co_return place;
  const auto waiting = state.waiting_channels.take(user);
  if (!waiting) co_return std::nullopt;
  Scope scope(state.loop, kChannelTimeout);
  auto found = co_await state.channels.wait(state.loop, scope, user);
  if (found) place.emplace(*std::move(found));
  co_return place;
}

// Of requests that wait for others, and of those alone: the rest of a channel must not wait for
// them. Null: of these there are none.
Places* places_for(BrokerState& state, Kind kind) {
  if (kind == Kind::kClose || kind == Kind::kRelease) return &state.endings;
  return kind == Kind::kControl ? &state.controls : nullptr;
}

// One message of a channel. False: the channel is of no use any more.
Task<bool> take_on(BrokerState& state, Scope& scope, const Client& client, Message message) {
  Request request{.state = state, .client = client, .message = std::move(message)};
  const auto& descriptors = request.message.descriptors;
  if (descriptors.empty() || !takes_answers(descriptors.front().get())) co_return true;
  if (descriptors.size() != 2) {
    answer(request, refusal(EINVAL, "a request brings two descriptors"));
    co_return true;
  }
  if (request.message.request.header.version != broker::kProtocolVersion) {
    answer(request, refusal(EPROTONOSUPPORT, "this broker speaks version 1"));
    co_return true;
  }
  if (&scope == &state.running && !is_about_end(request)) co_return state.options.is_private();
  if (Places* const places = places_for(state, request.message.request.header.kind)) {
    Scope patience(scope, kPlaceTimeout);
    auto room = co_await places->wait(state.loop, patience, client.user);
    if (scope.failure()) co_return false;
    if (!room) {
      answer(request, refusal(EAGAIN,
                              "as many requests under way as one user may have, by the broker's "
                              "limit of open files (ulimit -n)"));
      co_return true;
    }
    request.place.emplace(*std::move(room));
  }
  state.loop.spawn(task_for(std::move(request)));
  co_return true;
}

void warn_of_channel(const BrokerState& state, const Client& client, const Error& error) {
  if (state.is_ending()) return;
  state.log.write(LogLevel::kWarning, "channel",
                  {{"uid", std::uint64_t{client.user}}, {"error", error.message()}});
}

}  // namespace

Task<void> channel_session(BrokerState& state, UniqueFd channel) {
  const auto client = client_of(channel.get());
  if (!client) co_return;
  if (!may_connect(*client, state.options)) {
    const auto place = state.strangers.take(client->user);
    if (place) co_await refuse_stranger(state, *client, channel);
    co_return;
  }
  const auto place = co_await place_for_channel(state, client->user);
  if (!place) {
    state.log.write(LogLevel::kWarning, "channel",
                    {{"uid", std::uint64_t{client->user}},
                     {"error", std::string("as many channels as one user may have")},
                     {"hint", std::string("raise the broker's limit of open files (ulimit -n)")}});
    co_return;
  }
  // What we relay ends in order while we drain, too; but whoever wants anything else is to see that
  // we are gone.
  Scope& scope = state.is_ending() ? state.running : state.open;
  for (;;) {
    auto message = co_await receive_message(state.loop, scope, channel.get());
    if (!message) {
      warn_of_channel(state, *client, message.error());
      co_return;
    }
    if (!*message) co_return;
    const bool goes_on = co_await take_on(state, scope, *client, **std::move(message));
    if (!goes_on) co_return;
  }
}

Task<void> private_channel(BrokerState& state, UniqueFd channel, pid_t program) {
  auto client = client_of(channel.get());
  if (!client) co_return;
  client->process = program;
  for (;;) {
    Scope& scope = state.is_ending() ? state.running : state.open;
    auto message = co_await receive_message(state.loop, scope, channel.get());
    if (message && !*message) co_return;
    if (message) {
      const bool goes_on = co_await take_on(state, scope, *client, **std::move(message));
      if (goes_on) continue;
    }
    if (state.running.failure()) co_return;
    if (message || (state.is_ending() && &scope == &state.open)) continue;
    // One message that is none, or lost its descriptors: there is no other channel.
    warn_of_channel(state, *client, message.error());
    if (message.error().code != ErrorCode::kDecodeError) co_return;
  }
}

}  // namespace tools
