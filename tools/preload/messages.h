// Descriptors within messages, of sockets that are none of ours.
#pragma once

#include <cstddef>

#include <sys/socket.h>

namespace preload {

// Finds out what the descriptors are that came with a message. errno stays.
void recognise_arrived(msghdr& message);
// They are about to be sent: who gets them may have them from then on. 0, or an errno: EAGAIN for a
// connection that is under way, which would not be known at the other end; EBADF.
[[nodiscard]] int share_departing(const msghdr& message);

// Bytes that the parts have room for; beyond SSIZE_MAX where they are not to be looked at, because
// the call will refuse them.
inline constexpr std::size_t kUnusable = ~std::size_t{0};
[[nodiscard]] std::size_t room_of(const iovec* parts, std::size_t count);

}  // namespace preload
