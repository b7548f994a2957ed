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

// Of include/uapi/linux, and newer than the headers of libc.
constexpr int kIpLocalPortRange = 51;  // in.h: IP_LOCAL_PORT_RANGE
constexpr int kTcpRtoMaxMs = 44;       // tcp.h: TCP_RTO_MAX_MS
constexpr int kTcpRtoMinUs = 45;       // TCP_RTO_MIN_US
constexpr int kTcpDelackMaxUs = 46;    // TCP_DELACK_MAX_US
// socket.h: what SO_BUF_LOCK tells.
constexpr int kSendBufferLock = 1;
constexpr int kReceiveBufferLock = 2;

struct Option {
  int level;
  int name;
};

// What decides where packets go, and from where: without one of them a twin would be another
// socket. By its index a device is known also when it is gone; it comes behind what may be set
// before it only.
constexpr std::array kRoute{
    Option{SOL_SOCKET, SO_DONTROUTE},
    Option{IPPROTO_IP, IP_OPTIONS},
    Option{IPPROTO_IP, IP_UNICAST_IF},
    Option{IPPROTO_IP, IP_FREEBIND},
    Option{IPPROTO_IP, IP_TRANSPARENT},
    Option{IPPROTO_IPV6, IPV6_V6ONLY},
    Option{IPPROTO_IPV6, IPV6_UNICAST_IF},
    Option{IPPROTO_IPV6, IPV6_FREEBIND},
    Option{IPPROTO_IPV6, IPV6_TRANSPARENT},
    Option{SOL_SOCKET, SO_BINDTOIFINDEX},
    Option{SOL_SOCKET, SO_MARK},
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
    Option{SOL_SOCKET, SO_REUSEADDR},
    Option{SOL_SOCKET, SO_REUSEPORT},
    Option{SOL_SOCKET, SO_BUSY_POLL},
    Option{SOL_SOCKET, SO_PREFER_BUSY_POLL},
    Option{SOL_SOCKET, SO_BUSY_POLL_BUDGET},
    Option{SOL_SOCKET, SO_MAX_PACING_RATE},
    Option{SOL_SOCKET, SO_TXREHASH},
    Option{IPPROTO_IP, IP_TOS},
    Option{IPPROTO_IP, IP_TTL},
    Option{IPPROTO_IP, IP_MINTTL},
    Option{IPPROTO_IP, IP_MTU_DISCOVER},
    Option{IPPROTO_IP, IP_RECVERR},
    Option{IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT},
    Option{IPPROTO_IP, kIpLocalPortRange},
    Option{IPPROTO_IPV6, IPV6_TCLASS},
    Option{IPPROTO_IPV6, IPV6_UNICAST_HOPS},
    Option{IPPROTO_IPV6, IPV6_MINHOPCOUNT},
    Option{IPPROTO_IPV6, IPV6_MTU_DISCOVER},
    Option{IPPROTO_IPV6, IPV6_RECVERR},
    Option{IPPROTO_IPV6, IPV6_AUTOFLOWLABEL},
    Option{IPPROTO_IPV6, IPV6_ADDR_PREFERENCES},
    Option{SOL_SOCKET, SO_PRIORITY},
    Option{IPPROTO_TCP, TCP_NODELAY},
    Option{IPPROTO_TCP, TCP_CORK},
    Option{IPPROTO_TCP, TCP_KEEPIDLE},
    Option{IPPROTO_TCP, TCP_KEEPINTVL},
    Option{IPPROTO_TCP, TCP_KEEPCNT},
    Option{IPPROTO_TCP, TCP_SYNCNT},
    Option{IPPROTO_TCP, TCP_LINGER2},
    Option{IPPROTO_TCP, TCP_CONGESTION},
    Option{IPPROTO_TCP, TCP_USER_TIMEOUT},
    Option{IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS},
    Option{IPPROTO_TCP, TCP_NOTSENT_LOWAT},
    Option{IPPROTO_TCP, TCP_TX_DELAY},
    Option{IPPROTO_TCP, kTcpRtoMaxMs},
    Option{IPPROTO_TCP, kTcpRtoMinUs},
    Option{IPPROTO_TCP, kTcpDelackMaxUs},
};

