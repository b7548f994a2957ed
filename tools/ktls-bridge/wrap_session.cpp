// One connection of `wrap`, in either role.

#include "tools/ktls-bridge/wrap_session.h"

#include <cerrno>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <sys/socket.h>

#include "tools/ktls-bridge/connection_log.h"
#include "tools/ktls-bridge/connection_metrics.h"
#include "tools/ktls-bridge/proxy_header.h"
#include "tools/ktls-bridge/tls_session.h"
#include "userspace/bridge/closing.h"
#include "userspace/bridge/connection.h"
#include "userspace/bridge/relay.h"

namespace tools {
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
  const Origin& origin;
  UniqueFd tls;    // the side that speaks TLS
  UniqueFd plain;  // the other
  ConnectionLog line;

  [[nodiscard]] const WrapOptions& options() const { return setting.options; }
  [[nodiscard]] TlsSession tls_session() {
    const std::chrono::milliseconds timeout = options().tls.handshake_timeout;
    // With whom we shake hands is the one that sent the header, but in the client role.
    return {.loop = loop,
            .cancellation = cancellation,
            .setting = setting.tls,
            .line = line,
            .handshake_timeout = options().client ? timeout : origin.rest_of(timeout)};
  }
};

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

// Tells the service who its client is, before anything else. `facts` null: by the client role,
// where the header goes before the handshake.
Task<Result<void>> announce(Session& session, int fd, const bridge::ConnectionFacts* facts) {
  const auto& kind = session.options().send_proxy;
  if (!kind) co_return Result<void>();
  const int accepted = (session.options().client ? session.plain : session.tls).get();
  const std::vector<std::uint8_t> header =
      encode_proxy_header(*kind, session.origin.endpoints(accepted), facts);
  Phase phase(session.loop, session.cancellation, session.options().connect_timeout);
  auto buffer = co_await session.loop.lease(phase.scope());
  if (!buffer) co_return ktls::fail(std::move(buffer).error());
  if (auto copied = buffer->append(header); !copied) co_return copied;
  co_return co_await session.loop.send(phase.scope(), fd, *buffer, 0, header.size());
}

// To --to, for a client of which `facts` is what TLS has told. The error says what failed.
Task<Result<UniqueFd>> reach(Session& session, const bridge::ConnectionFacts* facts) {
  auto connected = co_await connect_to(session);
  if (!connected) co_return connected;
  auto announced = co_await announce(session, connected->get(), facts);
  if (announced) co_return connected;
  Error error = std::move(announced).error();
  error.detail = "--send-proxy to " + session.options().to.text() + ": " + error.detail;
  co_return ktls::fail(std::move(error));
}

Task<void> relay(Session& session, Connection& connection) {
  Phase phase(session.loop, session.cancellation, session.options().idle_timeout);
  const bridge::RelayReport report = co_await bridge::relay(
      session.loop, phase.scope(), connection, session.plain.get(), session.options().idle_timeout);
  ConnectionLog& line = session.line;
  line.take(connection);
  line.take(report);
}

Task<void> serve(Session& session) {
  UniqueFd& far = session.options().client ? session.tls : session.plain;
  if (session.options().client) {
    auto connected = co_await reach(session, nullptr);
    if (!connected) {
      session.line.end(connected.error(), "unreachable");
      co_return;
    }
    far = *std::move(connected);
  }
  const std::unique_ptr<Connection> connection =
      co_await hand_over(session.tls_session(), session.tls.get());
  if (connection == nullptr) co_return;

  if (!session.options().client) {
    auto connected = co_await reach(session, &connection->facts());
    if (!connected) {
      session.line.end(connected.error(), "unreachable");
      co_await refuse(session.tls_session(), *connection);
      co_return;
    }
    far = *std::move(connected);
  }
  co_await relay(session, *connection);
}

}  // namespace

Task<void> wrap_session(Loop& loop, Cancellation& cancellation, const WrapSetting& setting,
                        UniqueFd accepted, const Origin& origin) {
  Session session{.loop = loop,
                  .cancellation = cancellation,
                  .setting = setting,
                  .origin = origin,
                  .tls = {},
                  .plain = {},
                  .line = {}};
  const Log& log = setting.tls.log();
  const CountedConnection counted(setting.tls.counts());
  session.line.take(origin);
  session.line.to = setting.options.to.text();
  send_at_once(accepted.get());
  (setting.options.client ? session.plain : session.tls) = std::move(accepted);

  log.write(LogLevel::kDebug, "accepted", {{"peer", session.line.peer}});

  co_await serve(session);

  const bool is_clean = session.line.ended == bridge::name_of(bridge::Ending::kClean);
  if (!is_clean && session.options().client && session.plain) {
    bridge::reset_on_close(session.plain.get());  // the plain client must not see an orderly end
  }
  counted.end(session.line);
  log.write(LogLevel::kInfo, "connection", session.line.fields());
}

}  // namespace tools
