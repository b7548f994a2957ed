#include "tools/preload/options.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <netinet/tcp.h>

#include "ktls/base/unique_fd.h"
#include "tools/preload/connecting.h"
#include "tools/preload/failing.h"
#include "tools/preload/remembered.h"

namespace preload {
namespace {

constexpr int kTlsLevel = 282;      // SOL_TLS: include/linux/socket.h
constexpr int kTcpEstablished = 1;  // include/net/tcp_states.h

bool is_of_tcp(int level) {
  return level == IPPROTO_TCP || level == IPPROTO_IP || level == IPPROTO_IPV6;
}

// As the kernel tells an option: cut off where there is less room.
int tell(const void* from, std::size_t size, void* to, socklen_t* room) {
  if (room == nullptr || to == nullptr) return fail_with(EFAULT);
  if (static_cast<int>(*room) < 0) return fail_with(EINVAL);
  *room = static_cast<socklen_t>(std::min<std::size_t>(*room, size));
  std::memcpy(to, from, *room);
  return 0;
}

int tell(int number, void* to, socklen_t* room) {
  return tell(&number, sizeof number, to, room);
}

// A socket as the relayed stream would be, to ask the kernel what it makes of an option.
ktls::UniqueFd make_example(const Wrapped& relayed) {
  const int family = relayed.local.sin6_family == AF_INET6 ? AF_INET6 : AF_INET;
  return ktls::UniqueFd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP));
}

void put_on(int tcp, const RememberedOption& option) {
  static_cast<void>(
      ::setsockopt(tcp, option.level, option.name, &option.value, sizeof option.value));
}

int ask_example(const Wrapped& relayed, int level, int name, void* value, socklen_t* size) {
  const ktls::UniqueFd example = make_example(relayed);
  if (!example) return fail_with(ENOBUFS);
  if (const RememberedOption* option = find_option(relayed, level, name); option != nullptr) {
    put_on(example.get(), *option);
  }
  return ::getsockopt(example.get(), level, name, value, size);
}

int ask_relayed(int fd, const Wrapped& relayed, int level, int name, void* value, socklen_t* size) {
  if (level == SOL_SOCKET && name == SO_DOMAIN) {
    return tell(static_cast<int>(relayed.local.sin6_family), value, size);
  }
  if (level == SOL_SOCKET && name == SO_PROTOCOL) return tell(IPPROTO_TCP, value, size);
  if (level == SOL_SOCKET && name == SO_PEERCRED) {
    // Who has the other end is the broker, and no peer: what Linux says of TCP.
    constexpr std::array<int, 3> kNobody{0, -1, -1};
    return tell(kNobody.data(), sizeof kNobody, value, size);
  }
  if (level == kTlsLevel) return fail_with(ENOPROTOOPT);
  if (!is_of_tcp(level)) return ::getsockopt(fd, level, name, value, size);
  if (level == IPPROTO_TCP && name == TCP_INFO) {
    tcp_info info{};
    info.tcpi_state = kTcpEstablished;
    return tell(&info, sizeof info, value, size);
  }
  return ask_example(relayed, level, name, value, size);
}

void remember(Wrapped& wrapped, int level, int name, const void* value, socklen_t size) {
  // A byte is a number to IP; structures and names are taken, and have no effect here.
  RememberedOption option{.level = level, .name = name};
  if (size == 1) {
    option.value = *static_cast<const unsigned char*>(value);
  } else if (size == sizeof option.value) {
    std::memcpy(&option.value, value, sizeof option.value);
  } else {
    return;
  }
  const Changing changing;
  remember_option(wrapped, option);
}

int set_relayed(int fd, Wrapped& relayed, int level, int name, const void* value, socklen_t size) {
  if (level == kTlsLevel) return fail_with(ENOPROTOOPT);
  if (level == IPPROTO_TCP && name == TCP_ULP) return fail_with(ENOENT);
  if (!is_of_tcp(level)) return ::setsockopt(fd, level, name, value, size);
  const ktls::UniqueFd example = make_example(relayed);
  if (!example) return fail_with(ENOBUFS);
  if (::setsockopt(example.get(), level, name, value, size) != 0) return -1;
  remember(relayed, level, name, value, size);
  return 0;
}

int fail_as_tls(int level, int name) {
  // The kernel would take other keys (from 6.14 on), and the broker would not know.
  return fail_with(level == IPPROTO_TCP && name == TCP_ULP ? EEXIST : EBUSY);
}

int socket_behind(int fd, const Wrapped& wrapped) {
  return wrapped.copy >= 0 ? wrapped.copy : fd;
}

