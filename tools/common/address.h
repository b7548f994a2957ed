// Address: where to listen or connect, as people write it: host:port, [v6]:port, unix:PATH.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <sys/socket.h>

#include "ktls/base/result.h"
#include "ktls/base/unique_fd.h"

namespace tools {

struct Address {
  // kDescriptor and kPassed are sockets that others have bound, to be listened on alone.
  enum class Kind : std::uint8_t { kTcp, kUnix, kDescriptor, kPassed };
  Kind kind = Kind::kTcp;
  std::string host;  // empty in ":8443": every address of this machine
  std::uint16_t port = 0;
  std::string path;     // kUnix; of kPassed the name, empty for all that were passed
  int descriptor = -1;  // kDescriptor

  [[nodiscard]] std::string text() const;  // as it would be written on the command line
  [[nodiscard]] bool is_inherited() const {
    return kind == Kind::kDescriptor || kind == Kind::kPassed;
  }
};

// A socket address ready for the system calls.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  bool v6_only = false;  // to listen on: the IPv4 addresses have a socket of their own

  [[nodiscard]] const sockaddr* data() const { return reinterpret_cast<const sockaddr*>(&storage); }
  [[nodiscard]] int family() const { return storage.ss_family; }
  [[nodiscard]] std::string text() const;  // "127.0.0.1:80", "[::1]:80", "unix:/run/x"; else "?"
  // Its parts: "127.0.0.1", "::1", "unix"; else "?". A unix address has port 0.
  [[nodiscard]] std::string host_text() const;
  [[nodiscard]] std::uint16_t port() const;
  void set_port(std::uint16_t port);  // of a unix address: nothing
};

// Error: kInvalidArgument, with what was expected.
[[nodiscard]] ktls::Result<Address> parse_address(std::string_view text);
// The same, or "fd:N", "systemd", "systemd:NAME".
[[nodiscard]] ktls::Result<Address> parse_listen_address(std::string_view text);

// All socket addresses of `address`, in the resolver's order. Error: kInvalidArgument with the
// resolver's words when the name is not known, or `address` is a socket that is bound already.
[[nodiscard]] ktls::Result<std::vector<SocketAddress>> resolve(const Address& address,
                                                               bool for_listening);

// A socket that is bound, and takes no connections. TCP sockets have SO_REUSEADDR and, if
// `shared_port`, SO_REUSEPORT, so that each thread has its own. A unix path that is left over from
// a dead process is replaced. Error: kSystem naming the address.
// `type`: SOCK_STREAM, or SOCK_SEQPACKET for a unix socket.
[[nodiscard]] ktls::Result<ktls::UniqueFd> bind_to(const SocketAddress& address, bool shared_port,
                                                   int type = SOCK_STREAM);

// The same, listening.
[[nodiscard]] ktls::Result<ktls::UniqueFd> listen_on(const SocketAddress& address,
                                                     bool shared_port);

// The address that a socket is bound to, with the port that the kernel chose for port 0.
[[nodiscard]] ktls::Result<SocketAddress> local_address(int fd);
[[nodiscard]] std::string local_text(int fd);

// Connects to the first of `addresses` that answers within `timeout`, blocking. Error: kSystem
// naming the last address tried.
[[nodiscard]] ktls::Result<ktls::UniqueFd> connect_within(
    const std::vector<SocketAddress>& addresses, std::chrono::milliseconds timeout);

// The peer's address of a connected socket; of no family where it has none any more.
[[nodiscard]] SocketAddress peer_address(int fd);
// The same as text: "127.0.0.1:40312", "unix:" for a nameless one.
[[nodiscard]] std::string peer_text(int fd);

}  // namespace tools
