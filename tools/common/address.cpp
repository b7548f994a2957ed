// Parsing, resolving and binding of addresses.

#include "tools/common/address.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <memory>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/un.h>

namespace tools {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;

constexpr std::string_view kUnixPrefix = "unix:";
constexpr std::string_view kDescriptorPrefix = "fd:";
constexpr std::string_view kPassed = "systemd";
constexpr std::string_view kNoAddress = "?";
constexpr std::string_view kExpected = "expected HOST:PORT, [IPV6]:PORT or unix:PATH";
// Handshakes are spread over threads by the kernel; a burst waits here instead of being refused.
constexpr int kListenBacklog = 1024;

Error malformed(std::string_view text, std::string_view why) {
  std::string detail = "address '";
  detail.append(text).append("': ").append(why).append("; ").append(kExpected);
  return Error::of(ErrorCode::kInvalidArgument, detail);
}

bool is_blank(char c) {
  return static_cast<unsigned char>(c) <= ' ' || c == 0x7f;
}

Result<SocketAddress> unix_socket_address(const std::string& path) {
  SocketAddress address;
  auto* sun = reinterpret_cast<sockaddr_un*>(&address.storage);
  if (path.size() >= sizeof sun->sun_path) {
    return ktls::fail(malformed(kUnixPrefix.data() + path, "path is longer than 107 bytes"));
  }
  sun->sun_family = AF_UNIX;
  std::memcpy(sun->sun_path, path.data(), path.size());
  address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return address;
}

Error cannot_listen(const SocketAddress& address, std::string_view call) {
  const int sys_errno = errno;  // the name of the address may need calls of its own
  return Error::system(sys_errno, "cannot listen on " + address.text() + ": " + std::string(call));
}

// A socket file nobody listens on would make bind() fail for ever after a crash. One that
// somebody answers on is left alone, and bind() reports it as in use.
void remove_stale_socket(const SocketAddress& address) {
  const auto* sun = reinterpret_cast<const sockaddr_un*>(&address.storage);
  struct stat status {};
  if (::lstat(sun->sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) return;
  // Not blocking: one that is too busy to answer is not dead either.
  const ktls::UniqueFd trial(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!trial) return;
  if (::connect(trial.get(), address.data(), address.size) != 0 && errno == ECONNREFUSED) {
    ::unlink(sun->sun_path);
  }
}

}  // namespace

std::string Address::text() const {
  if (kind == Kind::kUnix) return std::string(kUnixPrefix) + path;
  if (kind == Kind::kDescriptor) {
    return std::string(kDescriptorPrefix) + std::to_string(descriptor);
  }
  if (kind == Kind::kPassed) return std::string(kPassed) + (path.empty() ? "" : ":" + path);
  const bool is_v6 = host.find(':') != std::string::npos;
  std::string text = is_v6 ? "[" : "";
  text.append(host).append(is_v6 ? "]:" : ":").append(std::to_string(port));
  return text;
}

std::string SocketAddress::text() const {
  if (family() == AF_UNIX) {
    const auto* sun = reinterpret_cast<const sockaddr_un*>(&storage);
    constexpr std::size_t kPathOffset = offsetof(sockaddr_un, sun_path);
    if (size <= kPathOffset) return std::string(kUnixPrefix);
    if (sun->sun_path[0] == '\0') return "unix:@" + std::string(sun->sun_path + 1);
    return std::string(kUnixPrefix) + sun->sun_path;
  }
  std::string host = host_text();
  if (host == kNoAddress) return host;
  const bool is_v6 = family() == AF_INET6;
  return (is_v6 ? "[" + host + "]:" : host + ":") + std::to_string(port());
}

std::string SocketAddress::host_text() const {
  if (family() == AF_UNIX) return "unix";
  char host[NI_MAXHOST] = {};
  if (::getnameinfo(data(), size, host, sizeof host, nullptr, 0, NI_NUMERICHOST) != 0) {
    return std::string(kNoAddress);
  }
  return host;
}

std::uint16_t SocketAddress::port() const {
  switch (family()) {
    case AF_INET:
      return ntohs(reinterpret_cast<const sockaddr_in&>(storage).sin_port);
    case AF_INET6:
      return ntohs(reinterpret_cast<const sockaddr_in6&>(storage).sin6_port);
    default:
      return 0;
  }
}

void SocketAddress::set_port(std::uint16_t port) {
  if (family() == AF_INET) reinterpret_cast<sockaddr_in&>(storage).sin_port = htons(port);
  if (family() == AF_INET6) reinterpret_cast<sockaddr_in6&>(storage).sin6_port = htons(port);
}

Result<Address> parse_address(std::string_view text) {
  Address address;
  if (text.starts_with(kUnixPrefix)) {
    address.kind = Address::Kind::kUnix;
    address.path = text.substr(kUnixPrefix.size());
    if (address.path.empty()) return ktls::fail(malformed(text, "the path is empty"));
    KTLS_TRY(const SocketAddress checked, unix_socket_address(address.path));
    static_cast<void>(checked);
    return address;
  }
  // The colons within brackets are part of the host.
  const std::size_t bracket = text.starts_with('[') ? text.find(']') : 0;
  if (bracket == std::string_view::npos) return ktls::fail(malformed(text, "'[' without ']'"));
  const std::size_t colon = text.substr(bracket).rfind(':');
  if (colon == std::string_view::npos) return ktls::fail(malformed(text, "there is no port"));

  std::string_view host = text.substr(0, bracket + colon);
  const std::string_view port = text.substr(bracket + colon + 1);
  if (std::any_of(host.begin(), host.end(), is_blank)) {
    return ktls::fail(malformed(text, "the host holds a space or a control character"));
  }
  if (host.starts_with('[')) {
    if (!host.ends_with(']')) return ktls::fail(malformed(text, "']' without ':' after it"));
    host = host.substr(1, host.size() - 2);
    in6_addr ignored{};
    const std::string numeric(host.substr(0, host.find('%')));
    if (::inet_pton(AF_INET6, numeric.c_str(), &ignored) != 1) {
      return ktls::fail(malformed(text, "what is in brackets is not an IPv6 address"));
    }
  } else if (host.find(':') != std::string_view::npos) {
    return ktls::fail(malformed(text, "an IPv6 address needs brackets"));
  }
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (error != std::errc() || end != port.data() + port.size() || port.empty()) {
    return ktls::fail(malformed(text, "the port is not a number from 0 to 65535"));
  }
  address.host = host;
  return address;
}

Result<Address> parse_listen_address(std::string_view text) {
  Address address;
  if (text.starts_with(kDescriptorPrefix)) {
    address.kind = Address::Kind::kDescriptor;
    const std::string_view digits = text.substr(kDescriptorPrefix.size());
    const char* const last = digits.data() + digits.size();
    const auto [end, error] = std::from_chars(digits.data(), last, address.descriptor);
    const bool is_number = error == std::errc() && end == last && address.descriptor >= 0;
    if (!is_number) {
      return ktls::fail(Error::of(
          ErrorCode::kInvalidArgument,
          "address '" + std::string(text) + "': expected fd:N, N being an inherited descriptor"));
    }
    return address;
  }
  const bool has_name = text.starts_with(kPassed) && text.substr(kPassed.size()).starts_with(':');
  if (text != kPassed && !has_name) return parse_address(text);
  address.kind = Address::Kind::kPassed;
  if (has_name) address.path = text.substr(kPassed.size() + 1);
  if (has_name && address.path.empty()) {
    return ktls::fail(Error::of(
        ErrorCode::kInvalidArgument,
        "address '" + std::string(text) + "': expected the name of a socket after systemd:"));
  }
  return address;
}

Result<std::vector<SocketAddress>> resolve(const Address& address, bool for_listening) {
  if (address.is_inherited()) {
    return ktls::fail(Error::of(ErrorCode::kInvalidArgument,
                                address.text() + ": a socket, which is bound already"));
  }
  if (address.kind == Address::Kind::kUnix) {
    KTLS_TRY(const SocketAddress found, unix_socket_address(address.path));
    return std::vector<SocketAddress>{found};
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (for_listening ? AI_PASSIVE : 0);
  addrinfo* list = nullptr;
  const std::string port = std::to_string(address.port);
  const char* host = address.host.empty() ? nullptr : address.host.c_str();
  if (const int code = ::getaddrinfo(host, port.c_str(), &hints, &list); code != 0) {
    const char* why = code == EAI_SYSTEM ? std::strerror(errno) : ::gai_strerror(code);
    return ktls::fail(
        Error::of(ErrorCode::kInvalidArgument, "cannot resolve '" + address.text() + "': " + why));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(list, &::freeaddrinfo);
  std::vector<SocketAddress> found;
  for (const addrinfo* each = list; each != nullptr; each = each->ai_next) {
    SocketAddress& next = found.emplace_back();
    std::memcpy(&next.storage, each->ai_addr, each->ai_addrlen);
    next.size = each->ai_addrlen;
    // [::] takes the IPv4 addresses, too, which 0.0.0.0 in the same list would find in use.
    next.v6_only = for_listening && host == nullptr;
  }
  return found;
}

Result<ktls::UniqueFd> bind_to(const SocketAddress& address, bool shared_port, int type) {
  const auto failed = [&](std::string_view call) {
    return ktls::fail(cannot_listen(address, call));
  };
  ktls::UniqueFd fd(::socket(address.family(), type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return failed("socket");
  const int on = 1;
  if (address.family() == AF_UNIX) {
    remove_stale_socket(address);
  } else {
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (shared_port && ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) {
      return failed("SO_REUSEPORT");
    }
    if (address.v6_only && address.family() == AF_INET6) {
      ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    }
  }
  if (::bind(fd.get(), address.data(), address.size) != 0) return failed("bind");
  return fd;
}

Result<ktls::UniqueFd> listen_on(const SocketAddress& address, bool shared_port) {
  KTLS_TRY(ktls::UniqueFd fd, bind_to(address, shared_port));
  if (::listen(fd.get(), kListenBacklog) != 0) {
    return ktls::fail(cannot_listen(address, "listen"));
  }
  return fd;
}

Result<SocketAddress> local_address(int fd) {
  SocketAddress local;
  local.size = sizeof local.storage;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&local.storage), &local.size) != 0) {
    return ktls::fail(Error::system(errno, "getsockname"));
  }
  return local;
}

std::string local_text(int fd) {
  const auto local = local_address(fd);
  return local ? local->text() : "?";
}

Result<ktls::UniqueFd> connect_within(const std::vector<SocketAddress>& addresses,
                                      std::chrono::milliseconds timeout) {
  Error error = Error::of(ErrorCode::kInvalidArgument, "no address to connect to");
  for (const SocketAddress& address : addresses) {
    ktls::UniqueFd fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    int sys_errno = errno;
    if (fd && ::connect(fd.get(), address.data(), address.size) == 0) return fd;
    if (fd) sys_errno = errno;
    if (fd && sys_errno == EINPROGRESS) {
      pollfd wait{fd.get(), POLLOUT, 0};
      socklen_t size = sizeof sys_errno;
      sys_errno = ETIMEDOUT;
      if (::poll(&wait, 1, static_cast<int>(timeout.count())) > 0) {
        ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &sys_errno, &size);
        if (sys_errno == 0) return fd;
      }
    }
    error = Error::system(sys_errno, "cannot connect to " + address.text());
  }
  return ktls::fail(std::move(error));
}

SocketAddress peer_address(int fd) {
  SocketAddress peer;
  peer.size = sizeof peer.storage;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer.storage), &peer.size) != 0) return {};
  return peer;
}

std::string peer_text(int fd) {
  return peer_address(fd).text();
}

}  // namespace tools
