// Where the two directions of a live socket run, as the kernel tells it: in userspace, in the
// kernel, or on the network card.
#pragma once

#include <cstdint>
#include <string_view>

#include "ktls/base/result.h"
#include "ktls/core/syscalls.h"
#include "ktls/observe/socket_diag.h"

namespace ktls {

// Placement, and two ways of not knowing: what was planned is known, what is observed need not be.
enum class ObservedPlace : std::uint8_t {
  kUserspace,    // the kernel has no keys of this direction
  kKernel,       // the kernel seals or opens its records
  kNic,          // the network card does, and the kernel what the card leaves
  kKernelOrNic,  // the kernel has the keys; whether the card uses them was not told
  kUnknown,      // not even whether the kernel has keys was told
};
[[nodiscard]] std::string_view name_of(ObservedPlace place);  // "kernel-or-nic"

// Why a direction is kKernelOrNic or kUnknown.
enum class Unseen : std::uint8_t {
  kNothing,         // neither is
  kUlpInfoHidden,   // sock_diag knows the socket and keeps silent on TLS: 6.1 and 6.12 tell only
                    // who has CAP_NET_ADMIN
  kNoSocketDiag,    // sock_diag refused: not this network namespace, no module, seccomp
  kOptionsRefused,  // getsockopt refused
  kConfUnknown,     // sock_diag answered with a number that linux/tls.h does not have
};
[[nodiscard]] std::string_view name_of(Unseen unseen);  // "ulp_info_hidden"

//   version, cipher  numbers of linux/tls.h, as ktls::Version and ktls::Cipher have them; 0 where
//                    neither direction has keys. The cipher need not be one of ktls::Cipher.
//   sys_errno        of what was refused; 0 with kNothing, kUlpInfoHidden, kConfUnknown
struct SocketPlacement {
  ObservedPlace transmit = ObservedPlace::kUserspace;
  ObservedPlace receive = ObservedPlace::kUserspace;
  std::uint16_t version = 0;
  std::uint16_t cipher = 0;
  Unseen unseen = Unseen::kNothing;
  int sys_errno = 0;
};

// Asks, and changes nothing; no key leaves the kernel. A socket that is not TCP, or that carries
// another protocol than tls, has both directions in userspace. Error: kSystem, EBADF or ENOTSOCK.
[[nodiscard]] Result<SocketPlacement> observe_placement(int fd, Syscalls& syscalls = system_calls(),
                                                        SocketDiag& diag = system_socket_diag());

}  // namespace ktls
