#include "tools/preload/twins.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "tools/preload/sockets.h"

namespace preload {
namespace {

constexpr int kIpLocalPortRange = 51;  // IP_LOCAL_PORT_RANGE: include/uapi/linux/in.h
// What SO_BUF_LOCK tells: include/uapi/linux/socket.h.
constexpr int kSendBufferLock = 1;
constexpr int kReceiveBufferLock = 2;

struct Option {
  int level;
  int name;
};

// In an order in which none undoes another: IP_TOS chooses a SO_PRIORITY, the size of the buffer
// bounds SO_RCVLOWAT.
constexpr std::array kOptions{
    Option{SOL_SOCKET, SO_RCVBUF},
    Option{SOL_SOCKET, SO_SNDBUF},
    Option{SOL_SOCKET, SO_RCVLOWAT},
    Option{SOL_SOCKET, SO_RCVTIMEO},
    Option{SOL_SOCKET, SO_SNDTIMEO},
    Option{SOL_SOCKET, SO_KEEPALIVE},
    Option{SOL_SOCKET, SO_LINGER},
    Option{SOL_SOCKET, SO_OOBINLINE},
    Option{SOL_SOCKET, SO_DONTROUTE},
    Option{SOL_SOCKET, SO_REUSEADDR},
    Option{SOL_SOCKET, SO_REUSEPORT},
    Option{SOL_SOCKET, SO_BINDTODEVICE},
    Option{SOL_SOCKET, SO_MARK},
    Option{SOL_SOCKET, SO_BUSY_POLL},
    Option{SOL_SOCKET, SO_INCOMING_CPU},
    Option{SOL_SOCKET, SO_MAX_PACING_RATE},
    Option{SOL_SOCKET, SO_TXREHASH},
    Option{IPPROTO_IP, IP_OPTIONS},
    Option{IPPROTO_IP, IP_TOS},
    Option{IPPROTO_IP, IP_TTL},
    Option{IPPROTO_IP, IP_MINTTL},
    Option{IPPROTO_IP, IP_MTU_DISCOVER},
    Option{IPPROTO_IP, IP_RECVERR},
    Option{IPPROTO_IP, IP_FREEBIND},
    Option{IPPROTO_IP, IP_TRANSPARENT},
    Option{IPPROTO_IP, IP_UNICAST_IF},
    Option{IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT},
    Option{IPPROTO_IP, kIpLocalPortRange},
    Option{IPPROTO_IPV6, IPV6_V6ONLY},
    Option{IPPROTO_IPV6, IPV6_TCLASS},
    Option{IPPROTO_IPV6, IPV6_UNICAST_HOPS},
    Option{IPPROTO_IPV6, IPV6_MINHOPCOUNT},
    Option{IPPROTO_IPV6, IPV6_MTU_DISCOVER},
    Option{IPPROTO_IPV6, IPV6_RECVERR},
    Option{IPPROTO_IPV6, IPV6_AUTOFLOWLABEL},
    Option{IPPROTO_IPV6, IPV6_ADDR_PREFERENCES},
    Option{IPPROTO_IPV6, IPV6_FREEBIND},
    Option{IPPROTO_IPV6, IPV6_TRANSPARENT},
    Option{IPPROTO_IPV6, IPV6_UNICAST_IF},
    Option{SOL_SOCKET, SO_PRIORITY},
    Option{IPPROTO_TCP, TCP_NODELAY},
    Option{IPPROTO_TCP, TCP_CORK},
    Option{IPPROTO_TCP, TCP_MAXSEG},
    Option{IPPROTO_TCP, TCP_KEEPIDLE},
    Option{IPPROTO_TCP, TCP_KEEPINTVL},
    Option{IPPROTO_TCP, TCP_KEEPCNT},
    Option{IPPROTO_TCP, TCP_SYNCNT},
    Option{IPPROTO_TCP, TCP_LINGER2},
    Option{IPPROTO_TCP, TCP_WINDOW_CLAMP},
    Option{IPPROTO_TCP, TCP_QUICKACK},
    Option{IPPROTO_TCP, TCP_CONGESTION},
    Option{IPPROTO_TCP, TCP_USER_TIMEOUT},
    Option{IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS},
    Option{IPPROTO_TCP, TCP_NOTSENT_LOWAT},
    Option{IPPROTO_TCP, TCP_TX_DELAY},
};

constexpr std::array kOptionsOfStreams{
    Option{SOL_SOCKET, SO_RCVTIMEO},  Option{SOL_SOCKET, SO_SNDTIMEO},
    Option{SOL_SOCKET, SO_KEEPALIVE}, Option{SOL_SOCKET, SO_LINGER},
    Option{SOL_SOCKET, SO_RCVLOWAT},
};

// As the kernel tells it; `size` 0: it has none, or nothing to tell.
struct Value {
  alignas(int) std::array<std::byte, 64> bytes{};  // IP_OPTIONS are the longest: 40
  socklen_t size = 0;
};

Value value_of(int fd, const Option& option) {
  Value value;
  value.size = value.bytes.size();
  if (::getsockopt(fd, option.level, option.name, value.bytes.data(), &value.size) != 0) {
    value.size = 0;
  }
  return value;
}

bool is_same(const Value& one, const Value& other) {
  return one.size == other.size &&
         std::equal(one.bytes.begin(), one.bytes.end(), other.bytes.begin());
}

bool is_size_of_buffer(const Option& option) {
  return option.level == SOL_SOCKET && (option.name == SO_RCVBUF || option.name == SO_SNDBUF);
}

// A size that the program did not choose is the kernel's to change. Who chose it is not told before
// Linux 5.14.
bool is_size_chosen(int fd, const Option& size) {
  const int lock = size.name == SO_RCVBUF ? kReceiveBufferLock : kSendBufferLock;
  const int chosen = socket_option(fd, SO_BUF_LOCK);
  return chosen < 0 || (chosen & lock) != 0;
}

// What is told of the size of a buffer is twice what was asked for (socket(7)).
void halve(Value& value) {
  int size = 0;
  std::memcpy(&size, value.bytes.data(), sizeof size);
  size /= 2;
  std::memcpy(value.bytes.data(), &size, sizeof size);
}

// What differs is set, and nothing else: what the program never set may need a privilege. 0, or the
// errno of the first one that cannot be set.
int take_all(std::span<const Option> options, int from, int to) {
  int error = 0;
  for (const Option& option : options) {
    Value value = value_of(from, option);
    if (value.size == 0 || is_same(value, value_of(to, option))) continue;
    if (is_size_of_buffer(option)) {
      if (!is_size_chosen(from, option)) continue;
      halve(value);
    }
    const int set = ::setsockopt(to, option.level, option.name, value.bytes.data(), value.size);
    if (set != 0 && error == 0) error = errno;
  }
  return error;
}

void set_reuse(int fd, int is_reused) {
  static_cast<void>(::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &is_reused, sizeof is_reused));
}

struct Address {
  sockaddr_in6 bytes{};  // or a sockaddr_in: sin6_family tells
  socklen_t size = sizeof bytes;

