// The header of the kernel, which that of the C library excludes: hence a file of its own.

#include "ktls/observe/tcp_bytes.h"

#include <cstddef>
#include <cstring>

#include <linux/tcp.h>

namespace ktls {

std::uint64_t tcp_bytes_sent(std::span<const std::uint8_t> info) {
  constexpr std::size_t kAt = offsetof(tcp_info, tcpi_bytes_sent);
  std::uint64_t sent = 0;
  if (info.size() < kAt + sizeof sent) return sent;
  std::memcpy(&sent, info.data() + kAt, sizeof sent);
  return sent;
}

}  // namespace ktls
