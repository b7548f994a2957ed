// KernelContract: typed records, sequence numbers, ends of streams and hostile bytes.
#include <array>
#include <cerrno>

#include <poll.h>

#include "ktls/core/linux_tls.h"
#include "tests/support/kernel_contract.h"

namespace ktls {
namespace {

int errno_of(const Result<void>& result) {
  return result ? 0 : result.error().sys_errno;
}

// No byte of it is another's, and none is zero.
constexpr std::uint64_t kStart = 0x0102030405060708;

TEST_P(KernelContract, CarriesEveryRecordTypeUnderEveryCipherAndVersion) {
  for (const Suite& suite : suites()) {
    SCOPED_TRACE(name_of(suite));
    const Pair pair = installed_pair(suite.cipher, suite.version);
    send_all(pair.sender, kTypeApplicationData, bytes_of("data"));
    expect_record(pair.receiver, kTypeApplicationData, bytes_of("data"));
    send_all(pair.sender, kTypeAlert, {1, 0});
    expect_record(pair.receiver, kTypeAlert, {1, 0});
    send_all(pair.sender, kTypeHandshake, bytes_of("ticket"));
    expect_record(pair.receiver, kTypeHandshake, bytes_of("ticket"));
    send_all(pair.sender, 24, bytes_of("any type byte"));
    expect_record(pair.receiver, 24, bytes_of("any type byte"));
  }
}

TEST_P(KernelContract, RunsBothDirectionsOfOneSocketAlone) {
  for (const Suite& suite : suites()) {
    SCOPED_TRACE(name_of(suite));
    const Pair pair = installed_pair(suite.cipher, suite.version);
    const CryptoInfo back = contract_info(suite.cipher, suite.version, 3, 1);
    ASSERT_EQ(errno_of(socket(pair.sender).install(Direction::kReceive, back)), 0);
    ASSERT_EQ(errno_of(socket(pair.receiver).install(Direction::kTransmit, back)), 0);
    send_all(pair.receiver, kTypeApplicationData, bytes_of("answer"));
    send_all(pair.sender, kTypeApplicationData, bytes_of("question"));
    expect_record(pair.sender, kTypeApplicationData, bytes_of("answer"));
    expect_record(pair.receiver, kTypeApplicationData, bytes_of("question"));
    EXPECT_EQ(sequence_of(pair.sender, Direction::kReceive, suite.cipher), 4U);
    EXPECT_EQ(sequence_of(pair.sender, Direction::kTransmit, suite.cipher), 1U);
  }
}

TEST_P(KernelContract, CutsLongPlaintextIntoRecordsOf16Kilobytes) {
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  const Bytes long_data = pattern(40000);
  send_all(pair.sender, kTypeApplicationData, long_data);
  EXPECT_EQ(sequence_of(pair.sender, Direction::kTransmit, Cipher::kAes128Gcm), 3U);
  expect_record(pair.receiver, kTypeApplicationData, long_data);
  EXPECT_EQ(sequence_of(pair.receiver, Direction::kReceive, Cipher::kAes128Gcm), 3U);
  const Bytes long_message = pattern(20000);
  send_all(pair.sender, kTypeHandshake, long_message);
  EXPECT_EQ(sequence_of(pair.sender, Direction::kTransmit, Cipher::kAes128Gcm), 5U);
  expect_record(pair.receiver, kTypeHandshake, long_message);
}

TEST_P(KernelContract, ContinuesFromTheInstalledSequenceNumber) {
  for (const Suite& suite : suites()) {
    SCOPED_TRACE(name_of(suite));
    const Pair pair = installed_pair(suite.cipher, suite.version, kStart);
    EXPECT_EQ(sequence_of(pair.sender, Direction::kTransmit, suite.cipher), kStart);
    for (int i = 0; i < 3; ++i) {
      send_all(pair.sender, kTypeApplicationData, bytes_of("x"));
      expect_record(pair.receiver, kTypeApplicationData, bytes_of("x"));
    }
    EXPECT_EQ(sequence_of(pair.sender, Direction::kTransmit, suite.cipher), kStart + 3);
    EXPECT_EQ(sequence_of(pair.receiver, Direction::kReceive, suite.cipher), kStart + 3);
  }
}

TEST_P(KernelContract, OpensNothingUnderAnotherSequenceNumber) {
  for (const Suite& suite : suites()) {
    SCOPED_TRACE(name_of(suite));
    const Pair pair = attached_pair();
    const CryptoInfo sends = contract_info(suite.cipher, suite.version, 1);
    const CryptoInfo receives = contract_info(suite.cipher, suite.version, 2);
    ASSERT_EQ(errno_of(socket(pair.sender).install(Direction::kTransmit, sends)), 0);
    ASSERT_EQ(errno_of(socket(pair.receiver).install(Direction::kReceive, receives)), 0);
    send_all(pair.sender, kTypeApplicationData, bytes_of("lost"));
    expect_receive_error(pair.receiver, EBADMSG);
    expect_receive_error(pair.receiver, EBADMSG);
  }
}

TEST_P(KernelContract, IgnoresTheExplicitNonceOnReceipt) {
  for (const Suite& suite : suites()) {
    if (suite.version != Version::kTls12) continue;
    SCOPED_TRACE(name_of(suite));
    const Pair pair = attached_pair();
    const CryptoInfo sends = contract_info(suite.cipher, suite.version);
    RecordKeys keys = contract_keys(suite.cipher, suite.version);
    keys.explicit_nonce = 0xdeadbeef;
    const auto receives = encode(keys);
    ASSERT_TRUE(receives.has_value());
    ASSERT_EQ(errno_of(socket(pair.sender).install(Direction::kTransmit, sends)), 0);
    ASSERT_EQ(errno_of(socket(pair.receiver).install(Direction::kReceive, *receives)), 0);
    send_all(pair.sender, kTypeApplicationData, bytes_of("nonce in the record"));
    expect_record(pair.receiver, kTypeApplicationData, bytes_of("nonce in the record"));
  }
}

TEST_P(KernelContract, RefusesToSendPastTheLastSequenceNumberWhileTheErrorStands) {
  for (const Suite& suite : suites()) {
    SCOPED_TRACE(name_of(suite));
    const Pair pair = installed_pair(suite.cipher, suite.version, UINT64_MAX);
    for (int i = 0; i < 2; ++i) {
      const auto sent = socket(pair.sender).send(kTypeApplicationData, bytes_of("x"));
      ASSERT_FALSE(sent.has_value());
      EXPECT_EQ(sent.error().sys_errno, EBADMSG);
    }
    // The danger that take_error() warns of: the same nonces again.
    EXPECT_EQ(socket(pair.sender).take_error().value_or(-1), EBADMSG);
    EXPECT_TRUE(socket(pair.sender).send(kTypeApplicationData, bytes_of("x")).has_value());
    EXPECT_EQ(sequence_of(pair.sender, Direction::kTransmit, suite.cipher), 1U);
  }
}

TEST_P(KernelContract, JoinsApplicationDataAndStopsAtAnotherType) {
  const Pair pair = attached_pair();
  ASSERT_EQ(errno_of(socket(pair.sender)
                         .install(Direction::kTransmit,
                                  contract_info(Cipher::kAes128Gcm, Version::kTls12))),
            0);
  for (const char* piece : {"one ", "two "}) {
    send_all(pair.sender, kTypeApplicationData, bytes_of(piece));
  }
  send_all(pair.sender, kTypeAlert, {1, 0});
  send_all(pair.sender, kTypeApplicationData, bytes_of("three"));
  // Installed when all is there: what was queued before is decrypted too.
  ASSERT_EQ(errno_of(socket(pair.receiver)
                         .install(Direction::kReceive,
                                  contract_info(Cipher::kAes128Gcm, Version::kTls12))),
            0);
  expect_record(pair.receiver, kTypeApplicationData, bytes_of("one two "));
  expect_record(pair.receiver, kTypeAlert, {1, 0});
  expect_record(pair.receiver, kTypeApplicationData, bytes_of("three"));
}

TEST_P(KernelContract, TellsTheTypeWithEveryPieceOfAControlRecord) {
  const Pair pair = installed_pair(Cipher::kChaCha20Poly1305, Version::kTls13);
  send_all(pair.sender, kTypeHandshake, bytes_of("abcd"));
  Bytes buffer(3);
  auto received = receive(pair.receiver, buffer);
  ASSERT_TRUE(received.has_value());
  EXPECT_EQ(received->type, kTypeHandshake);
  EXPECT_EQ(received->size, 3U);
  EXPECT_FALSE(received->end_of_record);
  received = receive(pair.receiver, buffer);
  ASSERT_TRUE(received.has_value());
  EXPECT_EQ(received->type, kTypeHandshake);
  EXPECT_EQ(received->size, 1U);
  EXPECT_TRUE(received->end_of_record);
}

TEST_P(KernelContract, AnswersEioToAPlainReadOfAControlRecordUntilItIsTaken) {
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  send_all(pair.sender, kTypeAlert, {1, 0});
  Bytes buffer(64);
  EXPECT_EQ(plain_receive(pair.receiver, buffer), -EIO);
  EXPECT_EQ(plain_receive(pair.receiver, buffer), -EIO);
  expect_record(pair.receiver, kTypeAlert, {1, 0});
  send_all(pair.sender, kTypeApplicationData, bytes_of("plain"));
  EXPECT_EQ(plain_receive(pair.receiver, buffer), 5);
}

TEST_P(KernelContract, TellsAnEmptyControlRecordFromTheEndOfTheStream) {
  for (const Version version : {Version::kTls12, Version::kTls13}) {
    const Pair pair = receiving_pair(Cipher::kAes128Gcm, version);
    write_raw(pair.sender, kernel().empty_record(version, kTypeHandshake));
    Bytes buffer(64);
    auto received = receive(pair.receiver, buffer);
    ASSERT_TRUE(received.has_value()) << received.error().message();
    EXPECT_EQ(received->type, kTypeHandshake);
    EXPECT_EQ(received->size, 0U);
    EXPECT_FALSE(received->end_of_stream);
    kernel().shutdown_write(pair.sender);
    received = receive(pair.receiver, buffer);
    ASSERT_TRUE(received.has_value()) << received.error().message();
    EXPECT_TRUE(received->end_of_stream);
  }
}

TEST_P(KernelContract, SkipsAnEmptyApplicationDataRecord) {
  for (const Version version : {Version::kTls12, Version::kTls13}) {
    const Pair pair = receiving_pair(Cipher::kAes128Gcm, version);
    Bytes stream = kernel().empty_record(version, kTypeApplicationData);
    const Bytes next = sealed(contract_info(Cipher::kAes128Gcm, version, 1), kTypeApplicationData,
                              bytes_of("after nothing"));
    stream.insert(stream.end(), next.begin(), next.end());
    write_raw(pair.sender, stream);
    expect_record(pair.receiver, kTypeApplicationData, bytes_of("after nothing"));
  }
}

TEST_P(KernelContract, AnswersZeroWithATypeForEmptyDataBeforeAControlRecord) {
  const Pair pair = attached_pair();
  Bytes stream = kernel().empty_record(Version::kTls13, kTypeApplicationData);
  const Bytes alert =
      sealed(contract_info(Cipher::kAes128Gcm, Version::kTls13, 1), kTypeAlert, {1, 0});
  stream.insert(stream.end(), alert.begin(), alert.end());
  write_raw(pair.sender, stream);
  ASSERT_EQ(errno_of(socket(pair.receiver)
                         .install(Direction::kReceive,
                                  contract_info(Cipher::kAes128Gcm, Version::kTls13))),
            0);
  expect_record(pair.receiver, kTypeApplicationData, {});
  expect_record(pair.receiver, kTypeAlert, {1, 0});
}

TEST_P(KernelContract, AnswersEagainUntilAWholeRecordIsThere) {
  const Pair pair = receiving_pair(Cipher::kAes128Gcm, Version::kTls13);
  const Bytes record = sealed(contract_info(Cipher::kAes128Gcm, Version::kTls13),
                              kTypeApplicationData, bytes_of("whole"));
  Bytes buffer(64);
  for (std::size_t i = 0; i < record.size(); ++i) {
    const auto received = socket(pair.receiver).receive(buffer);
    ASSERT_FALSE(received.has_value());
    EXPECT_EQ(received.error().sys_errno, EAGAIN);
    write_raw(pair.sender, {record[i]});
  }
  expect_record(pair.receiver, kTypeApplicationData, bytes_of("whole"));
}

TEST_P(KernelContract, ReadsAFinWithinARecordAsTheEndOfTheStream) {
  const Pair pair = receiving_pair(Cipher::kAes128Gcm, Version::kTls13);
  Bytes record = sealed(contract_info(Cipher::kAes128Gcm, Version::kTls13), kTypeApplicationData,
                        bytes_of("cut"));
  record.pop_back();
  write_raw(pair.sender, record);
  kernel().shutdown_write(pair.sender);
  Bytes buffer(64);
  const auto received = receive(pair.receiver, buffer);
  ASSERT_TRUE(received.has_value()) << received.error().message();
  EXPECT_TRUE(received->end_of_stream);
}

TEST_P(KernelContract, FillsTheSendBufferToEagainAndLosesNothing) {
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  const Bytes chunk = pattern(100000);
  std::size_t sent_size = 0;
  while (true) {
    const auto sent = socket(pair.sender).send(kTypeApplicationData, chunk);
    if (!sent) {
      ASSERT_EQ(sent.error().sys_errno, EAGAIN);
      break;
    }
    sent_size += *sent;
    // A short count begins a new chunk: the pattern is compared by the same rule below.
    if (*sent < chunk.size()) break;
  }
  ASSERT_GT(sent_size, 0U);
  Bytes buffer(65536);
  std::size_t received_size = 0;
  while (received_size < sent_size) {
    const auto received = receive(pair.receiver, buffer);
    ASSERT_TRUE(received.has_value()) << received.error().message();
    ASSERT_GT(received->size, 0U);
    for (std::size_t i = 0; i < received->size; ++i) {
      ASSERT_EQ(buffer[i], chunk[(received_size + i) % chunk.size()]);
    }
    received_size += received->size;
  }
  EXPECT_EQ(received_size, sent_size);
}

TEST_P(KernelContract, ReportsHostileHeadersByErrno) {
  struct Hostile {
    const char* what;
    Bytes bytes;
    int sys_errno;
  };
  const std::array<Hostile, 5> hostile{{
      {"longer than any record", {23, 3, 3, 0x50, 0x00}, EMSGSIZE},
      {"a status line in plaintext", bytes_of("HTTP/1.1 200 OK\r\n"), EMSGSIZE},
      {"a request in plaintext", bytes_of("GET / HTTP/1.1\r\n\r\n"), EINVAL},
      {"shorter than a tag", {20, 3, 3, 0, 1, 1}, EBADMSG},
      {"the version of TLS 1.0", {23, 3, 1, 0, 64}, EINVAL},
  }};
  for (const Hostile& input : hostile) {
    SCOPED_TRACE(input.what);
    const Pair pair = receiving_pair(Cipher::kAes128Gcm, Version::kTls13);
    write_raw(pair.sender, input.bytes);
    expect_receive_error(pair.receiver, input.sys_errno);
    Bytes buffer(64);
    const auto again = socket(pair.receiver).receive(buffer);
    ASSERT_FALSE(again.has_value());
    EXPECT_EQ(again.error().sys_errno, EAGAIN) << "an error is reported once";
  }
}

TEST_P(KernelContract, ChecksHeadersOfExplicitNoncesOnlyWithTheNonce) {
  const Pair pair = receiving_pair(Cipher::kAes128Gcm, Version::kTls12);
  Bytes buffer(64);
  write_raw(pair.sender, {23, 3, 1, 0, 64});
  write_raw(pair.sender, Bytes(7));
  const auto received = socket(pair.receiver).receive(buffer);
  ASSERT_FALSE(received.has_value());
  EXPECT_EQ(received.error().sys_errno, EAGAIN);
  write_raw(pair.sender, Bytes(1));
  expect_receive_error(pair.receiver, EINVAL);
}

TEST_P(KernelContract, RefusesToSendAfterARecordThatDoesNotOpenUntilTheErrorIsTaken) {
  for (const Suite& suite : suites()) {
    SCOPED_TRACE(name_of(suite));
    const Pair pair = receiving_pair(suite.cipher, suite.version);
    const CryptoInfo info = contract_info(suite.cipher, suite.version);
    const CryptoInfo back = contract_info(suite.cipher, suite.version, 0, 1);
    ASSERT_EQ(errno_of(socket(pair.receiver).install(Direction::kTransmit, back)), 0);
    ASSERT_EQ(errno_of(socket(pair.sender).install(Direction::kReceive, back)), 0);
    Bytes record = sealed(info, kTypeApplicationData, bytes_of("tampered with"));
    record.back() ^= 1;
    write_raw(pair.sender, record);
    expect_receive_error(pair.receiver, EBADMSG);

    const Bytes alert{2, 20};
    const auto refused = socket(pair.receiver).send(kTypeAlert, alert);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().sys_errno, EBADMSG);
    EXPECT_EQ(socket(pair.receiver).take_error().value_or(-1), EBADMSG);
    EXPECT_EQ(socket(pair.receiver).take_error().value_or(-1), 0);
    send_all(pair.receiver, kTypeAlert, alert);
    expect_record(pair.sender, kTypeAlert, alert);
  }
}

TEST_P(KernelContract, SendsAfterAHeaderThatIsNoRecords) {
  const Pair pair = receiving_pair(Cipher::kAes128Gcm, Version::kTls13);
  const CryptoInfo back = contract_info(Cipher::kAes128Gcm, Version::kTls13, 0, 1);
  ASSERT_EQ(errno_of(socket(pair.receiver).install(Direction::kTransmit, back)), 0);
  ASSERT_EQ(errno_of(socket(pair.sender).install(Direction::kReceive, back)), 0);
  write_raw(pair.sender, {23, 3, 3, 0x50, 0});
  expect_receive_error(pair.receiver, EMSGSIZE);
  send_all(pair.receiver, kTypeAlert, {2, 22});
  expect_record(pair.sender, kTypeAlert, {2, 22});
}

TEST_P(KernelContract, CountsAsSentWhatItDropsAfterItsOwnShutdown) {
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  kernel().shutdown_write(pair.sender);
  EXPECT_EQ(socket(pair.sender).send(kTypeApplicationData, bytes_of("gone")).value_or(0), 4U);
  EXPECT_EQ(sequence_of(pair.sender, Direction::kTransmit, Cipher::kAes128Gcm), 1U);
  Bytes buffer(64);
  const auto received = receive(pair.receiver, buffer);
  ASSERT_TRUE(received.has_value()) << received.error().message();
  EXPECT_TRUE(received->end_of_stream);
}

TEST_P(KernelContract, NeitherSendsNorReceivesUnconnected) {
  const int fd = own(kernel().tcp_socket());
  Bytes buffer(1);
  const auto sent = socket(fd).send(kTypeApplicationData, buffer);
  ASSERT_FALSE(sent.has_value());
  EXPECT_EQ(sent.error().sys_errno, EPIPE);
  const auto received = socket(fd).receive(buffer);
  ASSERT_FALSE(received.has_value());
  EXPECT_EQ(received.error().sys_errno, ENOTCONN);
}

TEST_P(KernelContract, PausesAfterAKeyUpdateOnlyWhereItCanRekey) {
  const Bytes key_update{24, 0, 0, 1, 0};
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  send_all(pair.sender, kTypeHandshake, key_update);
  expect_record(pair.receiver, kTypeHandshake, key_update);
  if (!kernel().rekeys()) {
    send_all(pair.sender, kTypeApplicationData, bytes_of("same key"));
    expect_record(pair.receiver, kTypeApplicationData, bytes_of("same key"));
    return;
  }
  expect_receive_error(pair.receiver, EKEYEXPIRED);
  const CryptoInfo next = contract_info(Cipher::kAes128Gcm, Version::kTls13, 0, 1);
  ASSERT_EQ(errno_of(socket(pair.sender).install(Direction::kTransmit, next)), 0);
  send_all(pair.sender, kTypeApplicationData, bytes_of("next key"));
  expect_receive_error(pair.receiver, EKEYEXPIRED);
  ASSERT_EQ(errno_of(socket(pair.receiver).install(Direction::kReceive, next)), 0);
  expect_record(pair.receiver, kTypeApplicationData, bytes_of("next key"));
}

TEST_P(KernelContract, SendsInPlaintextUntilTheKeysAreInstalled) {
  const Pair pair = attached_pair();
  send_all(pair.sender, kTypeAlert, bytes_of("bare"));
  EXPECT_EQ(read_raw(pair.receiver, 4), bytes_of("bare"));
}

TEST_P(KernelContract, ReceiveRefusesBytesThatAreNoRecords) {
  const Pair pair = attached_pair();
  write_raw(pair.sender, bytes_of("bare"));
  Bytes buffer(64);
  const auto received = receive(pair.receiver, buffer);
  ASSERT_FALSE(received.has_value());
  EXPECT_EQ(received.error().code, ErrorCode::kProtocolViolation);
}

TEST_P(KernelContract, RefusesForeignControlMessagesAndMoreWithAType) {
  const Pair pair = installed_pair(Cipher::kAes128Gcm, Version::kTls13);
  const auto send_with = [&](int level, int type, int flags) {
    std::uint8_t byte = 'x';
    iovec part{&byte, 1};
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(1)> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = level;
    header->cmsg_type = type;
    header->cmsg_len = CMSG_LEN(1);
    *CMSG_DATA(header) = kTypeAlert;
    const ssize_t sent = syscalls().sendmsg(pair.sender, &message, flags | MSG_DONTWAIT);
    return sent < 0 ? -errno : static_cast<int>(sent);
  };
  EXPECT_EQ(send_with(SOL_IP, 1, 0), -EINVAL);
  EXPECT_EQ(send_with(SOL_TLS, TLS_GET_RECORD_TYPE, 0), -EINVAL);
  EXPECT_EQ(send_with(SOL_TLS, TLS_SET_RECORD_TYPE, MSG_MORE), -EINVAL);
  EXPECT_EQ(send_with(SOL_TLS, TLS_SET_RECORD_TYPE, MSG_OOB), -EOPNOTSUPP);
  EXPECT_EQ(send_with(SOL_TLS, TLS_SET_RECORD_TYPE, 0), 1);
  expect_record(pair.receiver, kTypeAlert, bytes_of("x"));
}

TEST_P(KernelContract, SaysThatItWaitsForAKeyAsOftenAsItIsAskedInTls12Too) {
  for (const Version version : {Version::kTls12, Version::kTls13}) {
    const Pair pair = installed_pair(Cipher::kAes128Gcm, version);
    std::array<std::uint8_t, 16> buffer{};
    const auto asked = [&] { return socket(pair.receiver).receive(buffer).error().sys_errno; };
    EXPECT_EQ(asked(), EAGAIN) << "nothing has come";
    const Bytes key_update = {24, 0, 0, 1, 0};
    send_all(pair.sender, kTypeHandshake, key_update);
    expect_record(pair.receiver, kTypeHandshake, key_update);
    const int waiting = kernel().rekeys() ? EKEYEXPIRED : EAGAIN;
    EXPECT_EQ(asked(), waiting);
    EXPECT_EQ(asked(), waiting);
    const CryptoInfo next = contract_info(Cipher::kAes128Gcm, version, 0, 1);
    const bool changes = kernel().rekeys() && version == Version::kTls13;
    EXPECT_EQ(errno_of(socket(pair.receiver).install(Direction::kReceive, next)),
              changes ? 0 : EBUSY);
    EXPECT_EQ(asked(), changes ? EAGAIN : waiting);
  }
}

}  // namespace
}  // namespace ktls
