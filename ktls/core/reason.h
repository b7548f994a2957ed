// Reason: why a direction is not in the kernel, as a stable code, one sentence, and what would
// change it. The codes are an interface: they stand in logs and scripts, and are never renamed.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "ktls/base/result.h"

namespace ktls {

enum class Placement : std::uint8_t { kUserspace, kKernel, kNic };
[[nodiscard]] std::string_view name_of(Placement placement);  // "userspace", "kernel", "nic"

enum class Reason : std::uint8_t {
  kNone,                 // the direction is in the kernel
  kPolicyNever,          // --offload never
  kUlpUnavailable,       // TCP_ULP "tls" answers ENOENT: no tls module, or no right to load it
  kUlpRefused,           // TCP_ULP refused otherwise (EPERM by seccomp, EINVAL by a psock)
  kOtherUlp,             // the socket carries another upper-layer protocol
  kNotTcp,               // not a TCP socket: kernel TLS exists on TCP only
  kNotEstablished,       // ENOTCONN: the peer has closed already
  kVersionNotInKernel,   // a TLS version that the kernel does not do
  kCipherNotInKernel,    // a cipher that linux/tls.h has no number for
  kCipherModuleMissing,  // ENOENT at install: the kernel has no such AEAD
  kInstallRefused,       // another errno at install
  kRekeyImpossible,      // this kernel cannot change keys (EBUSY)
  kSequenceUnknown,      // the record count of the handshake is in doubt
  kPipeLimit,            // no pipe large enough: the direction is read and written
  kRecordSizeLimited,    // the peer asked for smaller records than the kernel makes
  kKeyBudgetSpent,       // the key sealed as many records as it may, and cannot be changed
  kKeyMissing,           // the kernel waits for a receive key: its KeyUpdate went elsewhere
  kKeyUpdateFlood,       // the peer changes its key too often
  kHoldersHidden,        // whoever is to have the socket cannot be held while its key is changed
  kSecretsLost,          // the key has to be changed, and whoever had its secrets is gone
};

struct ReasonText {
  Reason reason;
  std::string_view code;      // "ulp_unavailable"
  std::string_view sentence;  // one sentence, no full stop
  std::string_view remedy;    // what the operator can do, or why nothing helps
};

// One row for each Reason, in their order.
[[nodiscard]] std::span<const ReasonText> reason_texts();
[[nodiscard]] const ReasonText& text_of(Reason reason);

// The reason that an errno of setsockopt(TCP_ULP) or of TLS_TX / TLS_RX stands for.
[[nodiscard]] Reason reason_of_attach(int sys_errno);
[[nodiscard]] Reason reason_of_install(int sys_errno);

}  // namespace ktls
