// Descriptors within messages, of sockets that are none of ours.
#pragma once

#include <sys/socket.h>

namespace preload {

// Finds out what the descriptors are that came with a message. errno stays.
void recognise_arrived(msghdr& message);
// They are about to be sent: who gets them may have them from then on. 0, or an errno: EAGAIN for a
// connection that is under way, which would not be known at the other end; EBADF.
[[nodiscard]] int share_departing(const msghdr& message);

}  // namespace preload
