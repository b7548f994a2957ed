// Loopback connections.

#include "tests/conformance/sockets.h"

#include <cerrno>
#include <utility>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

namespace conformance {
namespace {

using ktls::Error;
using ktls::Result;
using ktls::UniqueFd;

sockaddr_in loopback(std::uint16_t port) {
  return {.sin_family = AF_INET,
          .sin_port = htons(port),
          .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)},
          .sin_zero = {}};
}

// The sockets' interface takes any address by this name.
sockaddr* general(sockaddr_in& address) {
  return reinterpret_cast<sockaddr*>(&address);
}

UniqueFd make_socket() {
  return UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

void send_at_once(const UniqueFd& fd) {
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace

Result<UniqueFd> connect_loopback(std::uint16_t port) {
  UniqueFd fd = make_socket();
  sockaddr_in address = loopback(port);
  if (!fd || ::connect(fd.get(), general(address), sizeof address) != 0) {
    return ktls::fail(Error::system(errno, "connect"));
  }
  send_at_once(fd);
  return fd;
}

Result<SocketPair> connect_pair() {
  const UniqueFd listener = make_socket();
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  if (!listener || ::bind(listener.get(), general(address), size) != 0 ||
      ::listen(listener.get(), 1) != 0 ||
      ::getsockname(listener.get(), general(address), &size) != 0) {
    return ktls::fail(Error::system(errno, "listen"));
  }
  KTLS_TRY(UniqueFd near, connect_loopback(ntohs(address.sin_port)));
  UniqueFd far(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!far) return ktls::fail(Error::system(errno, "accept4"));
  send_at_once(far);
  return SocketPair{std::move(near), std::move(far)};
}

Result<void> wait_for(int fd, short events) {
  pollfd entry = {.fd = fd, .events = events, .revents = 0};
  while (::poll(&entry, 1, -1) < 0) {
    if (errno != EINTR) return ktls::fail(Error::system(errno, "poll"));
  }
  return {};
}

Result<void> set_blocking(int fd, bool blocking) {
  const int flags = ::fcntl(fd, F_GETFL);
  const int wanted = blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
  if (flags < 0 || ::fcntl(fd, F_SETFL, wanted) != 0) {
    return ktls::fail(Error::system(errno, "fcntl"));
  }
  return {};
}

}  // namespace conformance
