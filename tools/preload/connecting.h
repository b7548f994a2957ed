// Programs that connect: the broker is the client of the handshake, and until that is done the
// program's number is a socket that becomes readable with the broker's answer.
#pragma once

#include <sys/socket.h>

#include "tools/preload/wrapped.h"

namespace preload {

// As connect(2), of any socket; null: it is none of ours.
int connect_socket(int fd, Wrapped* wrapped, const sockaddr* address, socklen_t size);

// Whether a connection of `fd` to this address is to be TLS. Not under Changing.
[[nodiscard]] bool is_connection_wrapped(int fd, const sockaddr* address, socklen_t size);

// Whether this is a TCP socket that neither listens nor is connected.
[[nodiscard]] bool may_become_tls(int fd);
// The object of such a socket, which has one from now on; null: there is no memory. Under Changing.
[[nodiscard]] Wrapped* enter_fresh(int fd);

// Acts on the broker's answer, if it is there: the connection takes the number, or has failed.
// False: it is still under way. Not under Changing.
bool settle(Wrapped& pending);
// Waits for that, unless the descriptor does not block. 0 when it is connected; or -1 and errno:
// EAGAIN, EINTR, and what it failed with.
int await_connection(int fd, Wrapped& pending);

}  // namespace preload
