// One connection of `wrap`, in either role.

#include "tools/ktls-bridge/wrap_session.h"

#include <cerrno>
#include <chrono>
#include <utility>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "tools/ktls-bridge/connection_log.h"
#include "userspace/bridge/closing.h"
#include "userspace/bridge/connection.h"
#include "userspace/bridge/establish.h"
#include "userspace/bridge/relay.h"
#include "userspace/handshake/openssl/handshake.h"

namespace tools {

// One phase of a session, with a deadline of its own; it ends with the session, too.
class Phase {
 public:
  Phase(bridge::Loop& loop, Cancellation& cancellation, std::chrono::milliseconds timeout)
      : cancellation_(cancellation), scope_(loop, timeout) {
    cancellation_.current_ = &scope_;
    if (cancellation_.cancelled()) scope_.cancel();
  }
  ~Phase() { cancellation_.current_ = nullptr; }
  Phase(const Phase&) = delete;
  Phase& operator=(const Phase&) = delete;

  [[nodiscard]] bridge::Scope& scope() { return scope_; }

 private:
  Cancellation& cancellation_;
  bridge::Scope scope_;
};

void Cancellation::cancel() {
  cancelled_ = true;
  if (current_ != nullptr) current_->cancel();
}

namespace {

using bridge::Connection;
using bridge::Loop;
using bridge::Task;
using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using ktls::UniqueFd;

// One connection on its way through wrap_session().
struct Session {
  Loop& loop;
  Cancellation& cancellation;
  const WrapSetting& setting;
  UniqueFd tls;    // the side that speaks TLS
  UniqueFd plain;  // the other
  ConnectionLog line;