  sockaddr* plain() { return reinterpret_cast<sockaddr*>(&bytes); }
};

// Two sockets may have one port where both have SO_REUSEADDR, and neither listens. 0, or an errno.
int bind_as(int fd, int twin) {
  Address address;
  if (::getsockname(fd, address.plain(), &address.size) != 0) return errno;
  const int is_reused = socket_option(fd, SO_REUSEADDR);
  set_reuse(fd, 1);
  set_reuse(twin, 1);
  const int error = ::bind(twin, address.plain(), address.size) == 0 ? 0 : errno;
  set_reuse(fd, is_reused);
  set_reuse(twin, is_reused);
  return error;
}

// SO_NETNS_COOKIE, which is told to who asks for its size exactly; 0: the kernel is older
// than 5.14.
std::uint64_t network_of(int fd) {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  const int asked = ::getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size);
  return asked == 0 ? cookie : 0;
}

Twin refuse(int error, std::string_view text) {
  return {.fd = {}, .error = error, .text = text};
}

}  // namespace

Twin make_twin(int fd, Binding binding) {
  const int protocol = socket_option(fd, SO_PROTOCOL);
  ktls::UniqueFd twin(
      ::socket(socket_option(fd, SO_DOMAIN), SOCK_STREAM | SOCK_CLOEXEC, std::max(protocol, 0)));
  if (!twin) return refuse(errno, {});
  if (network_of(fd) != network_of(twin.get())) {
    return refuse(ENETUNREACH, "its socket is of another network namespace than the process");
  }
  if (const int error = take_all(kOptions, fd, twin.get()); error != 0) {
    return refuse(error, "an option of its socket cannot be set on another one");
  }
  if (binding == Binding::kSame) {
    if (const int error = bind_as(fd, twin.get()); error != 0) {
      return refuse(error, "the address of its socket cannot be that of another one");
    }
  }
  return {.fd = std::move(twin), .error = 0, .text = {}};
}

bool is_bound(int fd) {
  Address address;
  if (::getsockname(fd, address.plain(), &address.size) != 0) return false;
  if (port_of(address.bytes) != 0) return true;
  if (address.bytes.sin6_family == AF_INET6) {
    return !IN6_IS_ADDR_UNSPECIFIED(&address.bytes.sin6_addr);
  }
  sockaddr_in ipv4{};
  std::memcpy(&ipv4, &address.bytes, sizeof ipv4);
  return ipv4.sin_addr.s_addr != INADDR_ANY;
}

void take_options(int tcp, int stream) {
  static_cast<void>(take_all(kOptionsOfStreams, tcp, stream));
}

void take_status(int from, int to) {
  constexpr int kTaken = O_NONBLOCK | O_ASYNC;
  f_owner_ex owner{};
  if (::fcntl(from, F_GETOWN_EX, &owner) == 0 && owner.pid != 0) {
    ::fcntl(to, F_SETOWN_EX, &owner);
    ::fcntl(to, F_SETSIG, ::fcntl(from, F_GETSIG));
  }
  ::fcntl(to, F_SETFL, (::fcntl(to, F_GETFL) & ~kTaken) | (::fcntl(from, F_GETFL) & kTaken));
}

}  // namespace preload
