// The system calls themselves, and the loopback pair on which probe() tries things.
#include "ktls/core/syscalls.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

#include "ktls/base/result.h"
#include "ktls/base/unique_fd.h"

namespace ktls {
namespace {

// Loopback answers within microseconds; only a packet filter that drops makes it wait.
constexpr int kLoopbackTimeoutMs = 1000;
// Anybody on this machine may connect to the listener before we do. More strangers than this on
// a port that is open for microseconds is an attack, and the probe gives up.
constexpr int kStrangersMax = 16;

struct Address {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);

  sockaddr* data() { return reinterpret_cast<sockaddr*>(&storage); }
  bool operator==(const Address& other) const {
    return size == other.size && std::memcmp(&storage, &other.storage, size) == 0;
  }
};

struct SocketPair {
  UniqueFd client;
  UniqueFd server;
};

tl::unexpected<Error> last_error(std::string_view call) {
  return fail(Error::system(errno, call));
}

Address loopback(sa_family_t family) {
  Address address;
  if (family == AF_INET) {
    auto* in = reinterpret_cast<sockaddr_in*>(&address.storage);
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.size = sizeof(sockaddr_in);
  } else {
    auto* in6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
    in6->sin6_family = AF_INET6;
    in6->sin6_addr = in6addr_loopback;
    address.size = sizeof(sockaddr_in6);
  }
  return address;
}

Result<void> await(int fd, short events) {
  pollfd entry{fd, events, 0};
  int ready = 0;
  do {
    ready = ::poll(&entry, 1, kLoopbackTimeoutMs);
  } while (ready < 0 && errno == EINTR);
  if (ready < 0) return last_error("poll");
  if (ready == 0) return fail(Error::system(ETIMEDOUT, "poll"));
  return {};
}

Result<UniqueFd> tcp_socket(sa_family_t family) {
  UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
  if (!fd) return last_error("socket");
  return fd;
}

// A socket that listens on a port of the kernel's choice, which comes back in `address`.
Result<UniqueFd> listen_on_loopback(sa_family_t family, Address& address) {
  KTLS_TRY(UniqueFd listener, tcp_socket(family));
  address = loopback(family);
  if (::bind(listener.get(), address.data(), address.size) != 0) return last_error("bind");
  if (::listen(listener.get(), 1) != 0) return last_error("listen");
  if (::getsockname(listener.get(), address.data(), &address.size) != 0) {
    return last_error("getsockname");
  }
  return listener;
}

Result<UniqueFd> connect_to(sa_family_t family, Address& address) {
  KTLS_TRY(UniqueFd client, tcp_socket(family));
  if (::connect(client.get(), address.data(), address.size) == 0) return client;
  if (errno != EINPROGRESS && errno != EINTR) return last_error("connect");
  if (auto ready = await(client.get(), POLLOUT); !ready) return fail(std::move(ready).error());
  int sys_errno = 0;
  socklen_t size = sizeof sys_errno;
  if (::getsockopt(client.get(), SOL_SOCKET, SO_ERROR, &sys_errno, &size) != 0) {
    return last_error("getsockopt(SO_ERROR)");
  }
  if (sys_errno != 0) return fail(Error::system(sys_errno, "connect"));
  return client;
}

// Accepts until the connection is the one of `client`.
Result<UniqueFd> accept_from(int listener, int client) {
  Address ours;
  if (::getsockname(client, ours.data(), &ours.size) != 0) return last_error("getsockname");
  for (int attempt = 0; attempt <= kStrangersMax; ++attempt) {
    if (auto ready = await(listener, POLLIN); !ready) return fail(std::move(ready).error());
    Address theirs;
    UniqueFd server(::accept4(listener, theirs.data(), &theirs.size, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (server && theirs == ours) return server;
    // accept(2): a connection that was reset before it was taken is not the listener's fault.
    const bool passing = errno == EINTR || errno == ECONNABORTED || errno == EAGAIN;
    if (!server && !passing) return last_error("accept4");
  }
  return fail(Error::system(ECONNABORTED, "accept4"));
}

Result<SocketPair> loopback_pair(sa_family_t family) {
  Address address;
  KTLS_TRY(UniqueFd listener, listen_on_loopback(family, address));
  KTLS_TRY(UniqueFd client, connect_to(family, address));
  KTLS_TRY(UniqueFd server, accept_from(listener.get(), client.get()));
  return SocketPair{std::move(client), std::move(server)};
}

class SystemCalls final : public Syscalls {
 public:
  int setsockopt(int fd, int level, int name, const void* value, socklen_t size) override {
    return ::setsockopt(fd, level, name, value, size);
  }
  int getsockopt(int fd, int level, int name, void* value, socklen_t* size) override {
    return ::getsockopt(fd, level, name, value, size);
  }
  ssize_t sendmsg(int fd, const msghdr* message, int flags) override {
    return ::sendmsg(fd, message, flags);
  }
  ssize_t recvmsg(int fd, msghdr* message, int flags) override {
    return ::recvmsg(fd, message, flags);
  }
  int poll(int fd, short events, int timeout_ms) override {
    pollfd entry{fd, events, 0};
    return ::poll(&entry, 1, timeout_ms);
  }
  int tcp_pair(int fds[2]) override {
    auto pair = loopback_pair(AF_INET);
    if (!pair) {
      const int ipv4_errno = pair.error().sys_errno;
      pair = loopback_pair(AF_INET6);
      if (!pair) {
        // Without IPv4 in the kernel the answer of IPv6 is the one that explains.
        errno = ipv4_errno == EAFNOSUPPORT ? pair.error().sys_errno : ipv4_errno;
        return -1;
      }
    }
    fds[0] = pair->client.release();
    fds[1] = pair->server.release();
    return 0;
  }
  int close(int fd) override { return ::close(fd); }
};

}  // namespace

Syscalls& system_calls() {
  static SystemCalls instance;
  return instance;
}

}  // namespace ktls
