// plan(): decides where each direction of a connection shall run, and why; pure, before anything
// is touched.
#pragma once

#include <cstdint>

#include "ktls/core/capability.h"
#include "ktls/core/reason.h"
#include "userspace/handshake/negotiated.h"

namespace bridge {

enum class OffloadPolicy : std::uint8_t {
  kAuto,           // the kernel where it serves the connection well, userspace elsewhere
  kNever,          // userspace always
  kRequireKernel,  // both directions in the kernel, or the connection is refused
  kRekeyable,      // as kAuto, and sending in TLS 1.3 as receiving: no KeyUpdate ends a connection
};

// Where a direction runs; `reason` is kNone exactly when it is in the kernel.
struct DirectionPlan {
  ktls::Placement placement = ktls::Placement::kUserspace;
  ktls::Reason reason = ktls::Reason::kNone;

  [[nodiscard]] bool in_kernel() const { return placement != ktls::Placement::kUserspace; }
};

// What this kernel does with a direction that it has:
//   rekeys             changes its keys
//   expect_no_padding  decrypts TLS 1.3 straight into a receiver's buffer, if told to
//   zerocopy_transmit  hands pages of a file to a network card as they are, if told to
struct Plan {
  DirectionPlan receive;
  DirectionPlan transmit;
  bool rekeys = false;
  bool expect_no_padding = false;
  bool zerocopy_transmit = false;

  // kRequireKernel fails closed: every other policy takes what there is.
  [[nodiscard]] bool satisfies(OffloadPolicy policy) const {
    return policy != OffloadPolicy::kRequireKernel || (receive.in_kernel() && transmit.in_kernel());
  }
};

// TLS 1.3 receiving stays in userspace on a kernel that cannot change keys (a second install
// answers EBUSY), because one KeyUpdate of the peer would end the connection; kRequireKernel puts
// it there all the same. A peer that asked for smaller records than 2^14 bytes is sent to from
// userspace if the kernel knows that one size only (TLS_TX_MAX_PAYLOAD_LEN is newer than 6.18).
[[nodiscard]] Plan plan(const tls::Negotiated& negotiated, const ktls::Capability& capability,
                        OffloadPolicy policy);

}  // namespace bridge
