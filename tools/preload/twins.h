// TCP sockets that are set up as another one is. Each connection is made with a twin of the
// program's socket: a write that the kernel has begun with that one, in whatever process, never
// gets to the connection, so that nothing is sent ahead of the handshake.
#pragma once

#include <string_view>

#include "ktls/base/unique_fd.h"

namespace preload {

enum class Binding { kSame, kNone };

// No `fd`: `error` is an errno, and `text` says what cannot be had, unless it is a descriptor or
// memory.
struct Twin {
  ktls::UniqueFd fd;
  int error = 0;
  std::string_view text;
};

// `fd`: a socket of TCP or MPTCP that neither listens nor is connected. Its twin is of the same
// family and protocol, with the same options; with Binding::kSame it has its address and port as
// well. What it has not: the status (take_status), which is FD_CLOEXEC alone; what would defer its
// connection (TCP_FASTOPEN_CONNECT), for the first bytes are the broker's to write; and what cannot
// be read (keys of TCP-MD5 and TCP-AO, attached filters).
[[nodiscard]] Twin make_twin(int fd, Binding binding);

// Whether the program has chosen an address or a port of a socket that was never connected.
[[nodiscard]] bool is_bound(int fd);

// What a connection that is relayed has of its TCP socket's options, where a Unix socket has them.
void take_options(int tcp, int stream);
// Whether it blocks, and whom it signals, which each description of a socket has for itself.
void take_status(int from, int to);

}  // namespace preload
