// tcp_bytes_sent(): one field of the kernel's struct tcp_info, which the C library's lacks.
#pragma once

#include <cstdint>
#include <span>

namespace ktls {

// tcpi_bytes_sent of a tcp_info as the kernel gave it, which is as long as that kernel knows it; 0
// before Linux 4.19, which has no such field. Source: linux/tcp.h.
[[nodiscard]] std::uint64_t tcp_bytes_sent(std::span<const std::uint8_t> info);

}  // namespace ktls
