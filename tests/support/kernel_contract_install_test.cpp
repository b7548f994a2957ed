// KernelContract: attaching, installing and changing keys.
#include <cerrno>
#include <cstring>

#include "ktls/core/capability.h"
#include "ktls/core/linux_tls.h"
#include "tests/support/kernel_contract.h"

namespace ktls {
namespace {

int errno_of(const Result<void>& result) {
  return result ? 0 : result.error().sys_errno;
}

CryptoInfo any_info(std::uint64_t sequence = 0, std::uint8_t shift = 0) {
  return contract_info(Cipher::kAes128Gcm, Version::kTls13, sequence, shift);
}

// The structure with one of its leading words changed.
Bytes with_word(std::size_t offset, std::uint16_t word) {
  const CryptoInfo info = any_info();
  Bytes bytes(info.bytes().begin(), info.bytes().end());
  std::memcpy(bytes.data() + offset, &word, sizeof word);
  return bytes;
}

TEST_P(KernelContract, AttachesToAnEstablishedSocketOnceAndAgain) {
  const Pair pair = connected_pair();
  EXPECT_EQ(errno_of(socket(pair.sender).attach()), 0);
  EXPECT_EQ(errno_of(socket(pair.sender).attach()), 0);
}

TEST_P(KernelContract, AnswersEexistToASecondTcpUlp) {
  const Pair pair = attached_pair();
  EXPECT_EQ(syscalls().setsockopt(pair.sender, SOL_TCP, TCP_ULP, kUlpName, sizeof kUlpName), -1);
  EXPECT_EQ(errno, EEXIST);
}

TEST_P(KernelContract, NamesTheProtocolThatIsAttached) {
  const Pair pair = connected_pair();
  char name[kUlpNameMax] = {};
  socklen_t size = sizeof name;
  ASSERT_EQ(syscalls().getsockopt(pair.sender, SOL_TCP, TCP_ULP, name, &size), 0);
  EXPECT_EQ(size, 0U);
  ASSERT_EQ(errno_of(socket(pair.sender).attach()), 0);
  size = sizeof name;
  ASSERT_EQ(syscalls().getsockopt(pair.sender, SOL_TCP, TCP_ULP, name, &size), 0);
  EXPECT_STREQ(name, kUlpName);
  EXPECT_EQ(size, sizeof name);
}

TEST_P(KernelContract, SaysOfEachDirectionWhetherItHasKeys) {
  const Pair pair = connected_pair();
  TlsSocket sender = socket(pair.sender);
  EXPECT_FALSE(sender.has_keys(Direction::kTransmit).value());
  ASSERT_EQ(errno_of(sender.attach()), 0);
  EXPECT_FALSE(sender.has_keys(Direction::kTransmit).value());
  ASSERT_EQ(errno_of(sender.install(Direction::kTransmit, any_info())), 0);
  EXPECT_TRUE(sender.has_keys(Direction::kTransmit).value());
  EXPECT_FALSE(sender.has_keys(Direction::kReceive).value());
  EXPECT_FALSE(socket(-1).has_keys(Direction::kTransmit).has_value());
}

TEST_P(KernelContract, AnswersEnoentToAnUnknownProtocol) {
  const Pair pair = connected_pair();
  EXPECT_EQ(syscalls().setsockopt(pair.sender, SOL_TCP, TCP_ULP, "nosuch", 7), -1);
  EXPECT_EQ(errno, ENOENT);
}

TEST_P(KernelContract, AnswersEnotconnWhereNothingIsEstablished) {
  EXPECT_EQ(errno_of(socket(own(kernel().tcp_socket())).attach()), ENOTCONN);
  EXPECT_EQ(errno_of(socket(own(kernel().listening_socket())).attach()), ENOTCONN);
}

TEST_P(KernelContract, AnswersEnotconnOnceThePeerHasFinished) {
  const Pair pair = connected_pair();
  kernel().shutdown_write(pair.sender);
  Bytes buffer(1);
  EXPECT_EQ(plain_receive(pair.receiver, buffer), 0);
  EXPECT_EQ(errno_of(socket(pair.receiver).attach()), ENOTCONN);
}

TEST_P(KernelContract, AnswersEnoprotooptOnUdp) {
  EXPECT_EQ(errno_of(socket(own(kernel().udp_socket())).attach()), ENOPROTOOPT);
}

TEST_P(KernelContract, AttachesToNothingButPlainTcp) {
  const auto attach_errno = [this](int fd) { return errno_of(socket(own(fd)).attach()); };
  int pipe[2] = {-1, -1};
  ASSERT_EQ(kernel().pipe(pipe), 0);
  EXPECT_EQ(attach_errno(pipe[0]), ENOTSOCK);
  EXPECT_EQ(attach_errno(pipe[1]), ENOTSOCK);
  EXPECT_EQ(attach_errno(kernel().unix_socket()), EOPNOTSUPP);
  if (const int mptcp = kernel().mptcp_socket(); mptcp >= 0) {
    EXPECT_EQ(attach_errno(mptcp), ENOPROTOOPT);
  }
}

TEST_P(KernelContract, NeitherListensNorDisconnectsOnceAttached) {
  const Pair pair = attached_pair();
  EXPECT_EQ(kernel().listen(pair.sender), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(kernel().disconnect(pair.sender), -1);
  EXPECT_EQ(errno, EOPNOTSUPP);
  const Pair plain = connected_pair();
  EXPECT_EQ(kernel().disconnect(plain.sender), 0);
}

TEST_P(KernelContract, AnswersEfaultToAWildPointer) {
  const Pair pair = attached_pair();
  const std::size_t size = any_info().bytes().size();
  for (const Direction direction : {Direction::kReceive, Direction::kTransmit}) {
    EXPECT_EQ(install_errno(pair.sender, direction, kernel().wild_pointer(), size), EFAULT);
    EXPECT_EQ(errno_of(socket(pair.sender).install(direction, any_info())), 0);
  }
}

TEST_P(KernelContract, KnowsNoTlsOptionBeforeAttach) {
  const Pair pair = connected_pair();
  EXPECT_EQ(errno_of(socket(pair.sender).install(Direction::kTransmit, any_info())), ENOPROTOOPT);
  const auto sequence = socket(pair.sender).sequence(Direction::kTransmit, Cipher::kAes128Gcm);
  ASSERT_FALSE(sequence.has_value());
  EXPECT_EQ(sequence.error().sys_errno, EOPNOTSUPP);
}

TEST_P(KernelContract, RefusesAStructureOfTheWrongLength) {
  const Pair pair = attached_pair();
  const CryptoInfo info = any_info();
  Bytes padded(info.bytes().begin(), info.bytes().end());
  padded.push_back(0);
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{3}, std::size_t{4}, padded.size() - 2, padded.size()}) {
    for (const Direction direction : {Direction::kReceive, Direction::kTransmit}) {
      EXPECT_EQ(install_errno(pair.sender, direction, padded.data(), size), EINVAL) << size;
    }
  }
  EXPECT_EQ(install_errno(pair.sender, Direction::kTransmit, nullptr, padded.size() - 1), EINVAL);
  EXPECT_EQ(errno_of(socket(pair.sender).install(Direction::kTransmit, info)), 0)
      << "a refusal must leave the direction as it was";
}

TEST_P(KernelContract, RefusesVersionsAndCiphersWithoutANumber) {
  const Pair pair = attached_pair();
  for (const int version : {0x0300, 0x0301, 0x0302, 0x0305}) {
    const Bytes bytes = with_word(0, static_cast<std::uint16_t>(version));
    EXPECT_EQ(install_errno(pair.sender, Direction::kTransmit, bytes.data(), bytes.size()), EINVAL);
  }
  const Bytes unknown = with_word(2, 50);
  EXPECT_EQ(install_errno(pair.sender, Direction::kReceive, unknown.data(), unknown.size()),
            EINVAL);
  const Bytes beyond = with_word(2, 59);
  EXPECT_EQ(install_errno(pair.sender, Direction::kReceive, beyond.data(), beyond.size()), EINVAL);
}

TEST_P(KernelContract, RefusesAriaWithTls13) {
  const Pair pair = attached_pair();
  for (const Cipher aria : {Cipher::kAria128Gcm, Cipher::kAria256Gcm}) {
    const CryptoInfo info = contract_info(aria, Version::kTls12);
    Bytes bytes(info.bytes().begin(), info.bytes().end());
    constexpr auto kVersion = static_cast<std::uint16_t>(Version::kTls13);
    std::memcpy(bytes.data(), &kVersion, sizeof kVersion);
    for (const Direction direction : {Direction::kReceive, Direction::kTransmit}) {
      EXPECT_EQ(install_errno(pair.sender, direction, bytes.data(), bytes.size()), EINVAL);
    }
  }
}

TEST_P(KernelContract, AnswersEnoentForACipherThatIsANumberOnlyAndKeepsTheDirectionFree) {
  for (const Suite& suite : all_suites()) {
    if (kernel().has_aead(suite.cipher)) continue;
    SCOPED_TRACE(name_of(suite));
    const Pair pair = attached_pair();
    const CryptoInfo info = contract_info(suite.cipher, suite.version);
    for (const Direction direction : {Direction::kReceive, Direction::kTransmit}) {
      const int sys_errno = errno_of(socket(pair.sender).install(direction, info));
      EXPECT_EQ(sys_errno, ENOENT);
      EXPECT_EQ(reason_of_install(sys_errno), Reason::kCipherModuleMissing);
    }
    for (const Direction direction : {Direction::kReceive, Direction::kTransmit}) {
      EXPECT_EQ(errno_of(socket(pair.sender).install(direction, any_info())), 0);
    }
  }
}

TEST_P(KernelContract, RefusesAnotherVersionOrCipherInTheOtherDirection) {
  const Pair pair = attached_pair();
  ASSERT_EQ(errno_of(socket(pair.sender).install(Direction::kTransmit, any_info())), 0);
  for (const Suite& other : all_suites()) {
    if (other.cipher == Cipher::kAes128Gcm && other.version == Version::kTls13) continue;
    const CryptoInfo info = contract_info(other.cipher, other.version);
    EXPECT_EQ(errno_of(socket(pair.sender).install(Direction::kReceive, info)), EINVAL)
        << name_of(other);
  }
  EXPECT_EQ(errno_of(socket(pair.sender).install(Direction::kReceive, any_info())), 0);
}

TEST_P(KernelContract, AnswersEbusyToASecondInstallOfTls12AndKeepsTheFirst) {
  for (const Suite& suite : suites()) {
    if (suite.version != Version::kTls12) continue;
    SCOPED_TRACE(name_of(suite));
    const Pair pair = installed_pair(suite.cipher, suite.version);
    const CryptoInfo other = contract_info(suite.cipher, suite.version, 0, 1);
    EXPECT_EQ(errno_of(socket(pair.sender).install(Direction::kTransmit, other)), EBUSY);
    EXPECT_EQ(errno_of(socket(pair.receiver).install(Direction::kReceive, other)), EBUSY);
    send_all(pair.sender, kTypeApplicationData, bytes_of("old key"));
    expect_record(pair.receiver, kTypeApplicationData, bytes_of("old key"));
  }
}

TEST_P(KernelContract, ChangesTls13KeysExactlyWhenTheKernelCanRekey) {
  for (const Suite& suite : suites()) {
    if (suite.version != Version::kTls13) continue;
    SCOPED_TRACE(name_of(suite));
    const Pair pair = installed_pair(suite.cipher, suite.version, 7);
    const CryptoInfo next = contract_info(suite.cipher, suite.version, 0, 1);
    const int expected = kernel().rekeys() ? 0 : EBUSY;
    EXPECT_EQ(errno_of(socket(pair.sender).install(Direction::kTransmit, next)), expected);
    EXPECT_EQ(errno_of(socket(pair.receiver).install(Direction::kReceive, next)), expected);
    const auto sequence = socket(pair.sender).sequence(Direction::kTransmit, suite.cipher);
    ASSERT_TRUE(sequence.has_value());
    EXPECT_EQ(*sequence, kernel().rekeys() ? 0U : 7U);
    send_all(pair.sender, kTypeApplicationData, bytes_of("whichever key"));
    expect_record(pair.receiver, kTypeApplicationData, bytes_of("whichever key"));
  }
}

TEST_P(KernelContract, SealsWithTheNextKeysAfterARekey) {
  if (!kernel().rekeys()) GTEST_SKIP() << "this kernel does not rekey";
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  ASSERT_EQ(errno_of(socket(pair.sender).install(Direction::kTransmit, any_info(0, 1))), 0);
  send_all(pair.sender, kTypeApplicationData, bytes_of("next key"));
  expect_receive_error(pair.receiver, EBADMSG);
}

TEST_P(KernelContract, RefusesAnotherCipherOrVersionAtARekey) {
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  const int expected = kernel().rekeys() ? EINVAL : EBUSY;
  for (const CryptoInfo& other : {contract_info(Cipher::kAes256Gcm, Version::kTls13),
                                  contract_info(Cipher::kAes128Gcm, Version::kTls12)}) {
    EXPECT_EQ(errno_of(socket(pair.sender).install(Direction::kTransmit, other)), expected);
  }
  send_all(pair.sender, kTypeApplicationData, bytes_of("old key"));
  expect_record(pair.receiver, kTypeApplicationData, bytes_of("old key"));
}

TEST_P(KernelContract, AnswersEbusyForTheSequenceOfAnUninstalledDirection) {
  const Pair pair = attached_pair();
  ASSERT_EQ(errno_of(socket(pair.sender).install(Direction::kTransmit, any_info())), 0);
  const auto receive = socket(pair.sender).sequence(Direction::kReceive, Cipher::kAes128Gcm);
  ASSERT_FALSE(receive.has_value());
  EXPECT_EQ(receive.error().sys_errno, EBUSY);
  const auto mistaken = socket(pair.sender).sequence(Direction::kTransmit, Cipher::kAes256Gcm);
  ASSERT_FALSE(mistaken.has_value());
  EXPECT_EQ(mistaken.error().sys_errno, EINVAL);
}

TEST_P(KernelContract, ProbeFindsEveryCipherThatIsThereAndTheRekey) {
  const Capability capability = probe(syscalls());
  EXPECT_EQ(capability.attach_errno, 0);
  EXPECT_EQ(capability.rekey, kernel().rekeys());
  for (const Suite& suite : all_suites()) {
    SCOPED_TRACE(name_of(suite));
    const bool there = kernel().has_aead(suite.cipher);
    for (const Direction direction : {Direction::kReceive, Direction::kTransmit}) {
      EXPECT_EQ(capability.install_error(suite.cipher, suite.version, direction),
                there ? 0 : ENOENT);
      EXPECT_EQ(capability.reason(suite.cipher, suite.version, direction),
                there ? Reason::kNone : Reason::kCipherModuleMissing);
    }
  }
}

}  // namespace
}  // namespace ktls
