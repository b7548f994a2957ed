// KernelContract: options, and records that are left open.
#include <array>
#include <cerrno>
#include <cstring>

#include "ktls/core/capability.h"
#include "ktls/core/linux_tls.h"
#include "tests/support/kernel_contract.h"

namespace ktls {
namespace {

constexpr std::array kOptions{TLS_TX_ZEROCOPY_RO, TLS_RX_EXPECT_NO_PAD, TLS_TX_MAX_PAYLOAD_LEN};

int errno_of(const Result<void>& result) {
  return result ? 0 : result.error().sys_errno;
}

// A flag as these options take it, and four bytes that belong to nobody.
struct Flag {
  std::uint32_t value = 0;
  std::uint32_t rest = 0;
};

// What getsockopt answers, or -errno.
template <typename Word>
int option_value(Syscalls& syscalls, int fd, int name) {
  Word word = 0;
  socklen_t size = sizeof word;
  return syscalls.getsockopt(fd, SOL_TLS, name, &word, &size) == 0 ? static_cast<int>(word)
                                                                   : -errno;
}

std::size_t overhead_of(Version version) {
  // RFC 5288: nonce and tag. RFC 8446 section 5.2: content type and tag.
  return version == Version::kTls12 ? 8 + 16 : 1 + 16;
}

TEST_P(KernelContract, KnowsNoOptionBeforeAttachAndNoUnknownOneAfter) {
  const Flag flag;
  const Pair pair = connected_pair();
  for (const int name : kOptions) {
    EXPECT_EQ(option_errno(pair.sender, name, &flag, sizeof flag.value), ENOPROTOOPT) << name;
    EXPECT_EQ(option_value<std::uint32_t>(syscalls(), pair.sender, name), -EOPNOTSUPP) << name;
  }
  ASSERT_EQ(errno_of(socket(pair.sender).attach()), 0);
  for (const int name : {0, 6, 99}) {
    EXPECT_EQ(option_errno(pair.sender, name, &flag, sizeof flag.value), ENOPROTOOPT) << name;
    EXPECT_EQ(option_value<std::uint32_t>(syscalls(), pair.sender, name), -ENOPROTOOPT) << name;
  }
}

TEST_P(KernelContract, TakesZerocopyTransmitAtAnyTimeAndDoesNothingWithoutACard) {
  const Pair pair = attached_pair();
  EXPECT_EQ(errno_of(socket(pair.sender).set_zerocopy_transmit(true)), 0);
  const CryptoInfo info = contract_info(Cipher::kAes128Gcm, Version::kTls13);
  ASSERT_EQ(errno_of(socket(pair.sender).install(Direction::kTransmit, info)), 0);
  ASSERT_EQ(errno_of(socket(pair.receiver).install(Direction::kReceive, info)), 0);
  EXPECT_EQ(option_value<std::uint32_t>(syscalls(), pair.sender, TLS_TX_ZEROCOPY_RO), 1);
  send_all(pair.sender, kTypeApplicationData, bytes_of("as ever"));
  expect_record(pair.receiver, kTypeApplicationData, bytes_of("as ever"));
  EXPECT_EQ(errno_of(socket(pair.sender).set_zerocopy_transmit(false)), 0);
  EXPECT_EQ(option_value<std::uint32_t>(syscalls(), pair.sender, TLS_TX_ZEROCOPY_RO), 0);
}

TEST_P(KernelContract, TakesZerocopyTransmitAsAFlagOfFourBytesOnly) {
  const Pair pair = attached_pair();
  for (const std::uint32_t value : {2U, UINT32_MAX}) {
    const Flag flag{value};
    EXPECT_EQ(option_errno(pair.sender, TLS_TX_ZEROCOPY_RO, &flag, sizeof flag.value), EINVAL);
  }
  const Flag flag;
  for (const std::size_t size : {0, 1, 3, 5, 8}) {
    EXPECT_EQ(option_errno(pair.sender, TLS_TX_ZEROCOPY_RO, &flag, size), EINVAL) << size;
  }
  EXPECT_EQ(option_errno(pair.sender, TLS_TX_ZEROCOPY_RO, nullptr, sizeof flag.value), EINVAL);
}

TEST_P(KernelContract, ExpectsNoPaddingOnlyOfTls13AndOnceReceivingIsInstalled) {
  const Pair pair = attached_pair();
  EXPECT_EQ(errno_of(socket(pair.sender).set_expect_no_padding(true)), EINVAL);
  const CryptoInfo info = contract_info(Cipher::kAes128Gcm, Version::kTls13);
  ASSERT_EQ(errno_of(socket(pair.sender).install(Direction::kTransmit, info)), 0);
  EXPECT_EQ(errno_of(socket(pair.sender).set_expect_no_padding(true)), EINVAL);
  ASSERT_EQ(errno_of(socket(pair.receiver).install(Direction::kReceive, info)), 0);
  EXPECT_EQ(errno_of(socket(pair.receiver).set_expect_no_padding(true)), 0);
  EXPECT_EQ(option_value<std::uint32_t>(syscalls(), pair.receiver, TLS_RX_EXPECT_NO_PAD), 1);
  EXPECT_EQ(errno_of(socket(pair.receiver).set_expect_no_padding(false)), 0);
  EXPECT_EQ(option_value<std::uint32_t>(syscalls(), pair.receiver, TLS_RX_EXPECT_NO_PAD), 0);

  const Pair tls12 = installed_pair(Cipher::kAes128Gcm, Version::kTls12);
  EXPECT_EQ(errno_of(socket(tls12.receiver).set_expect_no_padding(true)), EINVAL);
  EXPECT_EQ(option_value<std::uint32_t>(syscalls(), tls12.receiver, TLS_RX_EXPECT_NO_PAD), -EINVAL);
}

TEST_P(KernelContract, ExpectsNoPaddingAsAFlagThatZerosMayFollow) {
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  const auto set = [&](const Flag& flag, std::size_t size) {
    return option_errno(pair.receiver, TLS_RX_EXPECT_NO_PAD, &flag, size);
  };
  EXPECT_EQ(set({2}, sizeof(std::uint32_t)), EINVAL);
  EXPECT_EQ(set({0}, sizeof(std::uint32_t) - 1), EINVAL);
  EXPECT_EQ(set({1}, sizeof(Flag)), 0);
  EXPECT_EQ(set({1, 1}, sizeof(Flag)), EINVAL);
  EXPECT_EQ(option_errno(pair.receiver, TLS_RX_EXPECT_NO_PAD, nullptr, sizeof(Flag)), EINVAL);
}

TEST_P(KernelContract, ReceivesTheSameUnderExpectNoPadding) {
  for (const Suite& suite : suites()) {
    if (suite.version != Version::kTls13) continue;
    SCOPED_TRACE(name_of(suite));
    const Pair pair = installed_pair(suite.cipher, suite.version);
    ASSERT_EQ(errno_of(socket(pair.receiver).set_expect_no_padding(true)), 0);
    const Bytes data = pattern(20000);
    send_all(pair.sender, kTypeApplicationData, data);
    expect_record(pair.receiver, kTypeApplicationData, data);
    send_all(pair.sender, kTypeAlert, {1, 0});
    expect_record(pair.receiver, kTypeAlert, {1, 0});
    send_all(pair.sender, kTypeApplicationData, bytes_of("more"));
    expect_record(pair.receiver, kTypeApplicationData, bytes_of("more"));
  }
}

TEST_P(KernelContract, LeavesTheBytesBehindAControlRecordAloneUnlessItForgetsToRewind) {
  for (const std::uint8_t type : {kTypeAlert, kTypeHandshake}) {
    const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
    ASSERT_EQ(errno_of(socket(pair.receiver).set_expect_no_padding(true)), 0);
    send_all(pair.sender, type, bytes_of("abc"));
    Bytes buffer(64, '#');
    const auto received = receive(pair.receiver, buffer);
    ASSERT_TRUE(received.has_value()) << received.error().message();
    EXPECT_EQ(received->size, 3U);
    // net/tls/tls_sw.c, tls_decrypt_sw: the second result behind the first.
    Bytes expected = bytes_of(kernel().rewinds_retry() ? "abc" : "abcabc");
    expected.resize(buffer.size(), '#');
    EXPECT_EQ(buffer, expected) << std::string(buffer.begin(), buffer.end());
  }
}

TEST_P(KernelContract, LimitsThePayloadExactlyWhenTheKernelKnowsTheOption) {
  const Pair pair = attached_pair();
  EXPECT_EQ(errno_of(socket(pair.sender).set_payload_max(kPayloadMaxMost)),
            kernel().limits_payload() ? 0 : ENOPROTOOPT);
  EXPECT_EQ(option_value<std::uint16_t>(syscalls(), pair.sender, TLS_TX_MAX_PAYLOAD_LEN),
            kernel().limits_payload() ? kPayloadMaxMost : -ENOPROTOOPT);
}

TEST_P(KernelContract, TakesThePayloadLimitOnlyInItsBounds) {
  if (!kernel().limits_payload()) GTEST_SKIP() << "this kernel has no limit of the payload";
  const auto expect_bounds = [&](int fd, std::uint16_t least) {
    for (const int beyond : {0, least - 1, kPayloadMaxMost + 1, 0xffff}) {
      EXPECT_EQ(errno_of(socket(fd).set_payload_max(static_cast<std::uint16_t>(beyond))), EINVAL)
          << beyond;
    }
    EXPECT_EQ(errno_of(socket(fd).set_payload_max(least)), 0);
    EXPECT_EQ(errno_of(socket(fd).set_payload_max(kPayloadMaxMost)), 0);
  };
  expect_bounds(attached_pair().sender, kPayloadMaxLeast12);
  const Pair tls12 = installed_pair(Cipher::kAes128Gcm, Version::kTls12);
  expect_bounds(tls12.sender, kPayloadMaxLeast12);
  const Pair tls13 = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  expect_bounds(tls13.sender, kPayloadMaxLeast13);
  expect_bounds(tls13.receiver, kPayloadMaxLeast13);
}

TEST_P(KernelContract, TakesThePayloadLimitInTwoBytesOnly) {
  if (!kernel().limits_payload()) GTEST_SKIP() << "this kernel has no limit of the payload";
  const Pair pair = attached_pair();
  const std::uint32_t value = 512;
  for (const std::size_t size : {0, 1, 3, 4}) {
    EXPECT_EQ(option_errno(pair.sender, TLS_TX_MAX_PAYLOAD_LEN, &value, size), EINVAL) << size;
  }
  EXPECT_EQ(option_errno(pair.sender, TLS_TX_MAX_PAYLOAD_LEN, nullptr, 2), EINVAL);
}

TEST_P(KernelContract, CutsRecordsAtThePayloadLimitWithoutTheContentTypeByte) {
  if (!kernel().limits_payload()) GTEST_SKIP() << "this kernel has no limit of the payload";
  for (const Version version : {Version::kTls12, Version::kTls13}) {
    for (const std::uint8_t type : {kTypeApplicationData, kTypeHandshake}) {
      const Pair pair = attached_pair();
      const CryptoInfo info = contract_info(Cipher::kAes128Gcm, version);
      ASSERT_EQ(errno_of(socket(pair.sender).set_payload_max(100)), 0);
      ASSERT_EQ(errno_of(socket(pair.sender).install(Direction::kTransmit, info)), 0);
      send_all(pair.sender, type, pattern(250));
      for (const std::size_t size : {100, 100, 50}) {
        const Bytes header = read_raw(pair.receiver, 5);
        const auto length = static_cast<std::size_t>(header.at(3) << 8 | header.at(4));
        EXPECT_EQ(length, size + overhead_of(version));
        read_raw(pair.receiver, length);
      }
    }
  }
}

TEST_P(KernelContract, ChangesThePayloadLimitBetweenRecordsAndNotWithinOne) {
  if (!kernel().limits_payload()) GTEST_SKIP() << "this kernel has no limit of the payload";
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  ASSERT_EQ(errno_of(socket(pair.sender).set_payload_max(kPayloadMaxLeast13)), 0);
  const Bytes data = pattern(std::size_t{2} * kPayloadMaxLeast13);
  send_all(pair.sender, kTypeApplicationData, data);
  EXPECT_EQ(sequence_of(pair.sender, Direction::kTransmit, Cipher::kAes128Gcm), 2U);
  expect_record(pair.receiver, kTypeApplicationData, data);

  send_open(pair.sender, bytes_of("open"));
  EXPECT_EQ(errno_of(socket(pair.sender).set_payload_max(1000)), EBUSY);
  send_all(pair.sender, kTypeApplicationData, bytes_of(" and ended"));
  EXPECT_EQ(errno_of(socket(pair.sender).set_payload_max(1000)), 0);
  expect_record(pair.receiver, kTypeApplicationData, bytes_of("open and ended"));
  send_all(pair.sender, kTypeApplicationData, data);
  EXPECT_EQ(sequence_of(pair.sender, Direction::kTransmit, Cipher::kAes128Gcm), 4U);
  expect_record(pair.receiver, kTypeApplicationData, data);
}

TEST_P(KernelContract, KeepsThePayloadLimitOverARekey) {
  if (!kernel().limits_payload() || !kernel().rekeys()) GTEST_SKIP() << "one of them is missing";
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  ASSERT_EQ(errno_of(socket(pair.sender).set_payload_max(100)), 0);
  const CryptoInfo next = contract_info(Cipher::kAes128Gcm, Version::kTls13, 0, 1);
  ASSERT_EQ(errno_of(socket(pair.sender).install(Direction::kTransmit, next)), 0);
  send_all(pair.sender, kTypeApplicationData, pattern(250));
  EXPECT_EQ(sequence_of(pair.sender, Direction::kTransmit, Cipher::kAes128Gcm), 3U);
}

// ---- records that are left open ---------------------------------------------------------------

TEST_P(KernelContract, EndsAnOpenRecordWithTheNextSend) {
  for (const Suite& suite : suites()) {
    SCOPED_TRACE(name_of(suite));
    const Pair pair = installed_pair(suite.cipher, suite.version);
    send_open(pair.sender, bytes_of("head"));
    send_open(pair.sender, bytes_of("er, "));
    EXPECT_EQ(sequence_of(pair.sender, Direction::kTransmit, suite.cipher), 0U);
    send_all(pair.sender, kTypeApplicationData, bytes_of("body"));
    EXPECT_EQ(sequence_of(pair.sender, Direction::kTransmit, suite.cipher), 1U);
    expect_record(pair.receiver, kTypeApplicationData, bytes_of("header, body"));
  }
}

TEST_P(KernelContract, EndsAnOpenRecordBeforeAControlRecord) {
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  send_open(pair.sender, bytes_of("first"));
  send_all(pair.sender, kTypeAlert, {1, 0});
  expect_record(pair.receiver, kTypeApplicationData, bytes_of("first"));
  expect_record(pair.receiver, kTypeAlert, {1, 0});
  EXPECT_EQ(sequence_of(pair.sender, Direction::kTransmit, Cipher::kAes128Gcm), 2U);
}

TEST_P(KernelContract, EndsAnOpenRecordWhenItIsFull) {
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  const Bytes data = pattern(20000);
  send_open(pair.sender, data);
  EXPECT_EQ(sequence_of(pair.sender, Direction::kTransmit, Cipher::kAes128Gcm), 1U);
  send_open(pair.sender, data);
  EXPECT_EQ(sequence_of(pair.sender, Direction::kTransmit, Cipher::kAes128Gcm), 2U);
}

TEST_P(KernelContract, LosesAnOpenRecordAtClose) {
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  send_all(pair.sender, kTypeApplicationData, bytes_of("kept"));
  send_open(pair.sender, bytes_of("lost"));
  close_now(pair.sender);
  expect_record(pair.receiver, kTypeApplicationData, bytes_of("kept"));
  Bytes buffer(64);
  const auto received = receive(pair.receiver, buffer);
  ASSERT_TRUE(received.has_value()) << received.error().message();
  EXPECT_TRUE(received->end_of_stream);
}

TEST_P(KernelContract, SealsAnOpenRecordUnderTheNextKey) {
  if (!kernel().rekeys()) GTEST_SKIP() << "this kernel does not rekey";
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  send_open(pair.sender, bytes_of("begun under the old key"));
  const CryptoInfo next = contract_info(Cipher::kAes128Gcm, Version::kTls13, 0, 1);
  ASSERT_EQ(errno_of(socket(pair.sender).install(Direction::kTransmit, next)), 0);
  send_all(pair.sender, kTypeApplicationData, bytes_of("."));
  expect_receive_error(pair.receiver, EBADMSG);
}

TEST_P(KernelContract, SendsNothingOfNothingButFlushesWhereATypeIsNamed) {
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  send_open(pair.sender, bytes_of("open"));
  msghdr message{};
  EXPECT_EQ(syscalls().sendmsg(pair.sender, &message, MSG_DONTWAIT), 0);
  EXPECT_EQ(sequence_of(pair.sender, Direction::kTransmit, Cipher::kAes128Gcm), 0U);
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(1)> control{};
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_TLS;
  header->cmsg_type = TLS_SET_RECORD_TYPE;
  header->cmsg_len = CMSG_LEN(1);
  *CMSG_DATA(header) = kTypeAlert;
  EXPECT_EQ(syscalls().sendmsg(pair.sender, &message, MSG_DONTWAIT), 0);
  EXPECT_EQ(sequence_of(pair.sender, Direction::kTransmit, Cipher::kAes128Gcm), 1U);
  expect_record(pair.receiver, kTypeApplicationData, bytes_of("open"));
}

TEST_P(KernelContract, RefusesFlagsThatTlsHasNoUseFor) {
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  const auto send_with = [&](int flags) {
    std::uint8_t byte = 'x';
    iovec part{&byte, 1};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    const ssize_t sent = syscalls().sendmsg(pair.sender, &message, flags | MSG_DONTWAIT);
    return sent < 0 ? -errno : static_cast<int>(sent);
  };
  for (const int flag : {MSG_OOB, MSG_DONTROUTE, MSG_CONFIRM, MSG_ZEROCOPY, MSG_BATCH}) {
    EXPECT_EQ(send_with(flag), -EOPNOTSUPP) << flag;
  }
  // Since 6.6 MSG_EOR ends a record, and contradicts MSG_MORE.
  const int ended = send_with(MSG_EOR);
  EXPECT_EQ(send_with(MSG_EOR | MSG_MORE), ended == 1 ? -EINVAL : -EOPNOTSUPP);
  if (ended == 1) {
    expect_record(pair.receiver, kTypeApplicationData, bytes_of("x"));
  } else {
    EXPECT_EQ(ended, -EOPNOTSUPP);
  }
}

TEST_P(KernelContract, TakesTheZerocopyOptionOfTheSocketThatNoSendMayUse) {
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  const int on = 1;
  EXPECT_EQ(syscalls().setsockopt(pair.sender, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on), 0);
  Bytes byte = bytes_of("x");
  iovec part{.iov_base = byte.data(), .iov_len = byte.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  EXPECT_EQ(syscalls().sendmsg(pair.sender, &message, MSG_ZEROCOPY), -1);
  EXPECT_EQ(errno, EOPNOTSUPP);
}

TEST_P(KernelContract, ProbeFindsWhichOptionsMayBeUsed) {
  const Capability capability = probe(std::array{Cipher::kAes128Gcm}, syscalls());
  EXPECT_EQ(capability.payload_max_errno, kernel().limits_payload() ? 0 : ENOPROTOOPT);
  EXPECT_TRUE(capability.zerocopy_transmit);
  EXPECT_EQ(capability.expect_no_padding, kernel().rewinds_retry());
}

}  // namespace
}  // namespace ktls
