// FakeKernel's own conveniences; what it shares with the kernel is in KernelContract.
#include "tests/support/fake_kernel.h"

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "ktls/core/linux_tls.h"
#include "ktls/core/socket.h"

namespace ktls {
namespace {

using Bytes = std::vector<std::uint8_t>;

CryptoInfo some_info(Version version = Version::kTls13) {
  RecordKeys keys;
  keys.version = version;
  keys.key = RecordKey(Bytes(16, 1));
  keys.iv = RecordIv(Bytes(iv_size_of(version, keys.cipher), 2));
  return *encode(keys);
}

TEST(FakeKernel, FailsTheNthCallOfAKindOnce) {
  FakeKernel kernel;
  int fds[2] = {-1, -1};
  ASSERT_EQ(kernel.tcp_pair(fds), 0);
  kernel.fail(FakeCall::kPair, 2, EMFILE);
  ASSERT_EQ(kernel.tcp_pair(fds), 0);
  EXPECT_EQ(kernel.tcp_pair(fds), -1);
  EXPECT_EQ(errno, EMFILE);
  EXPECT_EQ(kernel.tcp_pair(fds), 0);
  EXPECT_EQ(kernel.calls(FakeCall::kPair), 4U);
  EXPECT_EQ(kernel.open_descriptors(), 6U);
}

TEST(FakeKernel, FailsEveryCallOfAKindUntilTold) {
  FakeKernel kernel;
  int fds[2] = {-1, -1};
  ASSERT_EQ(kernel.tcp_pair(fds), 0);
  kernel.fail_always(FakeCall::kAttach, EPERM);
  TlsSocket socket(fds[0], kernel);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(socket.attach().error().sys_errno, EPERM);
  kernel.fail_always(FakeCall::kAttach, 0);
  EXPECT_TRUE(socket.attach().has_value());
}

TEST(FakeKernel, ClosesEvenWhenCloseFailsAndKnowsASecondClose) {
  FakeKernel kernel;
  int fds[2] = {-1, -1};
  ASSERT_EQ(kernel.tcp_pair(fds), 0);
  kernel.fail(FakeCall::kClose, 1, EINTR);
  EXPECT_EQ(kernel.close(fds[0]), -1);
  EXPECT_EQ(errno, EINTR);
  EXPECT_EQ(kernel.open_descriptors(), 1U);
  EXPECT_EQ(kernel.close(fds[0]), -1);
  EXPECT_EQ(errno, EBADF);
}

TEST(FakeKernel, NeverUsesADescriptorNumberTwice) {
  FakeKernel kernel;
  const int first = kernel.tcp_socket();
  kernel.close(first);
  EXPECT_NE(kernel.tcp_socket(), first);
}

TEST(FakeKernel, KeepsWhatWasSentAsPlaintext) {
  FakeKernel kernel;
  int fds[2] = {-1, -1};
  ASSERT_EQ(kernel.tcp_pair(fds), 0);
  TlsSocket socket(fds[0], kernel);
  ASSERT_TRUE(socket.attach().has_value());
  ASSERT_TRUE(socket.install(Direction::kTransmit, some_info()).has_value());
  ASSERT_TRUE(socket.send(23, Bytes{1, 2}).has_value());
  ASSERT_TRUE(socket.send(21, Bytes{1, 0}).has_value());
  EXPECT_EQ(kernel.sent_records(fds[0]), (std::vector<FakeRecord>{{23, {1, 2}}, {21, {1, 0}}}));
}

TEST(FakeKernel, QueuesRecordsOfAPeerThatIsTheTest) {
  for (const Version version : {Version::kTls12, Version::kTls13}) {
    FakeKernel kernel;
    int fds[2] = {-1, -1};
    ASSERT_EQ(kernel.tcp_pair(fds), 0);
    TlsSocket socket(fds[0], kernel);
    ASSERT_TRUE(socket.attach().has_value());
    ASSERT_TRUE(socket.install(Direction::kReceive, some_info(version)).has_value());
    kernel.queue_record(fds[0], 22, Bytes{4, 0});
    kernel.queue_record(fds[0], 22, {});
    kernel.queue_record(fds[0], 23, Bytes{9});
    Bytes buffer(8);
    for (const auto& [type, size] : {std::pair{22, 2U}, std::pair{22, 0U}, std::pair{23, 1U}}) {
      const auto received = socket.receive(buffer);
      ASSERT_TRUE(received.has_value());
      EXPECT_EQ(received->type, type);
      EXPECT_EQ(received->size, size);
      EXPECT_FALSE(received->end_of_stream);
    }
  }
}

TEST(FakeKernel, PutsRecordsOfTheRightLengthOnTheWireAndHidesThePayload) {
  const Bytes payload(100, 'p');
  const Bytes tls13 = fake_seal(some_info(Version::kTls13), 22, payload);
  EXPECT_EQ(tls13.size(), 5U + 100 + 1 + 16);
  EXPECT_EQ(Bytes(tls13.begin(), tls13.begin() + 5), (Bytes{23, 3, 3, 0, 117}));
  const Bytes tls12 = fake_seal(some_info(Version::kTls12), 22, payload);
  EXPECT_EQ(tls12.size(), 5U + 8 + 100 + 16);
  EXPECT_EQ(Bytes(tls12.begin(), tls12.begin() + 5), (Bytes{22, 3, 3, 0, 124}));
  for (const Bytes& record : {tls12, tls13}) {
    EXPECT_EQ(std::ranges::search(record, Bytes(3, 'p')).begin(), record.end());
  }
}

TEST(FakeKeys, OpenNoRecordOfWhichAnyBitWasFlipped) {
  for (const Version version : {Version::kTls12, Version::kTls13}) {
    const CryptoInfo info = some_info(version);
    const FakeKeys keys(*find_fake_cipher(51), info.bytes());
    const Bytes record = fake_seal(info, 23, Bytes{1, 2, 3});
    ASSERT_TRUE(FakeKeys(keys).open(record).has_value());
    for (std::size_t bit = 0; bit < record.size() * 8; ++bit) {
      Bytes flipped(record);
      flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ (1 << bit % 8));
      FakeKeys opener(keys);
      EXPECT_FALSE(opener.open(flipped).has_value()) << "bit " << bit;
      EXPECT_EQ(opener.sequence(), 0U);
    }
  }
}

TEST(FakeKernel, LimitsWhatIsUnderWay) {
  FakeTraits traits;
  traits.wire_capacity = 1000;
  FakeKernel kernel(traits);
  int fds[2] = {-1, -1};
  ASSERT_EQ(kernel.tcp_pair(fds), 0);
  TlsSocket socket(fds[0], kernel);
  ASSERT_TRUE(socket.attach().has_value());
  ASSERT_TRUE(socket.install(Direction::kTransmit, some_info()).has_value());
  EXPECT_EQ(socket.send(23, Bytes(40000)).value_or(0), kFakePlaintextMax)
      << "a short count ends at a record";
  EXPECT_EQ(socket.send(23, Bytes(1)).error().sys_errno, EAGAIN);
}

TEST(FakeKernel, AnswersEnoentForAnAeadThatIsMissing) {
  FakeKernel kernel;
  int fds[2] = {-1, -1};
  ASSERT_EQ(kernel.tcp_pair(fds), 0);
  ASSERT_TRUE(TlsSocket(fds[0], kernel).attach().has_value());
  Bytes sm4(40);
  sm4[0] = 4;
  sm4[1] = 3;
  sm4[2] = 55;
  EXPECT_EQ(kernel.setsockopt(fds[0], SOL_TLS, TLS_TX, sm4.data(), 40), -1);
  EXPECT_EQ(errno, ENOENT);
}

TEST(FakeKernel, KnowsNoOptionThatItDoesNotModel) {
  FakeKernel kernel;
  const int fd = kernel.tcp_socket();
  int value = 0;
  socklen_t size = sizeof value;
  EXPECT_EQ(kernel.setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, size), -1);
  EXPECT_EQ(errno, ENOPROTOOPT);
  EXPECT_EQ(kernel.getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &size), -1);
  EXPECT_EQ(errno, ENOPROTOOPT);
}

}  // namespace
}  // namespace ktls
