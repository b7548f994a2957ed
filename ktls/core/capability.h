// Capability: what this kernel's TLS offers here and now, found by trying on a loopback pair,
// never by version number (distributions backport, containers refuse).
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "ktls/base/result.h"
#include "ktls/core/crypto_info.h"
#include "ktls/core/reason.h"
#include "ktls/core/syscalls.h"

namespace ktls {

// Errno of each trial, 0 where it succeeded. When attach failed nothing else could be tried, and
// every trial holds attach_errno. ENOENT for one direction and version of a cipher stands for all
// of them. What was not tried holds EINVAL: a version that the cipher does not serve, and ciphers
// that were not asked for.
struct Capability {
  int attach_errno = 0;
  int payload_max_errno = 0;  // of TLS_TX_MAX_PAYLOAD_LEN: ENOPROTOOPT before 6.19
  bool rekey = false;  // a second TLS_TX on a TLS 1.3 socket is taken (kernel 6.14 and later)
  bool zerocopy_transmit = false;  // TLS_TX_ZEROCOPY_RO is taken (5.19 and later)
  // TLS_RX_EXPECT_NO_PAD is taken (6.0 and later), and records that are not what was expected,
  // control records and padded ones, are received as they are without it, which they are not on
  // every kernel (not on 6.1.176 and 6.12.95). Tried with AES-128-GCM: false where that was not
  // asked for.
  bool expect_no_padding = false;
  // [index in cipher_layouts()][0 = TLS 1.2, 1 = TLS 1.3][0 = receive, 1 = transmit]
  std::array<std::array<std::array<int, 2>, 2>, kCipherCount> install_errno{};

  [[nodiscard]] int install_error(Cipher cipher, Version version, Direction direction) const;
  // kNone if the direction would go to the kernel, else why not.
  [[nodiscard]] Reason reason(Cipher cipher, Version version, Direction direction) const;
};

// Tries everything on throw-away pairs. Never fails: what cannot even be tried (no sockets left)
// is recorded as the errno of attach. Callers keep the answer: it takes some milliseconds, and ten
// times as many for each cipher that the kernel looks for in vain (modprobe, several times).
[[nodiscard]] Capability probe(Syscalls& syscalls = system_calls());
// The same for the ciphers that the caller will use, and so without looking for others.
[[nodiscard]] Capability probe(std::span<const Cipher> ciphers,
                               Syscalls& syscalls = system_calls());

}  // namespace ktls
