// Datagrams to an address, not to a connection: the manager's next life has the same address.

#include "tools/supervision/notify_socket.h"

#include <cerrno>
#include <cstddef>
#include <cstring>

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

namespace tools {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using ktls::UniqueFd;

namespace {

constexpr timeval kSendTimeout{.tv_sec = 1, .tv_usec = 0};

}  // namespace

Result<NotifySocket> NotifySocket::open(std::string_view address) {
  SocketAddress to;
  auto* const sun = reinterpret_cast<sockaddr_un*>(&to.storage);
  const bool is_abstract = address.starts_with('@');
  if (address.size() < 2 || (!is_abstract && !address.starts_with('/'))) {
    return ktls::fail(Error::of(ErrorCode::kUnsupported,
                                "'" + std::string(address) + "' is neither /PATH nor @NAME"));
  }
  if (address.size() >= sizeof sun->sun_path) {
    return ktls::fail(Error::of(ErrorCode::kUnsupported, "is longer than 107 bytes"));
  }
  sun->sun_family = AF_UNIX;
  std::memcpy(sun->sun_path, address.data(), address.size());
  if (is_abstract) sun->sun_path[0] = '\0';
  // A path ends with a zero byte; an abstract name ends where the address does.
  to.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size() +
                                   (is_abstract ? 0 : 1));
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return ktls::fail(Error::system(errno, "socket"));
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kSendTimeout, sizeof kSendTimeout);
  return NotifySocket(std::move(fd), to);
}

Result<void> NotifySocket::send(std::string_view message) const {
  const ssize_t sent = ::sendto(fd_.get(), message.data(), message.size(), MSG_NOSIGNAL,
                                address_.data(), address_.size);
  if (sent < 0) return ktls::fail(Error::system(errno, "cannot tell " + address_.text()));
  return {};
}

}  // namespace tools
