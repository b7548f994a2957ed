// probe(): on kernels with and without what it looks for, and at every errno.
#include "ktls/core/capability.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include <gtest/gtest.h>
#include <netinet/tcp.h>

#include "tests/support/fake_kernel.h"

namespace ktls {
namespace {

constexpr int kErrnoMax = 133;  // EHWPOISON, the last of asm-generic/errno.h

// Every trial's errno in one list, attach and the payload limit first.
std::vector<int> errnos_of(const Capability& capability) {
  std::vector<int> errnos{capability.attach_errno, capability.payload_max_errno};
  for (const auto& versions : capability.install_errno) {
    for (const auto& directions : versions) {
      errnos.insert(errnos.end(), directions.begin(), directions.end());
    }
  }
  return errnos;
}

// attach, the payload limit, and each cipher with each version in each direction.
constexpr std::size_t kTrialCount = 2 + kCipherCount * 2 * 2;
// What no kernel takes: two ciphers, with TLS 1.3, each way.
constexpr std::ptrdiff_t kRefusedTrialCount = 2 * 2;

// Those that neither succeeded nor were refused by the version.
std::ptrdiff_t failures_of(const Capability& capability) {
  const std::vector<int> errnos = errnos_of(capability);
  return std::ranges::count_if(errnos, [](int found) { return found != 0; }) - kRefusedTrialCount;
}

TEST(Probe, FindsEverythingOnAKernelThatHasIt) {
  FakeKernel kernel(FakeTraits::with_every_cipher());
  const Capability capability = probe(kernel);
  EXPECT_EQ(failures_of(capability), 0);
  EXPECT_EQ(std::ranges::count(errnos_of(capability), EINVAL), kRefusedTrialCount);
  for (const Cipher aria : {Cipher::kAria128Gcm, Cipher::kAria256Gcm}) {
    EXPECT_EQ(capability.install_error(aria, Version::kTls13, Direction::kReceive), EINVAL);
  }
  EXPECT_TRUE(capability.rekey);
  EXPECT_EQ(kernel.open_descriptors(), 0U);
}

TEST(Probe, TriesEachCipherVersionAndDirectionOnceAndOneRekey) {
  FakeKernel kernel(FakeTraits::with_every_cipher());
  static_cast<void>(probe(kernel));
  EXPECT_EQ(kernel.calls(FakeCall::kInstallReceive), 14U + 2U);
  EXPECT_EQ(kernel.calls(FakeCall::kInstallTransmit), 14U + 2U + 1U);
  EXPECT_EQ(kernel.calls(FakeCall::kSend), 2U) << "trial keys protect an alert and a known answer";
}

TEST(Probe, TriesNoCipherThatItWasNotAskedFor) {
  FakeKernel kernel;
  constexpr std::array kAsked{Cipher::kChaCha20Poly1305, Cipher::kAes128Ccm};
  const Capability capability = probe(kAsked, kernel);
  EXPECT_EQ(kernel.calls(FakeCall::kInstallReceive), 2U * 2U);
  EXPECT_TRUE(capability.rekey);
  EXPECT_FALSE(capability.expect_no_padding) << "the known answer is of AES-128-GCM";
  for (const CipherLayout& layout : cipher_layouts()) {
    const bool asked = std::ranges::find(kAsked, layout.cipher) != kAsked.end();
    EXPECT_EQ(capability.install_error(layout.cipher, Version::kTls12, Direction::kTransmit),
              asked ? 0 : EINVAL);
    EXPECT_EQ(capability.reason(layout.cipher, Version::kTls12, Direction::kTransmit),
              asked ? Reason::kNone : Reason::kInstallRefused);
  }
}

TEST(Probe, LooksForAMissingAeadOnce) {
  FakeKernel kernel;
  static_cast<void>(probe(kernel));
  EXPECT_EQ(kernel.calls(FakeCall::kInstallReceive), 8U + 4U + 2U);
  EXPECT_EQ(kernel.calls(FakeCall::kInstallTransmit), 8U + 2U + 1U);
}

TEST(Probe, FindsThatAnOlderKernelCannotRekey) {
  FakeKernel kernel(FakeTraits::without_rekey());
  const Capability capability = probe(kernel);
  EXPECT_FALSE(capability.rekey);
  EXPECT_EQ(capability.install_error(Cipher::kAes128Gcm, Version::kTls13, Direction::kReceive), 0);
}

TEST(Probe, FindsThatAnOlderKernelDoesNotLimitThePayload) {
  FakeKernel kernel(FakeTraits::without_rekey());
  EXPECT_EQ(probe(kernel).payload_max_errno, ENOPROTOOPT);
}

TEST(Probe, FindsAKernelThatWritesBehindARecordItDidNotExpect) {
  FakeKernel kernel(FakeTraits::without_rewind());
  EXPECT_FALSE(probe(kernel).expect_no_padding);
  FakeKernel other(FakeTraits::without_rekey());
  EXPECT_TRUE(probe(other).expect_no_padding);
}

TEST(Probe, FindsAKernelThatMisplacesWhatIsJoinedToAPaddedRecord) {
  FakeTraits traits;
  traits.rewinds_padded = false;
  FakeKernel kernel(traits);
  EXPECT_FALSE(probe(kernel).expect_no_padding);
}

TEST(Probe, ExpectsPaddingWhereAes128GcmCannotBeTried) {
  FakeTraits traits;
  traits.missing_aeads.insert(static_cast<std::uint16_t>(Cipher::kAes128Gcm));
  FakeKernel kernel(traits);
  const Capability capability = probe(kernel);
  EXPECT_TRUE(capability.rekey);
  EXPECT_FALSE(capability.expect_no_padding);
}

TEST(Probe, WaitsForItsRecordABoundedNumberOfTimes) {
  FakeKernel late;
  late.fail(FakeCall::kReceive, 1, EAGAIN);
  EXPECT_TRUE(probe(late).expect_no_padding);
  EXPECT_EQ(late.calls(FakeCall::kPoll), 1U);
  FakeKernel never;
  never.fail_always(FakeCall::kReceive, EAGAIN);
  EXPECT_FALSE(probe(never).expect_no_padding);
  EXPECT_EQ(never.calls(FakeCall::kPoll), 5U);
  FakeKernel forbidden;
  forbidden.fail_always(FakeCall::kReceive, EAGAIN);
  forbidden.fail_always(FakeCall::kPoll, EPERM);
  EXPECT_FALSE(probe(forbidden).expect_no_padding);
  EXPECT_EQ(forbidden.calls(FakeCall::kPoll), 1U);
}

TEST(Probe, StopsAtAKernelWithoutTls) {
  FakeKernel kernel(FakeTraits::without_tls());
  const Capability capability = probe(kernel);
  EXPECT_EQ(errnos_of(capability), std::vector<int>(kTrialCount, ENOENT));
  EXPECT_FALSE(capability.rekey || capability.zerocopy_transmit || capability.expect_no_padding);
  EXPECT_EQ(kernel.calls(FakeCall::kPair), 1U);
  EXPECT_EQ(capability.reason(Cipher::kAes128Gcm, Version::kTls13, Direction::kTransmit),
            Reason::kUlpUnavailable);
}

TEST(Probe, RecordsAMissingAeadWhereItIsMissingAndNowhereElse) {
  FakeTraits traits = FakeTraits::with_every_cipher();
  traits.missing_aeads.insert(static_cast<std::uint16_t>(Cipher::kChaCha20Poly1305));
  FakeKernel kernel(traits);
  const Capability capability = probe(kernel);
  for (const CipherLayout& layout : cipher_layouts()) {
    const bool missing = layout.cipher == Cipher::kChaCha20Poly1305;
    for (const Version version : {Version::kTls12, Version::kTls13}) {
      if (!layout.serves(version)) continue;
      for (const Direction direction : {Direction::kReceive, Direction::kTransmit}) {
        EXPECT_EQ(capability.install_error(layout.cipher, version, direction),
                  missing ? ENOENT : 0);
        EXPECT_EQ(capability.reason(layout.cipher, version, direction),
                  missing ? Reason::kCipherModuleMissing : Reason::kNone);
      }
    }
  }
  EXPECT_TRUE(capability.rekey);
}

TEST(Probe, FindsTheRekeyByAnyCipherThatWorks) {
  FakeTraits traits;
  for (const CipherLayout& layout : cipher_layouts()) {
    traits.missing_aeads.insert(static_cast<std::uint16_t>(layout.cipher));
  }
  traits.missing_aeads.erase(static_cast<std::uint16_t>(Cipher::kChaCha20Poly1305));
  FakeKernel kernel(traits);
  EXPECT_TRUE(probe(kernel).rekey);
  traits.missing_aeads.insert(static_cast<std::uint16_t>(Cipher::kChaCha20Poly1305));
  FakeKernel bare(traits);
  EXPECT_FALSE(probe(bare).rekey);
}

TEST(Probe, RecordsWhatCannotBeTriedAsTheErrnoOfAttach) {
  FakeKernel kernel;
  kernel.fail_always(FakeCall::kPair, EMFILE);
  const Capability capability = probe(kernel);
  EXPECT_EQ(errnos_of(capability), std::vector<int>(kTrialCount, EMFILE));
  EXPECT_EQ(capability.reason(Cipher::kAes256Gcm, Version::kTls12, Direction::kReceive),
            Reason::kUlpRefused);
}

TEST(Probe, RecordsASeccompProfileThatForbidsTheInstall) {
  FakeKernel kernel;
  kernel.fail_always(FakeCall::kInstallReceive, EPERM);
  const Capability capability = probe(kernel);
  EXPECT_EQ(capability.install_error(Cipher::kAes128Gcm, Version::kTls13, Direction::kReceive),
            EPERM);
  EXPECT_EQ(capability.reason(Cipher::kAes128Gcm, Version::kTls13, Direction::kReceive),
            Reason::kInstallRefused);
  EXPECT_EQ(capability.reason(Cipher::kAes128Gcm, Version::kTls13, Direction::kTransmit),
            Reason::kNone);
  EXPECT_TRUE(capability.rekey);
}

// The errno must show up in the answer, taint nothing that was not tried by the failing call, and
// leave no descriptor behind.
TEST(Probe, SurvivesEveryErrnoAtEveryCall) {
  FakeKernel untouched(FakeTraits::with_every_cipher());
  const std::vector<int> clean = errnos_of(probe(untouched));
  const std::size_t calls = untouched.calls(FakeCall::kAny);
  const std::size_t closes = untouched.calls(FakeCall::kClose);
  ASSERT_GT(calls, 40U);
  for (int sys_errno = 1; sys_errno <= kErrnoMax; ++sys_errno) {
    std::size_t unnoticed = 0;
    for (std::size_t nth = 1; nth <= calls; ++nth) {
      FakeKernel kernel(FakeTraits::with_every_cipher());
      kernel.fail(FakeCall::kAny, nth, sys_errno);
      const Capability capability = probe(kernel);
      ASSERT_EQ(kernel.open_descriptors(), 0U) << "call " << nth << " errno " << sys_errno;
      const std::vector<int> errnos = errnos_of(capability);
      for (std::size_t trial = 0; trial < errnos.size(); ++trial) {
        ASSERT_TRUE(errnos[trial] == clean[trial] || errnos[trial] == sys_errno) << errnos[trial];
      }
      const bool has_all =
          capability.rekey && capability.zerocopy_transmit && capability.expect_no_padding;
      if (errnos == clean && has_all) ++unnoticed;
    }
    // A failing close has closed; every other failure makes the answer worse, but for a send and
    // two receives that are made again.
    const std::size_t repeated = sys_errno == EINTR ? 3 : sys_errno == EAGAIN ? 2 : 0;
    ASSERT_EQ(unnoticed, closes + repeated) << "errno " << sys_errno;
  }
}

TEST(Probe, AgreesWithTheRunningKernelAboutTheProtocol) {
  // Asked in another way than probe() does, and on another pair.
  int fds[2] = {-1, -1};
  ASSERT_EQ(system_calls().tcp_pair(fds), 0);
  const int attached = system_calls().setsockopt(fds[0], SOL_TCP, TCP_ULP, "tls", 3);
  const int sys_errno = attached == 0 ? 0 : errno;
  system_calls().close(fds[0]);
  system_calls().close(fds[1]);

  const Capability capability = probe();
  EXPECT_EQ(capability.attach_errno, sys_errno);
  const Reason reason =
      capability.reason(Cipher::kAes128Gcm, Version::kTls13, Direction::kTransmit);
  EXPECT_EQ(reason == Reason::kUlpUnavailable, sys_errno == ENOENT);
}

}  // namespace
}  // namespace ktls
