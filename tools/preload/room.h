// How much the parts of one call have room for.
#pragma once

#include <climits>
#include <cstddef>

#include <sys/uio.h>

namespace preload {

// The call will refuse them: they are not to be looked at.
inline constexpr std::size_t kUnusable = ~std::size_t{0};

// Bytes, or kUnusable.
[[nodiscard]] inline std::size_t room_of(const iovec* parts, std::size_t count) {
  if (count > IOV_MAX || (parts == nullptr && count > 0)) return kUnusable;
  std::size_t room = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (parts[i].iov_len > SSIZE_MAX - room) return kUnusable;
    room += parts[i].iov_len;
  }
  return room;
}

}  // namespace preload
