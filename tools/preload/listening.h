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
// Closes `fd`, the last descriptor of it. Where no other process has one the port is free then.
void end_listening(int fd, Wrapped& listener);

// Programs that get one of its descriptors by exec get the listening socket as well. Under
// Changing; after a change of FD_CLOEXEC, and of its descriptors.
void follow_inheritance(const Wrapped& listener);

}  // namespace preload
