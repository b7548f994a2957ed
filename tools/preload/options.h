// Socket options and addresses of what is no TCP socket here, but is one to the program.
#pragma once

#include <sys/socket.h>

#include "tools/preload/wrapped.h"

namespace preload {

// As getsockopt(2) and setsockopt(2), of any kind. 0, or -1 and errno.
int ask_option(int fd, Wrapped& wrapped, int level, int name, void* value, socklen_t* size);
int set_option(int fd, Wrapped& wrapped, int level, int name, const void* value, socklen_t size);

// The options of TCP and IP that were set on `tcp`, which a relayed stream takes the place of.
void remember_options_of(Wrapped& relayed, int tcp);

// What was remembered; null: it was never set. The last one that is set is remembered at the cost
// of the oldest, where there are too many.
[[nodiscard]] const RememberedOption* find_option(const Wrapped& wrapped, int level, int name);
void remember_option(Wrapped& wrapped, const RememberedOption& option);

// As getsockname(2) tells an address: as much of it as there is room for, and how long it is. 0, or
// an errno.
[[nodiscard]] int tell_address(const sockaddr_in6& from, sockaddr* to, socklen_t* size);

}  // namespace preload
