// Socket addresses of what people write, for the tests of headers.
#pragma once

#include <string>

#include "tools/common/address.h"

namespace proxy_protocol {

// "192.0.2.1:443", "[2001:db8::1]:443", "unix:/run/x".
inline tools::SocketAddress socket_address(const std::string& text) {
  const auto address = tools::parse_address(text);
  if (!address) return {};
  const auto found = tools::resolve(*address, false);
  return found && !found->empty() ? found->front() : tools::SocketAddress();
}

}  // namespace proxy_protocol
