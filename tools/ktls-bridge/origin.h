// Origin: whose connection it is that was accepted, where a balancer may stand before us.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "ktls/base/unique_fd.h"
#include "tools/common/address.h"
#include "tools/ktls-bridge/phase.h"
#include "tools/ktls-bridge/tls_setting.h"
#include "tools/proxy_protocol/endpoints.h"
#include "userspace/io/loop.h"
#include "userspace/io/task.h"

namespace tools {

// Of one connection.
//   peer         who is served: that of whom the balancer tells, or else who has connected
//   destination  where that one has connected to; none: to the socket's own address
//   via          the balancer; none: it told of nobody, or there is none
//   accepted     when
struct Origin {
  SocketAddress peer;
  std::optional<SocketAddress> destination;
  std::optional<SocketAddress> via;
  std::chrono::steady_clock::time_point accepted = std::chrono::steady_clock::now();

  // Both ends, as a header for somebody behind us has them.
  [[nodiscard]] proxy_protocol::Endpoints endpoints(int fd) const;
  // The address that the peer has connected to; of no family where that is not known.
  [[nodiscard]] SocketAddress local(int fd) const;
  // What the header has left of the time that it shares with the handshake of the same peer: more
  // than nothing.
  [[nodiscard]] std::chrono::milliseconds rest_of(std::chrono::milliseconds timeout) const;
};

// What comes before anything else on a connection that was accepted.
//   accept_proxy  a header of the PROXY protocol, without which nothing goes on
//   timeout       for that
struct OriginSetting {
  bool accept_proxy;
  std::chrono::milliseconds timeout;
};

// Reads the header, if there is to be one, and not a byte behind it. Nothing: there is no good one,
// the line `refused` says so, and closing the descriptor resets the connection.
[[nodiscard]] bridge::Task<std::optional<Origin>> find_origin(bridge::Loop& loop,
                                                              Cancellation& cancellation,
                                                              OriginSetting setting,
                                                              const TlsSetting& tls,
                                                              const ktls::UniqueFd& accepted);

}  // namespace tools
