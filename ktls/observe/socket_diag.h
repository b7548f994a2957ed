// SocketDiag: what sock_diag says of the upper-layer protocol of one TCP socket.
#pragma once

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