// Of these the kernel tells what it has found out itself once a socket has been connected.
constexpr std::array kOptionsBeforeConnection{
    Option{SOL_SOCKET, SO_INCOMING_CPU},
    Option{IPPROTO_TCP, TCP_MAXSEG},
    Option{IPPROTO_TCP, TCP_WINDOW_CLAMP},
    Option{IPPROTO_TCP, TCP_QUICKACK},
};

constexpr std::array kOptionsOfStreams{
    Option{SOL_SOCKET, SO_RCVTIMEO},  Option{SOL_SOCKET, SO_SNDTIMEO},
    Option{SOL_SOCKET, SO_KEEPALIVE}, Option{SOL_SOCKET, SO_LINGER},
    Option{SOL_SOCKET, SO_RCVLOWAT},
};

// As the kernel tells it.
struct Value {
  alignas(int) std::array<std::byte, 64> bytes{};  // IP_OPTIONS are the longest: 40
  socklen_t size = 0;                              // 0: there is nothing to tell
  int error = 0;
};

Value value_of(int fd, const Option& option) {
  Value value;
  socklen_t size = value.bytes.size();
  if (::getsockopt(fd, option.level, option.name, value.bytes.data(), &size) == 0) {
    value.size = size;
  } else if (errno != ENOPROTOOPT && errno != EOPNOTSUPP) {
    value.error = errno;
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
// errno of the first one that cannot be had.
int take_all(std::span<const Option> options, int from, int to) {
  int error = 0;
  for (const Option& option : options) {
    Value value = value_of(from, option);
    if (error == 0) error = value.error;
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

bool is_any(const Address& address) {
  if (address.bytes.sin6_family == AF_INET6) {
    return IN6_IS_ADDR_UNSPECIFIED(&address.bytes.sin6_addr);
  }
  sockaddr_in ipv4{};
  std::memcpy(&ipv4, &address.bytes, sizeof ipv4);
  return ipv4.sin_addr.s_addr == htonl(INADDR_ANY);
}

int bind_to(int fd, Address& address) {
  return ::bind(fd, address.plain(), address.size) == 0 ? 0 : errno;
}

// Two sockets may have one port where both have SO_REUSEADDR, and neither listens.
int share_port(int fd, int twin, Address& address) {
  const int is_reused = socket_option(fd, SO_REUSEADDR);
  set_reuse(fd, 1);
  set_reuse(twin, 1);
  const int error = bind_to(twin, address);
  set_reuse(fd, is_reused);
  set_reuse(twin, is_reused);
  return error;
}

// 0, or an errno.
int bind_as(int fd, int twin, Binding binding) {
  Address address;
  if (binding == Binding::kNone) return 0;
  if (::getsockname(fd, address.plain(), &address.size) != 0) return errno;
  if (binding == Binding::kSame && port_of(address.bytes) != 0) {
    const int error = share_port(fd, twin, address);
    if (error != EADDRINUSE) return error;
    // A socket tells a port also when it has lost it, by a connection that came to nothing: who has
    // one cannot be bound again, and who has not finds it in use.
    if (bind_to(fd, address) != EADDRINUSE) return error;
  }
  address.bytes.sin6_port = 0;  // where a sockaddr_in has it as well
  return is_any(address) ? 0 : bind_to(twin, address);
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
  if (const int error = take_all(kRoute, fd, twin.get()); error != 0) {
    return refuse(error, "an option of its socket cannot be set on another one");
  }
  static_cast<void>(take_all(kOptions, fd, twin.get()));
  if (binding == Binding::kSame) {
    static_cast<void>(take_all(kOptionsBeforeConnection, fd, twin.get()));
  }
  if (const int error = bind_as(fd, twin.get(), binding); error != 0) {
    return refuse(error, "the address of its socket cannot be that of another one");
  }
  return {.fd = std::move(twin), .error = 0, .text = {}};
}

bool has_address(int fd) {
  Address address;
  return ::getsockname(fd, address.plain(), &address.size) == 0 && !is_any(address);
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
