// plan(): a table of what is asked for, what the kernel has, and where each direction goes.
#include "userspace/bridge/plan.h"

#include <cerrno>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace bridge {
namespace {

using ktls::Capability;
using ktls::Cipher;
using ktls::Direction;
using ktls::Placement;
using ktls::Reason;
using tls::CipherSuite;

constexpr DirectionPlan kInKernel = {Placement::kKernel, Reason::kNone};
constexpr DirectionPlan userspace(Reason reason) {
  return {Placement::kUserspace, reason};
}

tls::Negotiated negotiated(const CipherSuite& suite,
                           std::size_t fragment_size_max = tls::kPlaintextSizeMax,
                           tls::Role role = tls::Role::kServer) {
  return {.version = suite.version_max,
          .suite = &suite,
          .role = role,
          .resumed = false,
          .peer_name = {},
          .alpn = {},
          .fragment_size_max = fragment_size_max,
          .read = tls::ConnectionState::null(),
          .write = tls::ConnectionState::null(),
          .read_secret = {},
          .write_secret = {}};
}

constexpr bool kRekeys = true;
Capability everything(bool rekey) {
  Capability capability;
  capability.rekey = rekey;
  return capability;
}

Capability attach_fails(int sys_errno) {
  Capability capability;
  capability.attach_errno = sys_errno;
  for (auto& versions : capability.install_errno) {
    for (auto& directions : versions) directions.fill(sys_errno);
  }
  return capability;
}

std::size_t row_of(Cipher cipher) {
  for (std::size_t row = 0; row < ktls::kCipherCount; ++row) {
    if (ktls::cipher_layouts()[row].cipher == cipher) return row;
  }
  ADD_FAILURE() << "no such cipher";
  return 0;
}

// One trial of an otherwise able kernel failed.
Capability install_fails(const CipherSuite& suite, Direction direction, int sys_errno) {
  Capability capability = everything(kRekeys);
  const std::size_t version = suite.serves(tls::ProtocolVersion::kTls13) ? 1 : 0;
  const std::size_t column = direction == Direction::kReceive ? 0 : 1;
  capability.install_errno[row_of(*suite.bulk_cipher->kernel)][version][column] = sys_errno;
  return capability;
}

void expect_plan(const Plan& plan, const DirectionPlan& receive, const DirectionPlan& transmit) {
  EXPECT_EQ(plan.receive.placement, receive.placement);
  EXPECT_EQ(plan.receive.reason, receive.reason) << ktls::text_of(plan.receive.reason).code;
  EXPECT_EQ(plan.transmit.placement, transmit.placement);
  EXPECT_EQ(plan.transmit.reason, transmit.reason) << ktls::text_of(plan.transmit.reason).code;
}

class EverySuite : public testing::TestWithParam<const CipherSuite*> {
 protected:
  [[nodiscard]] static const CipherSuite& suite() { return *GetParam(); }
  [[nodiscard]] static bool is_tls13() { return suite().serves(tls::ProtocolVersion::kTls13); }
};
INSTANTIATE_TEST_SUITE_P(Plan, EverySuite, testing::ValuesIn(tls::handshake_suites()),
                         [](const auto& suite) { return std::string(suite.param->name); });

TEST_P(EverySuite, GoesToAKernelThatHasEverything) {
  for (const auto policy : {OffloadPolicy::kAuto, OffloadPolicy::kRequireKernel}) {
    for (const auto role : {tls::Role::kServer, tls::Role::kClient}) {
      const Plan made =
          plan(negotiated(suite(), tls::kPlaintextSizeMax, role), everything(kRekeys), policy);
      expect_plan(made, kInKernel, kInKernel);
      EXPECT_TRUE(made.satisfies(OffloadPolicy::kRequireKernel));
    }
  }
}

TEST_P(EverySuite, StaysInUserspaceWhenThePolicySaysSo) {
  const Plan made = plan(negotiated(suite()), everything(kRekeys), OffloadPolicy::kNever);
  expect_plan(made, userspace(Reason::kPolicyNever), userspace(Reason::kPolicyNever));
  EXPECT_TRUE(made.satisfies(OffloadPolicy::kNever));
}

TEST_P(EverySuite, ReceivesInUserspaceWhereAKeyUpdateWouldEndTheConnection) {
  const Plan made = plan(negotiated(suite()), everything(!kRekeys), OffloadPolicy::kAuto);
  const DirectionPlan receive = is_tls13() ? userspace(Reason::kRekeyImpossible) : kInKernel;
  expect_plan(made, receive, kInKernel);
  EXPECT_EQ(made.satisfies(OffloadPolicy::kRequireKernel), !is_tls13());
}

TEST_P(EverySuite, LeavesToTheKernelOnlyWhatAKeyUpdateCannotEndWhereThatIsThePolicy) {
  const Plan rekeyed = plan(negotiated(suite()), everything(kRekeys), OffloadPolicy::kRekeyable);
  expect_plan(rekeyed, kInKernel, kInKernel);
  const Plan made = plan(negotiated(suite()), everything(!kRekeys), OffloadPolicy::kRekeyable);
  const DirectionPlan each = is_tls13() ? userspace(Reason::kRekeyImpossible) : kInKernel;
  expect_plan(made, each, each);
}

TEST_P(EverySuite, ReceivesInAKernelThatCannotRekeyWhenTheKernelIsRequired) {
  const Plan made = plan(negotiated(suite()), everything(!kRekeys), OffloadPolicy::kRequireKernel);
  expect_plan(made, kInKernel, kInKernel);
}

TEST_P(EverySuite, SendsSmallRecordsFromAKernelThatTakesTheirSize) {
  for (const std::size_t size : {63, 512, 4096, 16383}) {
    const Plan made =
        plan(negotiated(suite(), size), everything(kRekeys), OffloadPolicy::kRequireKernel);
    expect_plan(made, kInKernel, kInKernel);
  }
}

TEST_P(EverySuite, SendsSmallRecordsFromUserspaceWhereTheKernelKnowsOneSizeOnly) {
  Capability one_size = everything(kRekeys);
  one_size.payload_max_errno = ENOPROTOOPT;
  for (const auto policy : {OffloadPolicy::kAuto, OffloadPolicy::kRequireKernel}) {
    for (const std::size_t size : {512, 4096, 16383}) {
      const Plan made = plan(negotiated(suite(), size), one_size, policy);
      expect_plan(made, kInKernel, userspace(Reason::kRecordSizeLimited));
      EXPECT_FALSE(made.satisfies(OffloadPolicy::kRequireKernel));
    }
  }
}

TEST_P(EverySuite, KeepsADirectionWhoseTrialFailedInUserspace) {
  struct Trial {
    int sys_errno;
    Reason reason;
  };
  for (const auto& [sys_errno, reason] :
       {Trial{ENOENT, Reason::kCipherModuleMissing}, Trial{EINVAL, Reason::kInstallRefused},
        Trial{EPERM, Reason::kInstallRefused}, Trial{EBUSY, Reason::kRekeyImpossible}}) {
    for (const auto policy : {OffloadPolicy::kAuto, OffloadPolicy::kRequireKernel}) {
      expect_plan(
          plan(negotiated(suite()), install_fails(suite(), Direction::kReceive, sys_errno), policy),
          userspace(reason), kInKernel);
      expect_plan(plan(negotiated(suite()), install_fails(suite(), Direction::kTransmit, sys_errno),
                       policy),
                  kInKernel, userspace(reason));
    }
  }
}

TEST_P(EverySuite, MindsOnlyTheTrialsOfItsOwnCipherAndVersion) {
  for (const CipherSuite* other : tls::handshake_suites()) {
    if (other->bulk_cipher == suite().bulk_cipher && other->version_max == suite().version_max) {
      continue;
    }
    expect_plan(plan(negotiated(suite()), install_fails(*other, Direction::kReceive, ENOENT),
                     OffloadPolicy::kAuto),
                kInKernel, kInKernel);
  }
}

TEST_P(EverySuite, SaysWhatTheKernelSaidToAttach) {
  struct Trial {
    int sys_errno;
    Reason reason;
  };
  for (const auto& [sys_errno, reason] :
       {Trial{ENOENT, Reason::kUlpUnavailable}, Trial{EPERM, Reason::kUlpRefused},
        Trial{EINVAL, Reason::kUlpRefused}, Trial{EEXIST, Reason::kOtherUlp},
        Trial{ENOTCONN, Reason::kNotEstablished}, Trial{ENOPROTOOPT, Reason::kNotTcp},
        Trial{EMFILE, Reason::kUlpRefused}}) {
    for (const auto policy : {OffloadPolicy::kAuto, OffloadPolicy::kRequireKernel}) {
      const Plan made = plan(negotiated(suite()), attach_fails(sys_errno), policy);
      expect_plan(made, userspace(reason), userspace(reason));
      EXPECT_FALSE(made.satisfies(OffloadPolicy::kRequireKernel));
      EXPECT_TRUE(made.satisfies(OffloadPolicy::kAuto));
    }
  }
}

TEST(Plan, StaysInUserspaceWithACipherThatTheKernelHasNoNumberFor) {
  tls::BulkCipher bulk_cipher = *tls::find_cipher_suite(0x1301)->bulk_cipher;
  bulk_cipher.kernel = std::nullopt;
  CipherSuite suite = *tls::find_cipher_suite(0x1301);
  suite.bulk_cipher = &bulk_cipher;
  const auto reason = userspace(Reason::kCipherNotInKernel);
  // That the kernel has no TLS at all would be true, too, but a module would not help.
  expect_plan(plan(negotiated(suite), attach_fails(ENOENT), OffloadPolicy::kAuto), reason, reason);
  expect_plan(plan(negotiated(suite), everything(kRekeys), OffloadPolicy::kRequireKernel), reason,
              reason);
  expect_plan(plan(negotiated(suite), everything(kRekeys), OffloadPolicy::kNever),
              userspace(Reason::kPolicyNever), userspace(Reason::kPolicyNever));
}

TEST(Plan, PassesTheKernelsOptionsOn) {
  const auto planned = [](const Capability& capability) {
    return plan(negotiated(*tls::find_cipher_suite(0x1301)), capability, OffloadPolicy::kAuto);
  };
  Capability capability;
  EXPECT_FALSE(planned(capability).zerocopy_transmit);
  capability.zerocopy_transmit = true;
  EXPECT_TRUE(planned(capability).zerocopy_transmit);
  EXPECT_FALSE(planned(capability).expect_no_padding);
  capability.expect_no_padding = true;
  EXPECT_TRUE(planned(capability).expect_no_padding);
}

TEST(Plan, SatisfiesARequiredKernelOnlyWithBothDirections) {
  const DirectionPlan out = userspace(Reason::kInstallRefused);
  const auto satisfied = [](const DirectionPlan& receive, const DirectionPlan& transmit) {
    return Plan{receive, transmit}.satisfies(OffloadPolicy::kRequireKernel);
  };
  EXPECT_TRUE(satisfied(kInKernel, kInKernel));
  EXPECT_FALSE(satisfied(out, kInKernel));
  EXPECT_FALSE(satisfied(kInKernel, out));
  EXPECT_FALSE(satisfied(out, out));
  EXPECT_TRUE((Plan{out, out}.satisfies(OffloadPolicy::kAuto)));
  EXPECT_TRUE((Plan{out, out}.satisfies(OffloadPolicy::kNever)));
}

}  // namespace
}  // namespace bridge
