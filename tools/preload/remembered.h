// What the table knows of a connection, told as the kernel would tell it.
#pragma once

#include <sys/socket.h>

#include "tools/preload/wrapped.h"

namespace preload {

// What was remembered; null: it was never set. The last one that is set is remembered at the cost
// of the oldest, where there are too many.
[[nodiscard]] const RememberedOption* find_option(const Wrapped& wrapped, int level, int name);
void remember_option(Wrapped& wrapped, const RememberedOption& option);

// As getsockname(2) tells an address: as much of it as there is room for, and how long it is. 0, or
// an errno.
[[nodiscard]] int tell_address(const sockaddr_in6& from, sockaddr* to, socklen_t* size);

}  // namespace preload
