// Socket options of what is no TCP socket here, but is one to the program.
#pragma once

#include <sys/socket.h>

#include "tools/preload/wrapped.h"

namespace preload {

// As getsockopt(2) and setsockopt(2), of any kind. 0, or -1 and errno.
int ask_option(int fd, Wrapped& wrapped, int level, int name, void* value, socklen_t* size);
int set_option(int fd, Wrapped& wrapped, int level, int name, const void* value, socklen_t size);

// The options of TCP and IP that were set on `tcp`, as long as they are the program's alone.
void remember_options_of(Wrapped& wrapped, int tcp);
// Takes back what the broker has set on a TLS socket for the handshake: TCP_NODELAY.
void restore_delay(const Wrapped& wrapped, int tcp);

}  // namespace preload
