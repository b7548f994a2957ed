// What the calls of FakeKernel have in common: errnos, and the parts of a msghdr as one piece.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <sys/socket.h>

namespace ktls {

inline constexpr std::uint8_t kFakeApplicationData = 23;
// No errno: recvmsg and splice answer 0.
inline constexpr int kFakeEndOfStream = -1;

inline int fake_failure(int sys_errno) {
  errno = sys_errno;
  return -1;
}

inline std::span<std::uint8_t> bytes_of(const iovec& part) {
  return {static_cast<std::uint8_t*>(part.iov_base), part.iov_len};
}

inline std::vector<std::uint8_t> gather(const msghdr& message) {
  std::vector<std::uint8_t> bytes;
  for (const iovec& part : std::span(message.msg_iov, message.msg_iovlen)) {
    bytes.insert(bytes.end(), bytes_of(part).begin(), bytes_of(part).end());
  }
  return bytes;
}

// The contrary of gather().
inline void scatter(std::span<const std::uint8_t> bytes, const msghdr& message) {
  for (const iovec& part : std::span(message.msg_iov, message.msg_iovlen)) {
    std::ranges::copy(bytes.first(part.iov_len), bytes_of(part).begin());
    bytes = bytes.subspan(part.iov_len);
  }
}

// Moves as many bytes as `to` has room for, and answers how many.
inline std::size_t take_front(std::vector<std::uint8_t>& from, std::span<std::uint8_t> to) {
  const std::size_t size = std::min(from.size(), to.size());
  const auto end = from.begin() + static_cast<std::ptrdiff_t>(size);
  std::copy(from.begin(), end, to.begin());
  from.erase(from.begin(), end);
  return size;
}

}  // namespace ktls
