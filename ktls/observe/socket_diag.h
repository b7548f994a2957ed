// What sock_diag says of one TCP socket: its upper-layer protocol, and whether anybody has it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "ktls/base/result.h"

namespace ktls {

// Who handles the records of one direction: TLS_CONF_* of linux/tls.h.
enum class TlsConf : std::uint16_t {
  kBase = 1,      // nobody here: no keys are installed
  kSoftware = 2,  // the kernel
  kDevice = 3,    // the network card, and the kernel for what the card leaves
  kRecord = 4,    // a card that terminates TCP as well
};

// What tls tells of itself. Version and cipher are numbers of linux/tls.h, 0 until there are keys;
// ciphers are among them that ktls::Cipher has not. Confs may have values that are not named above.
struct TlsInfo {
  std::uint16_t version = 0;
  std::uint16_t cipher = 0;
  TlsConf transmit = TlsConf::kBase;
  TlsConf receive = TlsConf::kBase;
};

//   name  of the protocol: "tls", "mptcp", ...
//   tls   only with "tls"
struct UlpInfo {
  std::string name;
  std::optional<TlsInfo> tls;
};

// The attributes that follow an inet_diag_msg. Nothing where they say nothing of a protocol: there
// is none, or the asker may not know. Error: kDecodeError.
// Source: linux/inet_diag.h, INET_DIAG_ULP_INFO; net/tls/tls_main.c, tls_get_info().
[[nodiscard]] Result<std::optional<UlpInfo>> decode_ulp_info(
    std::span<const std::uint8_t> attributes);

// Names one TCP socket for good, also when the descriptor that it was read from is closed.
// Addresses are IPv6 or IPv4 ones, and ports, in network order; `device`: that the socket is bound
// to, or 0.
struct SocketIdentity {
  std::uint16_t family = 0;
  std::uint16_t local_port = 0;
  std::uint16_t peer_port = 0;
  std::array<std::uint32_t, 4> local{};
  std::array<std::uint32_t, 4> peer{};
  std::uint32_t device = 0;
  std::uint64_t cookie = 0;
};
// Of a connected TCP socket. Error: kSystem.
[[nodiscard]] Result<SocketIdentity> identity_of(int fd);

// What there is to know of a socket that others have.
//   inode       as "socket:[INODE]" in /proc/PID/fd; 0: no process has it, and it lives on for what
//               is to be sent
//   bytes_sent  to the peer, retransmissions included
struct HeldSocket {
  std::uint32_t inode = 0;
  std::uint64_t bytes_sent = 0;
};
// Of that very socket; nothing once TCP has finished with it, as both sides have ended or one has
// reset it. A process that still has it may find in it what it has not read. Errors: kSystem,
// EOPNOTSUPP where it is in another network namespace than the calling thread, or there is no
// module tcp_diag, before it has ever been found: `was_found`; kDecodeError.
[[nodiscard]] Result<std::optional<HeldSocket>> find_held_socket(const SocketIdentity& identity,
                                                                 bool was_found);

class SocketDiag {
 public:
  virtual ~SocketDiag() = default;
  // Of the connected TCP socket `fd`, in the network namespace of the calling thread. Nothing where
  // sock_diag says nothing of a protocol. Errors: kSystem, ENOENT when no such socket is in that
  // namespace, or no module tcp_diag; kDecodeError.
  [[nodiscard]] virtual Result<std::optional<UlpInfo>> ulp_info(int fd) = 0;
};

// The kernel's, by netlink. Each question has a netlink socket of its own, so that threads and
// forks need not share one.
[[nodiscard]] SocketDiag& system_socket_diag();

}  // namespace ktls