  [[nodiscard]] const WrapOptions& options() const { return *setting.options; }
  [[nodiscard]] tls::Role role() const {
    return options().client ? tls::Role::kClient : tls::Role::kServer;
  }
};

// Small records must not wait for an acknowledgement (Nagle); on a unix socket this does nothing.
void send_at_once(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// Connects to the first address that answers. The error is that of the last one.
Task<Result<UniqueFd>> connect_to(Session& session) {
  Error error = Error::of(ErrorCode::kInvalidArgument, "no address to connect to");
  for (const SocketAddress& address : session.setting.to) {
    UniqueFd fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
      error = Error::system(errno, "socket");
      continue;
    }
    Phase phase(session.loop, session.cancellation, session.options().connect_timeout);
    auto connected =
        co_await session.loop.connect(phase.scope(), fd.get(), address.data(), address.size);
    if (connected) {
      send_at_once(fd.get());
      co_return fd;
    }
    error = std::move(connected).error();
    error.detail = "cannot connect to " + address.text() + ": " + error.detail;
    if (session.cancellation.cancelled()) break;
  }
  co_return ktls::fail(std::move(error));
}

void end(Session& session, const Error& error, std::string_view otherwise) {
  // An alert of ours, and an end of the stream, are how a phase fails; the rest is why.
  const bridge::Ending ending = bridge::ending_of(error);
  const bool is_ours = ending == bridge::Ending::kAlert && error.code != ErrorCode::kPeerAlert;
  const bool is_end = ending == bridge::Ending::kTruncated;
  const bool says_more = ending != bridge::Ending::kError && !is_ours && !is_end;
  session.line.ended = says_more ? bridge::name_of(ending) : otherwise;
  session.line.detail = error.message();
}

// Handshake and hand-over; nothing if it failed, and the line says why.
Task<std::unique_ptr<Connection>> hand_over(Session& session) {
  const WrapSetting& setting = session.setting;
  auto handshake = tls::Handshake::create(setting.context, session.role(), setting.server_name);
  if (!handshake) {
    end(session, handshake.error(), "handshake");
    co_return nullptr;
  }
  Phase phase(session.loop, session.cancellation, session.options().handshake_timeout);
  auto finished =
      co_await bridge::establish(session.loop, phase.scope(), session.tls.get(), **handshake);
  if (!finished) {
    end(session, finished.error(), "handshake");
    if (const auto reason = bridge::reason_of_end(finished.error());
        reason != ktls::Reason::kNone) {
      session.line.reason = ktls::text_of(reason).code;
    }
    co_return nullptr;
  }
  tls::Negotiated& negotiated = finished->negotiated;
  const bridge::Plan intended =
      bridge::plan(negotiated, setting.capability, session.options().offload);
  auto adopted =
      Connection::adopt(session.loop, session.tls.get(), std::move(negotiated),
                        std::move(finished->post_handshake), intended, session.options().keys);
  if (!adopted) {
    end(session, adopted.error(), "error");
    co_return nullptr;
  }
  session.line.facts = (*adopted)->facts();
  session.line.placement = (*adopted)->plan();
  setting.log->write(LogLevel::kDebug, "adopted", session.line.fields());
  co_return *std::move(adopted);
}

// Tells the TLS peer that nothing will come of the connection, so that it does not take the end
// for an empty answer.
Task<void> refuse(Session& session, Connection& connection) {
  Phase phase(session.loop, session.cancellation, session.options().handshake_timeout);
  auto sent = co_await connection.send_alert(phase.scope(), tls::AlertDescription::kInternalError);
  if (!sent) bridge::reset_on_close(session.tls.get());
}

Task<void> serve(Session& session) {
  UniqueFd& far = session.options().client ? session.tls : session.plain;
  if (session.options().client) {
    auto connected = co_await connect_to(session);
    if (!connected) {
      end(session, connected.error(), "unreachable");
      co_return;
    }
    far = *std::move(connected);
  }
  const std::unique_ptr<Connection> connection = co_await hand_over(session);
  if (connection == nullptr) co_return;

  if (!connection->plan().satisfies(session.options().offload)) {
    session.line.ended = "refused";
    session.line.detail = "--offload kernel: a direction is not in the kernel";
    co_await refuse(session, *connection);
    co_return;
  }
  if (!session.options().client) {
    auto connected = co_await connect_to(session);
    if (!connected) {
      end(session, connected.error(), "unreachable");
      co_await refuse(session, *connection);
      co_return;
    }
    far = *std::move(connected);
  }
  Phase phase(session.loop, session.cancellation, session.options().idle_timeout);
  const bridge::RelayReport report =
      co_await bridge::relay(session.loop, phase.scope(), *connection, session.plain.get(),
                             session.options().idle_timeout);
  session.line.transmit_remark = connection->sender().remark();
  session.line.receive_remark = connection->receiver().remark();
  session.line.key_updates_sent = report.key_updates_sent;
  session.line.key_update_waits = report.key_update_waits;
  session.line.key_updates_received = report.key_updates_received;
  session.line.received = report.received;
  session.line.sent = report.sent;
  session.line.ended = bridge::name_of(report.ending);
  session.line.detail = report.detail;
  if (report.reason != ktls::Reason::kNone) {
    session.line.reason = ktls::text_of(report.reason).code;
  }
}

}  // namespace

Task<void> wrap_session(Loop& loop, Cancellation& cancellation, const WrapSetting& setting,
                        UniqueFd accepted) {
  Session session{.loop = loop,
                  .cancellation = cancellation,
                  .setting = setting,
                  .tls = {},
                  .plain = {},
                  .line = {}};
  session.line.peer = peer_text(accepted.get());
  session.line.to = setting.options->to.text();
  send_at_once(accepted.get());
  (setting.options->client ? session.plain : session.tls) = std::move(accepted);

  setting.log->write(LogLevel::kDebug, "accepted", {{"peer", session.line.peer}});

  co_await serve(session);

  const bool is_clean = session.line.ended == bridge::name_of(bridge::Ending::kClean);
  if (!is_clean && session.options().client && session.plain) {
    bridge::reset_on_close(session.plain.get());  // the plain client must not see an orderly end
  }
  setting.log->write(LogLevel::kInfo, "connection", session.line.fields());
}

}  // namespace tools
