// probe(): on kernels with and without what it looks for, and at every errno.
#include "ktls/core/capability.h"

#include <cerrno>
#include <vector>

#include <gtest/gtest.h>
#include <netinet/tcp.h>

#include "tests/support/fake_kernel.h"

namespace ktls {
namespace {

constexpr int kErrnoMax = 133;  // EHWPOISON, the last of asm-generic/errno.h

// Every trial's errno in one list, attach first.
std::vector<int> errnos_of(const Capability& capability) {
  std::vector<int> errnos{capability.attach_errno};
  for (const auto& versions : capability.install_errno) {
    for (const auto& directions : versions) {
      errnos.insert(errnos.end(), directions.begin(), directions.end());
    }
  }
  return errnos;
}

TEST(Probe, FindsEverythingOnACurrentKernel) {
  FakeKernel kernel;
  const Capability capability = probe(kernel);
  EXPECT_EQ(errnos_of(capability), std::vector<int>(13, 0));
  EXPECT_TRUE(capability.rekey);
  EXPECT_EQ(kernel.open_descriptors(), 0U);
}

TEST(Probe, TriesEachCipherVersionAndDirectionOnceAndOneRekey) {
  FakeKernel kernel;
  static_cast<void>(probe(kernel));
  EXPECT_EQ(kernel.calls(FakeCall::kInstallReceive), 6U);
  EXPECT_EQ(kernel.calls(FakeCall::kInstallTransmit), 6U + 2U);
  EXPECT_EQ(kernel.calls(FakeCall::kSend), 0U) << "trial keys must not protect a byte";
}

TEST(Probe, FindsThatAnOlderKernelCannotRekey) {
  FakeKernel kernel(FakeTraits::without_rekey());
  const Capability capability = probe(kernel);
  EXPECT_FALSE(capability.rekey);
  EXPECT_EQ(errnos_of(capability), std::vector<int>(13, 0));
}

TEST(Probe, StopsAtAKernelWithoutTls) {
  FakeKernel kernel(FakeTraits::without_tls());
  const Capability capability = probe(kernel);
  EXPECT_EQ(errnos_of(capability), std::vector<int>(13, ENOENT));
  EXPECT_FALSE(capability.rekey);
  EXPECT_EQ(kernel.calls(FakeCall::kPair), 1U);
  EXPECT_EQ(capability.reason(Cipher::kAes128Gcm, Version::kTls13, Direction::kTransmit),
            Reason::kUlpUnavailable);
}

TEST(Probe, RecordsAMissingAeadWhereItIsMissingAndNowhereElse) {
  FakeTraits traits;
  traits.missing_aeads.insert(static_cast<std::uint16_t>(Cipher::kChaCha20Poly1305));
  FakeKernel kernel(traits);
  const Capability capability = probe(kernel);
  for (const CipherLayout& layout : cipher_layouts()) {
    const bool missing = layout.cipher == Cipher::kChaCha20Poly1305;
    for (const Version version : {Version::kTls12, Version::kTls13}) {
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
  traits.missing_aeads.insert(static_cast<std::uint16_t>(Cipher::kAes128Gcm));
  traits.missing_aeads.insert(static_cast<std::uint16_t>(Cipher::kAes256Gcm));
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
  EXPECT_EQ(errnos_of(capability), std::vector<int>(13, EMFILE));
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
  FakeKernel untouched;
  const std::vector<int> clean = errnos_of(probe(untouched));
  const std::size_t calls = untouched.calls(FakeCall::kAny);
  const std::size_t closes = untouched.calls(FakeCall::kClose);
  ASSERT_GT(calls, 40U);
  for (int sys_errno = 1; sys_errno <= kErrnoMax; ++sys_errno) {
    std::size_t unnoticed = 0;
    for (std::size_t nth = 1; nth <= calls; ++nth) {
      FakeKernel kernel;
      kernel.fail(FakeCall::kAny, nth, sys_errno);
      const Capability capability = probe(kernel);
      ASSERT_EQ(kernel.open_descriptors(), 0U) << "call " << nth << " errno " << sys_errno;
      const std::vector<int> errnos = errnos_of(capability);
      for (const int found : errnos) {
        ASSERT_TRUE(found == 0 || found == sys_errno) << found;
      }
      if (errnos == clean && capability.rekey) ++unnoticed;
    }
    // A failing close has closed; every other failure makes the answer worse.
    ASSERT_EQ(unnoticed, closes) << "errno " << sys_errno;
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
