// Programs that listen: the broker accepts and does the handshakes, and the program takes what is
// done off a channel that has the listening socket's number.
#pragma once

#include <sys/socket.h>

#include "tools/preload/wrapped.h"

namespace preload {

// Whether this is a TCP socket bound to a port that is to be TLS.
[[nodiscard]] bool is_to_be_wrapped(int fd);
// `fd` listens. Has the broker listen in its place. 0, or -1 and errno: then it listens no more.
int begin_listening(int fd, unsigned backlog);
// As listen(2) of one that does already.
int listen_again(Wrapped& listener, int backlog);
// As accept4(2).
int accept_from(int fd, Wrapped& listener, sockaddr* address, socklen_t* address_size, int flags);
// Its last descriptor was closed: 0 once the port is free.
void end_listening(int fd, Wrapped& listener);

}  // namespace preload
