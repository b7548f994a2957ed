// The sockets of a cell: connected pairs on loopback, and waiting for them.
#pragma once

#include <cstdint>

#include "ktls/base/result.h"
#include "ktls/base/unique_fd.h"

namespace conformance {

struct SocketPair {
  ktls::UniqueFd near;
  ktls::UniqueFd far;
};

// A TCP connection to 127.0.0.1, without delay for small segments. Error: kSystem.
[[nodiscard]] ktls::Result<ktls::UniqueFd> connect_loopback(std::uint16_t port);

// Both ends of one. Error: kSystem.
[[nodiscard]] ktls::Result<SocketPair> connect_pair();

// Until `fd` has one of `events`, an error or a hang-up, for as long as it takes: whoever gives up
// shuts the socket down. Error: kSystem.
[[nodiscard]] ktls::Result<void> wait_for(int fd, short events);

// Error: kSystem.
[[nodiscard]] ktls::Result<void> set_blocking(int fd, bool blocking);

}  // namespace conformance
