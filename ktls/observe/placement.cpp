// Placement by sock_diag, and by socket options where it keeps silent.
#include "ktls/observe/placement.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "ktls/core/crypto_info.h"
#include "ktls/core/linux_tls.h"

namespace ktls {
namespace {

Result<std::string> read_ulp(Syscalls& syscalls, int fd) {
  std::array<char, kUlpNameMax> name{};
  socklen_t size = name.size();
  if (syscalls.getsockopt(fd, SOL_TCP, TCP_ULP, name.data(), &size) != 0) {
    return fail(Error::system(errno, "getsockopt(TCP_ULP)"));
  }
  return std::string(name.data(), ::strnlen(name.data(), size));
}

bool is_no_socket(const Error& error) {
  return error.sys_errno == EBADF || error.sys_errno == ENOTSOCK;
}

bool is_not_tcp(const Error& error) {
  return error.sys_errno == ENOPROTOOPT || error.sys_errno == EOPNOTSUPP;
}

ObservedPlace place_of(TlsConf conf) {
  switch (conf) {
    case TlsConf::kBase:
      return ObservedPlace::kUserspace;
    case TlsConf::kSoftware:
      return ObservedPlace::kKernel;
    case TlsConf::kDevice:
    case TlsConf::kRecord:
      return ObservedPlace::kNic;
  }
  return ObservedPlace::kUnknown;
}

SocketPlacement placement_of(const TlsInfo& info) {
  SocketPlacement placement{.transmit = place_of(info.transmit),
                            .receive = place_of(info.receive),
                            .version = info.version,
                            .cipher = info.cipher};
  if (placement.transmit == ObservedPlace::kUnknown ||
      placement.receive == ObservedPlace::kUnknown) {
    placement.unseen = Unseen::kConfUnknown;
  }
  return placement;
}

// Asked with the header's size alone, the kernel answers version and cipher, and no key.
ObservedPlace place_by_option(Syscalls& syscalls, int fd, int option, SocketPlacement& placement) {
  tls_crypto_info header{};
  socklen_t size = sizeof header;
  if (syscalls.getsockopt(fd, SOL_TLS, option, &header, &size) == 0) {
    placement.version = header.version;
    placement.cipher = header.cipher_type;
    return ObservedPlace::kKernelOrNic;
  }
  if (errno == EBUSY) return ObservedPlace::kUserspace;
  placement.unseen = Unseen::kOptionsRefused;
  placement.sys_errno = errno;
  return ObservedPlace::kUnknown;
}

SocketPlacement placement_by_options(Syscalls& syscalls, int fd, Unseen unseen, int sys_errno) {
  SocketPlacement placement;
  placement.transmit = place_by_option(syscalls, fd, TLS_TX, placement);
  placement.receive = place_by_option(syscalls, fd, TLS_RX, placement);
  // What sock_diag withheld matters only where there are keys, and less than what getsockopt did.
  if (placement.unseen == Unseen::kNothing && (placement.transmit == ObservedPlace::kKernelOrNic ||
                                               placement.receive == ObservedPlace::kKernelOrNic)) {
    placement.unseen = unseen;
    placement.sys_errno = sys_errno;
  }
  return placement;
}

}  // namespace

std::string_view name_of(ObservedPlace place) {
  switch (place) {
    case ObservedPlace::kUserspace:
      return "userspace";
    case ObservedPlace::kKernel:
      return "kernel";
    case ObservedPlace::kNic:
      return "nic";
    case ObservedPlace::kKernelOrNic:
      return "kernel-or-nic";
    case ObservedPlace::kUnknown:
      return "unknown";
  }
  return "unknown";
}

std::string_view name_of(Unseen unseen) {
  switch (unseen) {
    case Unseen::kNothing:
      return "none";
    case Unseen::kUlpInfoHidden:
      return "ulp_info_hidden";
    case Unseen::kNoSocketDiag:
      return "no_socket_diag";
    case Unseen::kOptionsRefused:
      return "options_refused";
    case Unseen::kConfUnknown:
      return "conf_unknown";
  }
  return "unknown";
}

Result<SocketPlacement> observe_placement(int fd, Syscalls& syscalls, SocketDiag& diag) {
  // First, as it is one cheap call, and most sockets carry no protocol.
  const auto ulp = read_ulp(syscalls, fd);
  if (!ulp && is_no_socket(ulp.error())) return fail(ulp.error());
  if ((ulp && *ulp != kUlpName) || (!ulp && is_not_tcp(ulp.error()))) return SocketPlacement{};

  const auto told = diag.ulp_info(fd);
  if (told && *told && (*told)->name != kUlpName) return SocketPlacement{};
  if (told && *told && (*told)->tls) return placement_of(*(*told)->tls);
  return told ? placement_by_options(syscalls, fd, Unseen::kUlpInfoHidden, 0)
              : placement_by_options(syscalls, fd, Unseen::kNoSocketDiag, told.error().sys_errno);
}

}  // namespace ktls
