// TCP sockets that are set up as another one is. Each connection is made with a twin of the
// program's socket: a write that the kernel has begun with that one, in whatever process, never
// gets to the connection, so that nothing is sent ahead of the handshake.
#pragma once

#include <string_view>

#include "ktls/base/unique_fd.h"

namespace preload {

//   kSame     of a socket that was never connected: its address and its port
//   kAddress  of one that was, and whose address the program had chosen: that, and any port
//   kNone     of one that was, and had none
enum class Binding { kSame, kAddress, kNone };

// No `fd`: `error` is an errno, and `text` says what cannot be had, unless it is a descriptor or
// memory.
struct Twin {
  ktls::UniqueFd fd;
  int error = 0;
  std::string_view text;
};

// `fd`: a socket of TCP or MPTCP that neither listens nor is connected. Its twin is of the same
// family and protocol, and what decides where packets go and from where is the same, or there is
// none. Other options are taken as far as they can be; TCP_FASTOPEN_CONNECT is not, for the first
// bytes are the broker's to write, nor are attached filters, extension headers of IPv6, and keys of
// TCP-MD5 and TCP-AO. Of a socket that was connected TCP_MAXSEG, TCP_WINDOW_CLAMP, TCP_QUICKACK and
// SO_INCOMING_CPU are not taken either: the kernel has changed them. It blocks, and has FD_CLOEXEC.
// What the kernel does not tell of MPTCP (options of IP, before 6.12 or so) a twin cannot have.
[[nodiscard]] Twin make_twin(int fd, Binding binding);

// Whether the program has chosen the address of a socket that was never connected.
[[nodiscard]] bool has_address(int fd);

// What a connection that is relayed has of its TCP socket's options, where a Unix socket has them.
void take_options(int tcp, int stream);
// Whether it blocks, and whom it signals, which each description of a socket has for itself.
void take_status(int from, int to);

}  // namespace preload