int set_listener(int fd, const Wrapped& listener, int level, int name, const void* value,
                 socklen_t size) {
  if (::setsockopt(socket_behind(fd, listener), level, name, value, size) != 0) return -1;
  // Who accepts waits for the channel.
  const bool is_timeout = name == SO_RCVTIMEO || name == SO_RCVTIMEO_NEW;
  if (level == SOL_SOCKET && is_timeout) return ::setsockopt(fd, level, name, value, size);
  return 0;
}

}  // namespace

void remember_options_of(Wrapped& wrapped, int tcp) {
  constexpr std::array<std::array<int, 2>, 14> kOptions{{
      {IPPROTO_TCP, TCP_NODELAY},
      {IPPROTO_TCP, TCP_CORK},
      {IPPROTO_TCP, TCP_KEEPIDLE},
      {IPPROTO_TCP, TCP_KEEPINTVL},
      {IPPROTO_TCP, TCP_KEEPCNT},
      {IPPROTO_TCP, TCP_SYNCNT},
      {IPPROTO_TCP, TCP_LINGER2},
      {IPPROTO_TCP, TCP_USER_TIMEOUT},
      {IPPROTO_TCP, TCP_NOTSENT_LOWAT},
      {IPPROTO_IP, IP_TOS},
      {IPPROTO_IP, IP_TTL},
      {IPPROTO_IPV6, IPV6_TCLASS},
      {IPPROTO_IPV6, IPV6_UNICAST_HOPS},
      {IPPROTO_IPV6, IPV6_V6ONLY},
  }};
  const ErrnoKept kept;
  for (const auto& [level, name] : kOptions) {
    RememberedOption option{.level = level, .name = name};
    socklen_t size = sizeof option.value;
    if (::getsockopt(tcp, level, name, &option.value, &size) != 0) continue;
    if (size == sizeof option.value) remember_option(wrapped, option);
  }
}

void restore_delay(const Wrapped& wrapped, int tcp) {
  const ErrnoKept kept;
  const RememberedOption* const option = find_option(wrapped, IPPROTO_TCP, TCP_NODELAY);
  if (option != nullptr) put_on(tcp, *option);
}

int ask_option(int fd, Wrapped& wrapped, int level, int name, void* value, socklen_t* size) {
  if (kind_of(wrapped) == Kind::kPending) {
    const ErrnoKept kept;
    static_cast<void>(settle(wrapped));
  }
  const bool is_error = level == SOL_SOCKET && name == SO_ERROR;
  switch (kind_of(wrapped)) {
    case Kind::kInternal:
      return fail_with(EBADF);
    case Kind::kRelayed:
      return ask_relayed(fd, wrapped, level, name, value, size);
    case Kind::kPending:
      // How it ends is the broker's to say.
      if (is_error) return tell(0, value, size);
      return ::getsockopt(socket_behind(fd, wrapped), level, name, value, size);
    case Kind::kFailed:
      if (is_error) return tell(wrapped.error.exchange(0), value, size);
      return ::getsockopt(socket_behind(fd, wrapped), level, name, value, size);
    case Kind::kListener:
      return ::getsockopt(socket_behind(fd, wrapped), level, name, value, size);
    default:
      return ::getsockopt(fd, level, name, value, size);
  }
}

int set_option(int fd, Wrapped& wrapped, int level, int name, const void* value, socklen_t size) {
  if (kind_of(wrapped) == Kind::kPending) {
    const ErrnoKept kept;
    static_cast<void>(settle(wrapped));
  }
  if (kind_of(wrapped) == Kind::kInternal) return fail_with(EBADF);
  // What is sent without a copy cannot be sealed in place.
  if (level == SOL_SOCKET && name == SO_ZEROCOPY) return fail_with(EOPNOTSUPP);
  const bool is_tls = level == kTlsLevel || (level == IPPROTO_TCP && name == TCP_ULP);
  switch (kind_of(wrapped)) {
    case Kind::kRelayed:
      return set_relayed(fd, wrapped, level, name, value, size);
    case Kind::kListener:
      if (is_tls) return fail_as_tls(level, name);
      return set_listener(fd, wrapped, level, name, value, size);
    case Kind::kPending:
    case Kind::kFailed:
      if (is_tls) return fail_as_tls(level, name);
      if (::setsockopt(socket_behind(fd, wrapped), level, name, value, size) != 0) return -1;
      if (is_of_tcp(level)) remember(wrapped, level, name, value, size);
      return 0;
    case Kind::kDirect:
      if (is_tls) return fail_as_tls(level, name);
      [[fallthrough]];
    default:
      return ::setsockopt(fd, level, name, value, size);
  }
}

}  // namespace preload
