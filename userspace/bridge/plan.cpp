// The rules by which plan() decides, each with its reason code.

#include "userspace/bridge/plan.h"

namespace bridge {
namespace {

using ktls::Direction;
using ktls::Placement;
using ktls::Reason;

DirectionPlan plan_direction(const tls::Negotiated& negotiated, const ktls::Capability& capability,
                             OffloadPolicy policy, Direction direction) {
  const tls::CipherSuite& suite = *negotiated.suite;
  if (policy == OffloadPolicy::kNever) return {Placement::kUserspace, Reason::kPolicyNever};
  if (negotiated.version < tls::ProtocolVersion::kTls12) {
    return {Placement::kUserspace, Reason::kVersionNotInKernel};
  }
  if (!suite.bulk_cipher->kernel) return {Placement::kUserspace, Reason::kCipherNotInKernel};

  const bool is_tls13 = negotiated.version == tls::ProtocolVersion::kTls13;
  const auto version = is_tls13 ? ktls::Version::kTls13 : ktls::Version::kTls12;
  const Reason reason = capability.reason(*suite.bulk_cipher->kernel, version, direction);
  if (reason != Reason::kNone) return {Placement::kUserspace, reason};

  const bool needs_rekey =
      is_tls13 && (direction == Direction::kReceive || policy == OffloadPolicy::kRekeyable);
  if (needs_rekey && !capability.rekey && policy != OffloadPolicy::kRequireKernel) {
    return {Placement::kUserspace, Reason::kRekeyImpossible};
  }
  const bool is_limited = negotiated.fragment_size_max < tls::kPlaintextSizeMax;
  if (direction == Direction::kTransmit && is_limited && capability.payload_max_errno != 0) {
    return {Placement::kUserspace, Reason::kRecordSizeLimited};
  }
  return {Placement::kKernel, Reason::kNone};
}

}  // namespace

Plan plan(const tls::Negotiated& negotiated, const ktls::Capability& capability,
          OffloadPolicy policy) {
  return {.receive = plan_direction(negotiated, capability, policy, Direction::kReceive),
          .transmit = plan_direction(negotiated, capability, policy, Direction::kTransmit),
          .rekeys = capability.rekey,
          .expect_no_padding = capability.expect_no_padding,
          .zerocopy_transmit = capability.zerocopy_transmit};
}

}  // namespace bridge
