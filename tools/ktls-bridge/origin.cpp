// The header of a balancer, read from the socket.

#include "tools/ktls-bridge/origin.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>

#include "tools/ktls-bridge/connection_metrics.h"
#include "tools/proxy_protocol/header_reader.h"
#include "userspace/bridge/closing.h"

namespace tools {
namespace {

using bridge::Task;
using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using proxy_protocol::HeaderReader;

// Error: those of the reader, the socket and the scope; kEndOfStream.
Task<Result<void>> read_header(bridge::Loop& loop, bridge::Scope& scope, int fd,
                               HeaderReader& reader) {
  // Who connects and says nothing holds no buffer.
  auto ready = co_await loop.readable(scope, fd);
  if (!ready) co_return ready;
  auto leased = co_await loop.lease(scope);
  if (!leased) co_return ktls::fail(std::move(leased).error());
  const bridge::Buffer buffer = *std::move(leased);
  while (reader.wanted() != 0) {
    auto received = co_await loop.receive(scope, fd, buffer, 0, reader.wanted());
    if (!received) co_return ktls::fail(std::move(received).error());
    if (*received == 0) {
      co_return ktls::fail(Error::of(
          ErrorCode::kEndOfStream,
          reader.has_begun() ? "the end within a PROXY header" : "the end without a PROXY header"));
    }
    auto taken = reader.take(std::span(buffer.data(), *received));
    if (!taken) co_return taken;
  }
  co_return Result<void>();
}

// Who only looks whether the port is open, as balancers do, is no reason for a warning.
LogLevel level_of(const Error& error, const HeaderReader& reader) {
  return error.code == ErrorCode::kEndOfStream && !reader.has_begun() ? LogLevel::kInfo
                                                                      : LogLevel::kWarning;
}

std::string detail_of(const Error& error) {
  return error.code == ErrorCode::kTimeout ? "no PROXY header came in time" : error.message();
}

}  // namespace

SocketAddress Origin::local(int fd) const {
  if (destination) return *destination;
  return local_address(fd).value_or(SocketAddress());
}

std::chrono::milliseconds Origin::rest_of(std::chrono::milliseconds timeout) const {
  using std::chrono::milliseconds;
  const auto passed = std::chrono::steady_clock::now() - accepted;
  return std::max(timeout - std::chrono::duration_cast<milliseconds>(passed), milliseconds(1));
}

proxy_protocol::Endpoints Origin::endpoints(int fd) const {
  return proxy_protocol::make_endpoints(peer, local(fd));
}

Task<std::optional<Origin>> find_origin(bridge::Loop& loop, Cancellation& cancellation,
                                        OriginSetting setting, const TlsSetting& tls,
                                        const ktls::UniqueFd& accepted) {
  Origin origin{.peer = peer_address(accepted.get()), .destination = {}, .via = {}};
  if (!setting.accept_proxy) co_return origin;
  HeaderReader reader;
  Phase phase(loop, cancellation, setting.timeout);
  if (const auto read = co_await read_header(loop, phase.scope(), accepted.get(), reader); !read) {
    bridge::reset_on_close(accepted.get());
    count_refusal(tls.counts(), metrics::Refusal::kProxyHeader);
    tls.log().write(level_of(read.error(), reader), "refused",
                    {{"peer", origin.peer.text()},
                     {"reason", std::string("proxy_header")},
                     {"detail", detail_of(read.error())}});
    co_return std::nullopt;
  }
  if (const auto& told = reader.endpoints()) {
    origin.via = std::exchange(origin.peer, told->source);
    origin.destination = told->destination;
  }
  co_return origin;
}

}  // namespace tools
