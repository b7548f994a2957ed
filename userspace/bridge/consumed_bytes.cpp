#include "userspace/bridge/consumed_bytes.h"

#include <cerrno>
#include <cstddef>

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace bridge {
namespace {

using ktls::Error;
using ktls::Result;

// Two calls, between which nothing may come; on a busy connection something does now and then.
constexpr int kAttemptsMax = 4;

Result<std::uint64_t> queued_bytes(int fd) {
  int size = 0;
  if (::ioctl(fd, SIOCINQ, &size) != 0) return ktls::fail(Error::system(errno, "ioctl(SIOCINQ)"));
  return static_cast<std::uint64_t>(size);
}

// Linux 4.1 and later; an older kernel answers with a shorter structure.
Result<std::uint64_t> received_bytes(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) {
    return ktls::fail(Error::system(errno, "getsockopt(TCP_INFO)"));
  }
  if (size < offsetof(tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received) {
    return ktls::fail(Error::system(EOPNOTSUPP, "getsockopt(TCP_INFO)"));
  }
  return info.tcpi_bytes_received;
}

}  // namespace

Result<std::uint64_t> consumed_bytes(int fd) {
  KTLS_TRY(std::uint64_t queued, queued_bytes(fd));
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    KTLS_TRY(const std::uint64_t received, received_bytes(fd));
    KTLS_TRY(const std::uint64_t queued_now, queued_bytes(fd));
    if (queued_now == queued && queued <= received) return received - queued;
    queued = queued_now;
  }
  return ktls::fail(Error::system(EAGAIN, "counting bytes"));
}

}  // namespace bridge
