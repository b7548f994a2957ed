// The PROXY protocol header of one connection of `wrap`.
#pragma once

#include <cstdint>
#include <vector>

#include "tools/ktls-bridge/proxy_flags.h"
#include "tools/proxy_protocol/endpoints.h"
#include "userspace/bridge/connection.h"

namespace tools {

// `facts` of the TLS connection that the client has to us; null: it has none, as in the client
// role.
[[nodiscard]] std::vector<std::uint8_t> encode_proxy_header(
    ProxyHeader kind, const proxy_protocol::Endpoints& endpoints,
    const bridge::ConnectionFacts* facts);

}  // namespace tools
