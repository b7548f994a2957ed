// Handshake, adoption, and what becomes of a connection that comes to neither.

#include "tools/ktls-bridge/tls_session.h"

#include <optional>
#include <string>
#include <utility>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "ktls/core/reason.h"
#include "tools/ktls-bridge/connection_metrics.h"
#include "userspace/bridge/closing.h"
#include "userspace/bridge/establish.h"
#include "userspace/bridge/relay.h"
#include "userspace/handshake/openssl/handshake.h"

namespace tools {
namespace {

using bridge::Connection;
using bridge::Task;
using tls::Handshake;

// Nothing if it failed.
Task<std::optional<Handshake::Finished>> shake_hands(TlsSession session, int fd) {
  const TlsSetting& setting = session.setting;
  const CountedHandshake counted(setting.counts(), setting.role());
  const std::string server_name =
      session.server_name != nullptr ? *session.server_name : setting.server_name();
  auto handshake = Handshake::create(setting.context(), setting.role(), server_name);
  if (!handshake) {
    counted.fail(handshake.error());
    session.line.end(handshake.error(), "handshake");
    co_return std::nullopt;
  }
  setting.log().write(LogLevel::kDebug, "handshake", {{"peer", session.line.peer}});
  Phase phase(session.loop, session.cancellation, session.handshake_timeout);
  auto finished = co_await bridge::establish(session.loop, phase.scope(), fd, **handshake);
  if (!finished) {
    counted.fail(finished.error());
    session.line.end(finished.error(), "handshake");
    if (const auto reason = bridge::reason_of_end(finished.error());
        reason != ktls::Reason::kNone) {
      session.line.reason = ktls::text_of(reason).code;
    }
    co_return std::nullopt;
  }
  counted.finish(finished->negotiated);
  co_return *std::move(finished);
}

// Nothing if it failed.
std::unique_ptr<Connection> adopt(const TlsSession& session, int fd, Handshake::Finished finished) {
  const TlsOptions& options = session.setting.options();
  tls::Negotiated& negotiated = finished.negotiated;
  const bridge::Plan intended =
      bridge::plan(negotiated, session.setting.capability(), session.intended);
  auto adopted = Connection::adopt(session.loop, fd, std::move(negotiated),
                                   std::move(finished.post_handshake), intended, options.keys);
  if (!adopted) {
    session.line.end(adopted.error(), "error");
    return nullptr;
  }
  session.line.facts = (*adopted)->facts();
  session.line.placement = (*adopted)->plan();
  count_from_now(session.setting.counts(), **adopted);
  session.setting.log().write(LogLevel::kDebug, "adopted", session.line.fields());
  return *std::move(adopted);
}

}  // namespace

void send_at_once(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Task<std::unique_ptr<Connection>> hand_over(TlsSession session, int fd) {
  auto finished = co_await shake_hands(session, fd);
  if (!finished) co_return nullptr;
  auto connection = adopt(session, fd, *std::move(finished));
  if (connection == nullptr) co_return nullptr;
  if (!connection->plan().satisfies(session.setting.options().offload)) {
    session.line.ended = "refused";
    session.line.detail = "--offload kernel: a direction is not in the kernel";
    co_await refuse(session, *connection);
    co_return nullptr;
  }
  co_return connection;
}

Task<void> refuse(TlsSession session, Connection& connection) {
  Phase phase(session.loop, session.cancellation, session.setting.options().handshake_timeout);
  auto sent = co_await connection.send_alert(phase.scope(), tls::AlertDescription::kInternalError);
  if (!sent) bridge::reset_on_close(connection.fd());
}

}  // namespace tools
