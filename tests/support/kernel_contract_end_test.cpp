// KernelContract: how connections end, and what is told of it.
#include <cerrno>

#include <poll.h>

#include "tests/support/kernel_contract.h"

namespace ktls {
namespace {

constexpr int kEnded = POLLIN | POLLOUT | POLLRDHUP | POLLHUP;

// What sending one byte answers: 1, or -errno.
int answer_to_byte(TlsSocket socket) {
  const Bytes byte{'x'};
  const auto sent = socket.send(kTypeApplicationData, byte);
  return sent ? static_cast<int>(*sent) : -sent.error().sys_errno;
}

CryptoInfo back_info() {
  return contract_info(Cipher::kAes128Gcm, Version::kTls13, 0, 1);
}

TEST_P(KernelContract, DeliversTheDataThenTheResetOnceThenTheEnd) {
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  send_all(pair.sender, kTypeApplicationData, bytes_of("one "));
  send_all(pair.sender, kTypeApplicationData, bytes_of("two"));
  reset_now(pair.sender, pair.receiver);
  EXPECT_EQ(receive_now(pair.receiver, 64).bytes, bytes_of("one two"));
  EXPECT_EQ(kernel().readiness(pair.receiver), kEnded | POLLERR);
  EXPECT_EQ(receive_now(pair.receiver, 64).size, -ECONNRESET);
  EXPECT_EQ(kernel().readiness(pair.receiver), kEnded);
  EXPECT_EQ(receive_now(pair.receiver, 64).size, 0);
}

TEST_P(KernelContract, RefusesToSendAfterAResetUntilTheErrorIsTakenThenCountsWhatItDrops) {
  for (const bool receives : {false, true}) {
    const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
    ASSERT_TRUE(socket(pair.receiver).install(Direction::kTransmit, back_info()).has_value());
    reset_now(pair.sender, pair.receiver);
    const auto sends = [&] { return answer_to_byte(socket(pair.receiver)); };
    EXPECT_EQ(sends(), -ECONNRESET);
    EXPECT_EQ(sends(), -ECONNRESET);
    if (receives) {
      EXPECT_EQ(receive_now(pair.receiver, 64).size, -ECONNRESET);
    } else {
      EXPECT_EQ(socket(pair.receiver).take_error().value_or(-1), ECONNRESET);
    }
    EXPECT_EQ(sends(), 1);
    EXPECT_EQ(sends(), 1);
    EXPECT_EQ(sequence_of(pair.receiver, Direction::kTransmit, Cipher::kAes128Gcm), 2U);
  }
}

TEST_P(KernelContract, AnswersEpipeOnceToASendAfterAFinAndAResetThenCountsWhatItDrops) {
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  ASSERT_TRUE(socket(pair.receiver).install(Direction::kTransmit, back_info()).has_value());
  kernel().shutdown_write(pair.sender);
  expect_readiness(pair.receiver, POLLIN | POLLOUT | POLLRDHUP);
  reset_now(pair.sender, pair.receiver);
  const auto sends = [&] { return answer_to_byte(socket(pair.receiver)); };
  EXPECT_EQ(sends(), -EPIPE);
  EXPECT_EQ(sends(), 1);
  EXPECT_EQ(sends(), 1);
  EXPECT_EQ(receive_now(pair.receiver, 64).size, 0);
}

TEST_P(KernelContract, LearnsThatThePeerIsGoneFromTheSecondSend) {
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  ASSERT_TRUE(socket(pair.receiver).install(Direction::kTransmit, back_info()).has_value());
  close_now(pair.sender);
  expect_readiness(pair.receiver, POLLIN | POLLOUT | POLLRDHUP);
  const auto sends = [&] { return answer_to_byte(socket(pair.receiver)); };
  EXPECT_EQ(sends(), 1);
  expect_readiness(pair.receiver, kEnded | POLLERR);
  EXPECT_EQ(sends(), -EPIPE);
  EXPECT_EQ(sends(), 1);
}

TEST_P(KernelContract, ResetsWhereSomethingWasLeftUnreadAtClose) {
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  send_all(pair.sender, kTypeApplicationData, bytes_of("unread"));
  expect_readiness(pair.receiver, POLLIN | POLLOUT);
  close_now(pair.receiver);
  expect_readiness(pair.sender, kEnded | POLLERR);
  EXPECT_EQ(socket(pair.sender).take_error().value_or(-1), ECONNRESET);
}

TEST_P(KernelContract, ReportsAResetWithinARecord) {
  const Pair pair = receiving_pair(Cipher::kAes128Gcm, Version::kTls13);
  const CryptoInfo info = contract_info(Cipher::kAes128Gcm, Version::kTls13);
  Bytes record = sealed(info, kTypeApplicationData, bytes_of("cut"));
  record.pop_back();
  write_raw(pair.sender, record);
  reset_now(pair.sender, pair.receiver);
  EXPECT_EQ(receive_now(pair.receiver, 64).size, -ECONNRESET);
  EXPECT_EQ(receive_now(pair.receiver, 64).size, 0);
}

TEST_P(KernelContract, SendsAfterThePeersFinAndTellsOfNoErrorAfterItsOwn) {
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  ASSERT_TRUE(socket(pair.receiver).install(Direction::kTransmit, back_info()).has_value());
  ASSERT_TRUE(socket(pair.sender).install(Direction::kReceive, back_info()).has_value());
  kernel().shutdown_write(pair.sender);
  send_all(pair.receiver, kTypeApplicationData, bytes_of("half open"));
  expect_record(pair.sender, kTypeApplicationData, bytes_of("half open"));
  EXPECT_EQ(kernel().readiness(pair.sender), POLLOUT);
}

TEST_P(KernelContract, SendsNoAlertOfItsOwnAtTheEnd) {
  for (const bool closes : {false, true}) {
    const Pair pair = connected_pair();
    ASSERT_TRUE(socket(pair.sender).attach().has_value());
    const CryptoInfo info = contract_info(Cipher::kAes128Gcm, Version::kTls13);
    ASSERT_TRUE(socket(pair.sender).install(Direction::kTransmit, info).has_value());
    if (closes) {
      close_now(pair.sender);
    } else {
      kernel().shutdown_write(pair.sender);
    }
    Bytes buffer(64);
    EXPECT_EQ(plain_receive(pair.receiver, buffer), 0);
  }
}

TEST_P(KernelContract, GoesOnAfterACloseNotify) {
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  send_all(pair.sender, kTypeAlert, {1, 0});
  send_all(pair.sender, kTypeApplicationData, bytes_of("all the same"));
  expect_record(pair.receiver, kTypeAlert, {1, 0});
  expect_record(pair.receiver, kTypeApplicationData, bytes_of("all the same"));
}

TEST_P(KernelContract, AnswersTheEndAfterAShutdownOfReadingUntilDataComes) {
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  kernel().shutdown_read(pair.receiver);
  EXPECT_EQ(kernel().readiness(pair.receiver), POLLIN | POLLOUT | POLLRDHUP);
  EXPECT_EQ(receive_now(pair.receiver, 64).size, 0);
  send_all(pair.sender, kTypeApplicationData, bytes_of("late"));
  const Received late = receive_now(pair.receiver, 64);
  EXPECT_EQ(late.bytes, bytes_of("late"));
}

}  // namespace
}  // namespace ktls
