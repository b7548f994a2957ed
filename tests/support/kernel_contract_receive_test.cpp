// KernelContract: flags of receiving, padded records, and what readiness and FIONREAD tell.
#include <array>
#include <cerrno>

#include <poll.h>

#include "tests/support/kernel_contract.h"

namespace ktls {
namespace {

constexpr int kTimeoutMs = 50;
// TLS 1.3 AES-GCM: header, content type and tag.
constexpr std::size_t kOverhead = 5 + 1 + 16;
// Of the "padded" of KernelUnderTest::padded_record().
constexpr std::size_t kPadding = 20;

Bytes joined(Bytes first, const Bytes& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

TEST_P(KernelContract, PeeksOverSeveralRecordsUpToAnotherTypeAndTakesNothing) {
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  send_all(pair.sender, kTypeApplicationData, bytes_of("one "));
  send_all(pair.sender, kTypeApplicationData, bytes_of("two "));
  send_all(pair.sender, kTypeAlert, {1, 0});
  for (int i = 0; i < 2; ++i) {
    const Received peeked = receive_with(pair.receiver, 64, MSG_PEEK);
    EXPECT_EQ(peeked.bytes, bytes_of("one two "));
    EXPECT_EQ(peeked.type, kTypeApplicationData);
  }
  // What was looked at is decrypted, the record of another type too.
  EXPECT_EQ(sequence_of(pair.receiver, Direction::kReceive, Cipher::kAes128Gcm), 3U);
  EXPECT_EQ(kernel().unread(pair.receiver), 0U);
  EXPECT_EQ(kernel().readiness(pair.receiver), POLLIN | POLLOUT);
  EXPECT_EQ(receive_now(pair.receiver, 6, MSG_PEEK).bytes, bytes_of("one tw"));
  EXPECT_EQ(receive_now(pair.receiver, 6).bytes, bytes_of("one tw"));
  EXPECT_EQ(receive_now(pair.receiver, 64, MSG_PEEK).bytes, bytes_of("o "));
  EXPECT_EQ(receive_now(pair.receiver, 64).bytes, bytes_of("o "));
  EXPECT_EQ(receive_now(pair.receiver, 1, MSG_PEEK).bytes, Bytes{1});
  EXPECT_EQ(receive_now(pair.receiver, 64, MSG_PEEK).type, kTypeAlert);
  expect_record(pair.receiver, kTypeAlert, {1, 0});
  EXPECT_EQ(receive_now(pair.receiver, 64, MSG_PEEK).size, -EAGAIN);
}

TEST_P(KernelContract, TellsTheEndOfARecordInAPeekOnlyOnceItIsDecrypted) {
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  send_all(pair.sender, kTypeApplicationData, bytes_of("data"));
  EXPECT_FALSE(receive_with(pair.receiver, 64, MSG_PEEK).end_of_record);
  EXPECT_TRUE(receive_now(pair.receiver, 64, MSG_PEEK).end_of_record);
  EXPECT_TRUE(receive_now(pair.receiver, 64).end_of_record);
}

TEST_P(KernelContract, TellsTheEndOfARecordWhereverOneEndedInTheBytes) {
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  send_all(pair.sender, kTypeApplicationData, bytes_of("one "));
  send_all(pair.sender, kTypeApplicationData, bytes_of("two "));
  EXPECT_FALSE(receive_with(pair.receiver, 3, 0).end_of_record);
  const Received across = receive_with(pair.receiver, 3, 0);
  EXPECT_EQ(across.bytes, bytes_of(" tw"));
  EXPECT_TRUE(across.end_of_record) << "although the second goes on";
}

TEST_P(KernelContract, SuppressesReadinessOnceAKeyUpdateWasPeekedAt) {
  const Bytes key_update{24, 0, 0, 1, 0};
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  send_all(pair.sender, kTypeHandshake, key_update);
  EXPECT_EQ(receive_with(pair.receiver, 64, MSG_PEEK).bytes, key_update);
  EXPECT_EQ(kernel().readiness(pair.receiver), kernel().rekeys() ? POLLOUT : POLLIN | POLLOUT);
  expect_record(pair.receiver, kTypeHandshake, key_update);
}

TEST_P(KernelContract, IsNotReadableWhileItWaitsForAKeyAndAgainOnceItHasIt) {
  if (!kernel().rekeys()) GTEST_SKIP() << "this kernel does not rekey";
  const Bytes key_update{24, 0, 0, 1, 0};
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  send_all(pair.sender, kTypeHandshake, key_update);
  expect_record(pair.receiver, kTypeHandshake, key_update);
  const CryptoInfo next = contract_info(Cipher::kAes128Gcm, Version::kTls13, 0, 1);
  ASSERT_TRUE(socket(pair.sender).install(Direction::kTransmit, next).has_value());
  send_all(pair.sender, kTypeApplicationData, bytes_of("next key"));
  EXPECT_EQ(kernel().readiness(pair.receiver), POLLOUT);
  ASSERT_TRUE(socket(pair.receiver).install(Direction::kReceive, next).has_value());
  expect_readiness(pair.receiver, POLLIN | POLLOUT);
  expect_record(pair.receiver, kTypeApplicationData, bytes_of("next key"));
}

TEST_P(KernelContract, SeesNoKeyUpdateBehindAnotherMessageOfItsRecord) {
  const Bytes ticket_and_key_update{4, 0, 0, 1, 9, 24, 0, 0, 1, 0};
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  send_all(pair.sender, kTypeHandshake, ticket_and_key_update);
  expect_record(pair.receiver, kTypeHandshake, ticket_and_key_update);
  send_all(pair.sender, kTypeApplicationData, bytes_of("same key"));
  expect_record(pair.receiver, kTypeApplicationData, bytes_of("same key"));
}

TEST_P(KernelContract, WaitsForAllOnlyUpToAnotherTypeTheEndOrTheTimeout) {
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  kernel().wait_to_receive(pair.receiver, kTimeoutMs);
  send_all(pair.sender, kTypeApplicationData, bytes_of("01234"));
  send_all(pair.sender, kTypeApplicationData, bytes_of("56789"));
  EXPECT_EQ(receive_now(pair.receiver, 7, MSG_WAITALL).bytes, bytes_of("0123456"));
  EXPECT_EQ(receive_now(pair.receiver, 64, MSG_WAITALL).bytes, bytes_of("789")) << "at the timeout";
  send_all(pair.sender, kTypeApplicationData, bytes_of("abc"));
  send_all(pair.sender, kTypeAlert, {1, 0});
  EXPECT_EQ(receive_now(pair.receiver, 64, MSG_WAITALL).bytes, bytes_of("abc")) << "at the alert";
  EXPECT_EQ(receive_now(pair.receiver, 64, MSG_WAITALL).type, kTypeAlert);
  send_all(pair.sender, kTypeApplicationData, bytes_of("last"));
  kernel().shutdown_write(pair.sender);
  EXPECT_EQ(receive_now(pair.receiver, 64, MSG_WAITALL).bytes, bytes_of("last")) << "at the end";
  EXPECT_EQ(receive_now(pair.receiver, 64, MSG_WAITALL).size, 0);
}

TEST_P(KernelContract, AnswersTheCopiedCountAndKeepsTheRestUnderMsgTrunc) {
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  send_all(pair.sender, kTypeApplicationData, bytes_of("0123456789"));
  EXPECT_EQ(receive_with(pair.receiver, 4, MSG_TRUNC).bytes, bytes_of("0123"));
  EXPECT_EQ(receive_with(pair.receiver, 64, MSG_TRUNC).bytes, bytes_of("456789"));
}

TEST_P(KernelContract, ReceivesTheSameWithFlagsThatMeanNothingHere) {
  for (const int flag : {MSG_OOB, MSG_DONTROUTE, MSG_CONFIRM, MSG_NOSIGNAL, MSG_CMSG_CLOEXEC}) {
    const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
    send_all(pair.sender, kTypeApplicationData, bytes_of("plain"));
    EXPECT_EQ(receive_with(pair.receiver, 64, flag).bytes, bytes_of("plain")) << flag;
  }
}

TEST_P(KernelContract, ReadsTheErrorQueueAndNoRecordUnderMsgErrqueue) {
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  send_all(pair.sender, kTypeApplicationData, bytes_of("data"));
  EXPECT_EQ(receive_now(pair.receiver, 64, MSG_ERRQUEUE).size, -EAGAIN);
  expect_record(pair.receiver, kTypeApplicationData, bytes_of("data"));
}

TEST_P(KernelContract, FillsSeveralBuffersInTheirOrder) {
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  send_all(pair.sender, kTypeApplicationData, bytes_of("01234"));
  send_all(pair.sender, kTypeApplicationData, bytes_of("56789"));
  expect_readiness(pair.receiver, POLLIN | POLLOUT);
  std::array<Bytes, 3> buffers{Bytes(4, '#'), Bytes(3, '#'), Bytes(6, '#')};
  std::array<iovec, 3> parts{};
  for (std::size_t i = 0; i < parts.size(); ++i) parts[i] = {buffers[i].data(), buffers[i].size()};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  EXPECT_EQ(syscalls().recvmsg(pair.receiver, &message, 0), 10);
  EXPECT_EQ(buffers, (std::array{bytes_of("0123"), bytes_of("456"), bytes_of("789###")}));
}

TEST_P(KernelContract, CountsTheBytesOfTcpInFionreadAndNoneOfWhatIsDecrypted) {
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  EXPECT_EQ(kernel().unread(pair.receiver), 0U);
  send_all(pair.sender, kTypeApplicationData, bytes_of("12345"));
  expect_readiness(pair.receiver, POLLIN | POLLOUT);
  EXPECT_EQ(kernel().unread(pair.receiver), 5 + kOverhead);
  EXPECT_EQ(receive_now(pair.receiver, 2).bytes, bytes_of("12"));
  EXPECT_EQ(kernel().unread(pair.receiver), 0U);
  EXPECT_EQ(kernel().readiness(pair.receiver), POLLIN | POLLOUT);
  expect_record(pair.receiver, kTypeApplicationData, bytes_of("345"));
  EXPECT_EQ(kernel().readiness(pair.receiver), POLLOUT);
}

TEST_P(KernelContract, ComparesTheLowWaterMarkWithTheBytesOfTcpBeforeItTellsOfARecord) {
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  set_receive_low_water(pair.receiver, 100);
  send_all(pair.sender, kTypeApplicationData, bytes_of("12345"));
  EXPECT_EQ(kernel().readiness(pair.receiver), POLLOUT);
  EXPECT_EQ(receive_with(pair.receiver, 64, 0).bytes, bytes_of("12345"));
  send_all(pair.sender, kTypeApplicationData, pattern(100 - kOverhead));
  expect_readiness(pair.receiver, POLLIN | POLLOUT);
  expect_record(pair.receiver, kTypeApplicationData, pattern(100 - kOverhead));
}

TEST_P(KernelContract, WaitsForTheLowWaterMarkOfPlaintextUpToTheTimeout) {
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  set_receive_low_water(pair.receiver, 100);
  kernel().wait_to_receive(pair.receiver, kTimeoutMs);
  send_all(pair.sender, kTypeApplicationData, bytes_of("12345"));
  EXPECT_EQ(receive_now(pair.receiver, 64).bytes, bytes_of("12345"));
  EXPECT_EQ(receive_now(pair.receiver, 64).size, -EAGAIN);
}

TEST_P(KernelContract, IsReadableWithAWholeRecordAndOnSomeKernelsWithLess) {
  const Pair pair = receiving_pair(Cipher::kAes128Gcm, Version::kTls13);
  const CryptoInfo info = contract_info(Cipher::kAes128Gcm, Version::kTls13);
  const Bytes record = sealed(info, kTypeApplicationData, bytes_of("whole"));
  const int early = kernel().awaits_whole_record() ? POLLOUT : POLLIN | POLLOUT;
  const auto part = [&](std::size_t from, std::size_t to) {
    return Bytes(record.begin() + static_cast<int>(from), record.begin() + static_cast<int>(to));
  };
  for (const auto& [from, to] : {std::pair{0U, 3U}, std::pair{3U, 20U}}) {
    write_raw(pair.sender, part(from, to));
    expect_readiness(pair.receiver, early);
    EXPECT_EQ(receive_now(pair.receiver, 64).size, -EAGAIN);
    EXPECT_EQ(kernel().readiness(pair.receiver), early) << "a read does not help";
    EXPECT_EQ(kernel().unread(pair.receiver), to);
  }
  write_raw(pair.sender, part(20, record.size()));
  expect_record(pair.receiver, kTypeApplicationData, bytes_of("whole"));
  EXPECT_EQ(kernel().readiness(pair.receiver), POLLOUT);
}

TEST_P(KernelContract, TellsOfAHostileHeaderByPollerrAndNotByPollin) {
  const Pair pair = receiving_pair(Cipher::kAes128Gcm, Version::kTls13);
  write_raw(pair.sender, {23, 3, 3, 0x50, 0});
  const int early = kernel().awaits_whole_record() ? POLLOUT : POLLIN | POLLOUT;
  expect_readiness(pair.receiver, early | POLLERR);
  EXPECT_EQ(receive_now(pair.receiver, 64).size, -EMSGSIZE);
  EXPECT_EQ(kernel().readiness(pair.receiver), early);
  EXPECT_EQ(socket(pair.receiver).take_error().value_or(-1), 0);
}

TEST_P(KernelContract, RefusesToSendAfterAHostileHeaderUntilTheErrorIsReceived) {
  const Pair pair = receiving_pair(Cipher::kAes128Gcm, Version::kTls13);
  const CryptoInfo back = contract_info(Cipher::kAes128Gcm, Version::kTls13, 0, 1);
  ASSERT_TRUE(socket(pair.receiver).install(Direction::kTransmit, back).has_value());
  write_raw(pair.sender, {23, 3, 1, 0, 64});
  const int early = kernel().awaits_whole_record() ? POLLOUT : POLLIN | POLLOUT;
  expect_readiness(pair.receiver, early | POLLERR);
  const auto refused = socket(pair.receiver).send(kTypeAlert, Bytes{2, 22});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().sys_errno, EINVAL);
  EXPECT_EQ(receive_now(pair.receiver, 64).size, -EINVAL);
  EXPECT_TRUE(socket(pair.receiver).send(kTypeAlert, Bytes{2, 22}).has_value());
}

TEST_P(KernelContract, IsReadableWithARecordThatDoesNotOpenAndInErrorOnceItWasTried) {
  const Pair pair = receiving_pair(Cipher::kAes128Gcm, Version::kTls13);
  const CryptoInfo info = contract_info(Cipher::kAes128Gcm, Version::kTls13);
  Bytes record = sealed(info, kTypeApplicationData, bytes_of("tampered with"));
  record.back() ^= 1;
  write_raw(pair.sender, record);
  expect_readiness(pair.receiver, POLLIN | POLLOUT);
  EXPECT_EQ(receive_now(pair.receiver, 64).size, -EBADMSG);
  EXPECT_EQ(kernel().readiness(pair.receiver), POLLIN | POLLOUT | POLLERR);
}

TEST_P(KernelContract, ReturnsTheDataBeforeARecordThatDoesNotOpen) {
  const Pair pair = attached_pair();
  const CryptoInfo info = contract_info(Cipher::kAes128Gcm, Version::kTls13);
  Bytes records = sealed(info, kTypeApplicationData, bytes_of("good"));
  // The same again has the wrong number.
  write_raw(pair.sender, joined(records, records));
  ASSERT_TRUE(socket(pair.receiver).install(Direction::kReceive, info).has_value());
  expect_record(pair.receiver, kTypeApplicationData, bytes_of("good"));
  expect_receive_error(pair.receiver, EBADMSG);
  expect_receive_error(pair.receiver, EBADMSG);
}

TEST_P(KernelContract, StripsThePaddingOfARecord) {
  const Pair pair = receiving_pair(Cipher::kAes128Gcm, Version::kTls13);
  const Bytes next = sealed(contract_info(Cipher::kAes128Gcm, Version::kTls13, 1),
                            kTypeApplicationData, bytes_of(" next"));
  write_raw(pair.sender, joined(kernel().padded_record(), next));
  Bytes buffer(64, '#');
  const auto received = receive(pair.receiver, buffer);
  ASSERT_TRUE(received.has_value()) << received.error().message();
  Bytes expected = bytes_of("padded next");
  EXPECT_EQ(received->size, expected.size());
  expected.resize(buffer.size(), '#');
  EXPECT_EQ(buffer, expected);
}

// net/tls/tls_sw.c, tls_decrypt_sw: the padded record is decrypted into the buffer with its
// padding, and then again, aside; where the kernel does not go back, behind all that.
TEST_P(KernelContract, MisplacesWhatIsPaddedUnderExpectNoPaddingUnlessItRewinds) {
  const Pair pair = attached_pair();
  const CryptoInfo info = contract_info(Cipher::kAes128Gcm, Version::kTls13);
  const Bytes next = sealed(contract_info(Cipher::kAes128Gcm, Version::kTls13, 1),
                            kTypeApplicationData, bytes_of(" next"));
  write_raw(pair.sender, joined(kernel().padded_record(), next));
  ASSERT_TRUE(socket(pair.receiver).install(Direction::kReceive, info).has_value());
  ASSERT_TRUE(socket(pair.receiver).set_expect_no_padding(true).has_value());
  Bytes buffer(64, '#');
  const auto received = receive(pair.receiver, buffer);
  ASSERT_TRUE(received.has_value()) << received.error().message();
  EXPECT_EQ(received->size, 11U);
  const Bytes text = bytes_of("padded next");
  Bytes expected = bytes_of("padded");
  expected.push_back(kTypeApplicationData);
  expected.resize(6 + kPadding);
  if (kernel().rewinds_retry()) {
    std::copy(text.begin(), text.end(), expected.begin());
  } else {
    expected = joined(expected, text);
  }
  expected.resize(buffer.size(), '#');
  EXPECT_EQ(buffer, expected) << ::testing::PrintToString(buffer);
}

TEST_P(KernelContract, DecryptsAsideWhatIsPeekedAtOrLargerThanTheBufferUnderExpectNoPadding) {
  for (const bool peeks : {false, true}) {
    const Pair pair = attached_pair();
    const CryptoInfo info = contract_info(Cipher::kAes128Gcm, Version::kTls13);
    write_raw(pair.sender, kernel().padded_record());
    ASSERT_TRUE(socket(pair.receiver).install(Direction::kReceive, info).has_value());
    ASSERT_TRUE(socket(pair.receiver).set_expect_no_padding(true).has_value());
    if (peeks) {
      EXPECT_EQ(receive_with(pair.receiver, 64, MSG_PEEK).bytes, bytes_of("padded"));
    }
    Bytes buffer(6 + kPadding - (peeks ? 0 : 1), '#');
    const auto received = receive(pair.receiver, buffer);
    ASSERT_TRUE(received.has_value()) << received.error().message();
    Bytes expected = bytes_of("padded");
    expected.resize(buffer.size(), '#');
    EXPECT_EQ(buffer, expected);
  }
}

}  // namespace
}  // namespace ktls
