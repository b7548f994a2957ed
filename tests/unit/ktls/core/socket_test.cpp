// TlsSocket where the kernel does what no contract promises; the rest is in KernelContract.
#include "ktls/core/socket.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <vector>

#include <gtest/gtest.h>

#include "ktls/core/linux_tls.h"
#include "ktls/core/reason.h"
#include "tests/support/fake_kernel.h"

namespace ktls {
namespace {

using Bytes = std::vector<std::uint8_t>;

CryptoInfo some_info() {
  RecordKeys keys;
  keys.key = RecordKey(Bytes(16, 1));
  keys.iv = RecordIv(Bytes(12, 2));
  keys.sequence = 5;
  return *encode(keys);
}

class TlsSocketTest : public ::testing::Test {
 protected:
  TlsSocketTest() { kernel_.tcp_pair(fds_); }
  ~TlsSocketTest() override {
    for (const int fd : fds_) kernel_.close(fd);
    EXPECT_EQ(kernel_.open_descriptors(), 0U);
  }
  TlsSocket socket(int end = 0) { return TlsSocket(fds_[end], kernel_); }
  void attach_and_install() {
    ASSERT_TRUE(socket().attach().has_value());
    ASSERT_TRUE(socket().install(Direction::kTransmit, some_info()).has_value());
    ASSERT_TRUE(socket().install(Direction::kReceive, some_info()).has_value());
  }

  FakeKernel kernel_;
  int fds_[2] = {-1, -1};
};

TEST_F(TlsSocketTest, TakesEexistForSuccessOnlyIfTlsIsWhatIsAttached) {
  kernel_.attach_other_ulp(fds_[0], "smc");
  const auto refused = socket(0).attach();
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().sys_errno, EEXIST);
  EXPECT_EQ(reason_of_attach(refused.error().sys_errno), Reason::kOtherUlp);

  ASSERT_TRUE(socket(1).attach().has_value());
  EXPECT_TRUE(socket(1).attach().has_value());
  EXPECT_EQ(kernel_.calls(FakeCall::kReadUlp), 2U);
}

TEST_F(TlsSocketTest, KeepsEexistWhenTheAttachedProtocolCannotBeAsked) {
  ASSERT_TRUE(socket().attach().has_value());
  kernel_.fail(FakeCall::kReadUlp, 1, EPERM);
  const auto refused = socket().attach();
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().sys_errno, EEXIST);
}

TEST_F(TlsSocketTest, RefusesAProtocolWhoseNameOnlyBeginsWithTls) {
  for (const char* name : {"tls2", "tl", "tlstlstlstlstls"}) {
    kernel_.attach_other_ulp(fds_[0], name);
    EXPECT_FALSE(socket().attach().has_value()) << name;
  }
}

TEST_F(TlsSocketTest, NamesTheFailingCallInEveryError) {
  kernel_.fail(FakeCall::kAttach, 1, EPERM);
  EXPECT_EQ(socket().attach().error().message(), "setsockopt(TCP_ULP): Operation not permitted");
  attach_and_install();
  const auto expect_named = [&](FakeCall call, const std::function<Error()>& act,
                                const std::string& name) {
    kernel_.fail(call, 1, ENOMEM);
    const Error error = act();
    EXPECT_EQ(error.code, ErrorCode::kSystem);
    EXPECT_EQ(error.message(), name + ": Cannot allocate memory");
  };
  Bytes buffer(8);
  const CryptoInfo info = some_info();
  expect_named(
      FakeCall::kInstallTransmit,
      [&] { return socket().install(Direction::kTransmit, info).error(); }, "setsockopt(TLS_TX)");
  expect_named(
      FakeCall::kInstallReceive,
      [&] { return socket().install(Direction::kReceive, info).error(); }, "setsockopt(TLS_RX)");
  expect_named(
      FakeCall::kReadKeys,
      [&] { return socket().sequence(Direction::kTransmit, Cipher::kAes128Gcm).error(); },
      "getsockopt(TLS_TX)");
  expect_named(
      FakeCall::kReadKeys,
      [&] { return socket().sequence(Direction::kReceive, Cipher::kAes128Gcm).error(); },
      "getsockopt(TLS_RX)");
  expect_named(
      FakeCall::kTakeError, [&] { return socket().take_error().error(); }, "getsockopt(SO_ERROR)");
  expect_named(
      FakeCall::kOtherOption, [&] { return socket().set_zerocopy_transmit(true).error(); },
      "setsockopt(TLS_TX_ZEROCOPY_RO)");
  expect_named(
      FakeCall::kOtherOption, [&] { return socket().set_expect_no_padding(true).error(); },
      "setsockopt(TLS_RX_EXPECT_NO_PAD)");
  expect_named(
      FakeCall::kOtherOption, [&] { return socket().set_payload_max(512).error(); },
      "setsockopt(TLS_TX_MAX_PAYLOAD_LEN)");
  expect_named(
      FakeCall::kSend, [&] { return socket().send(23, buffer).error(); }, "sendmsg");
  expect_named(
      FakeCall::kReceive, [&] { return socket().receive(buffer).error(); }, "recvmsg");
}

TEST_F(TlsSocketTest, RetriesSendAndReceiveThatASignalInterrupted) {
  attach_and_install();
  const Bytes payload{1, 2, 3};
  for (const std::size_t nth : {1U, 2U, 3U}) kernel_.fail(FakeCall::kSend, nth, EINTR);
  EXPECT_EQ(socket().send(23, payload).value_or(0), 3U);
  EXPECT_EQ(kernel_.calls(FakeCall::kSend), 4U);

  kernel_.queue_record(fds_[0], 22, payload);
  for (const std::size_t nth : {1U, 2U}) kernel_.fail(FakeCall::kReceive, nth, EINTR);
  Bytes buffer(8);
  const auto received = socket().receive(buffer);
  ASSERT_TRUE(received.has_value());
  EXPECT_EQ(received->type, 22);
  EXPECT_EQ(received->size, 3U);
}

TEST_F(TlsSocketTest, LeavesNoRecordOpenButOneOfApplicationData) {
  attach_and_install();
  const Bytes payload{1, 0};
  EXPECT_EQ(socket().send(21, payload, More::kYes).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(kernel_.calls(FakeCall::kSend), 0U);
  EXPECT_EQ(socket().send(23, payload, More::kYes).value_or(0), 2U);
  EXPECT_TRUE(kernel_.sent_records(fds_[0]).empty());
}

TEST_F(TlsSocketTest, RefusesEmptyBuffersWithoutACall) {
  attach_and_install();
  EXPECT_EQ(socket().send(21, {}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(socket().send(23, {}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(socket().receive({}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(kernel_.calls(FakeCall::kSend) + kernel_.calls(FakeCall::kReceive), 0U);
}

TEST_F(TlsSocketTest, ReadsTheSequenceNumberOfEachDirection) {
  attach_and_install();
  kernel_.queue_record(fds_[0], 23, Bytes{1});
  Bytes buffer(8);
  ASSERT_TRUE(socket().receive(buffer).has_value());
  EXPECT_EQ(socket().sequence(Direction::kReceive, Cipher::kAes128Gcm).value_or(0), 6U);
  EXPECT_EQ(socket().sequence(Direction::kTransmit, Cipher::kAes128Gcm).value_or(0), 5U);
}

// A kernel that shows what it was asked, and answers recvmsg as a test says.
class ScriptedKernel final : public Syscalls {
 public:
  int setsockopt(int, int, int, const void*, socklen_t) override { return unexpected(); }
  int getsockopt(int, int, int, void*, socklen_t*) override { return unexpected(); }
  int poll(int, short, int) override { return unexpected(); }
  int tcp_pair(int*) override { return unexpected(); }
  int close(int) override { return unexpected(); }
  ssize_t sendmsg(int, const msghdr* message, int flags) override {
    sent_flags = flags;
    sent_control_size = message->msg_controllen;
    if (message->msg_controllen != 0) {
      sent_control.resize(message->msg_controllen);
      std::memcpy(sent_control.data(), message->msg_control, message->msg_controllen);
    }
    return static_cast<ssize_t>(message->msg_iov[0].iov_len);
  }
  ssize_t recvmsg(int, msghdr* message, int flags) override {
    received_flags = flags;
    return answer(*message);
  }

  std::function<ssize_t(msghdr&)> answer;
  int sent_flags = 0;
  int received_flags = 0;
  std::size_t sent_control_size = 0;
  Bytes sent_control;

 private:
  static int unexpected() {
    ADD_FAILURE() << "unexpected call";
    return -1;
  }
};

ssize_t answer_with_cmsg(msghdr& message, int level, int type, std::size_t length, ssize_t size) {
  EXPECT_GE(message.msg_controllen, CMSG_SPACE(1));
  auto* header = static_cast<cmsghdr*>(message.msg_control);
  header->cmsg_level = level;
  header->cmsg_type = type;
  header->cmsg_len = CMSG_LEN(length);
  *CMSG_DATA(header) = 21;
  return size;
}

TEST(TlsSocketCalls, NeverBlockAndNeverRaiseSigpipe) {
  ScriptedKernel kernel;
  TlsSocket socket(3, kernel);
  ASSERT_TRUE(socket.send(23, Bytes{1}).has_value());
  EXPECT_EQ(kernel.sent_flags, MSG_DONTWAIT | MSG_NOSIGNAL);
  kernel.answer = [](msghdr& message) {
    return answer_with_cmsg(message, SOL_TLS, TLS_GET_RECORD_TYPE, 1, 1);
  };
  Bytes buffer(1);
  ASSERT_TRUE(socket.receive(buffer).has_value());
  EXPECT_EQ(kernel.received_flags, MSG_DONTWAIT);
}

TEST(TlsSocketCalls, SendApplicationDataWithoutAndOtherTypesWithAControlMessage) {
  ScriptedKernel kernel;
  TlsSocket socket(3, kernel);
  ASSERT_TRUE(socket.send(23, Bytes{1}).has_value());
  EXPECT_EQ(kernel.sent_control_size, 0U);
  ASSERT_TRUE(socket.send(21, Bytes{1, 0}).has_value());
  ASSERT_EQ(kernel.sent_control_size, CMSG_SPACE(1));
  cmsghdr header{};
  std::memcpy(&header, kernel.sent_control.data(), sizeof header);
  EXPECT_EQ(header.cmsg_level, SOL_TLS);
  EXPECT_EQ(header.cmsg_type, TLS_SET_RECORD_TYPE);
  EXPECT_EQ(header.cmsg_len, CMSG_LEN(1));
  EXPECT_EQ(kernel.sent_control[sizeof header], 21);
}

TEST(TlsSocketCalls, RefuseControlDataThatIsNotARecordType) {
  ScriptedKernel kernel;
  TlsSocket socket(3, kernel);
  struct Foreign {
    int level;
    int type;
    std::size_t length;
  };
  for (const Foreign& foreign :
       {Foreign{SOL_SOCKET, TLS_GET_RECORD_TYPE, 1}, Foreign{SOL_TLS, TLS_SET_RECORD_TYPE, 1},
        Foreign{SOL_TLS, TLS_GET_RECORD_TYPE, 0}, Foreign{SOL_TLS, TLS_GET_RECORD_TYPE, 4}}) {
    kernel.answer = [&](msghdr& message) {
      return answer_with_cmsg(message, foreign.level, foreign.type, foreign.length, 1);
    };
    Bytes buffer(1);
    const auto received = socket.receive(buffer);
    ASSERT_FALSE(received.has_value());
    EXPECT_EQ(received.error().code, ErrorCode::kProtocolViolation);
  }
}

TEST(TlsSocketCalls, RefuseControlDataThatWasCutOff) {
  ScriptedKernel kernel;
  TlsSocket socket(3, kernel);
  kernel.answer = [](msghdr& message) {
    message.msg_flags = MSG_CTRUNC;
    return answer_with_cmsg(message, SOL_TLS, TLS_GET_RECORD_TYPE, 1, 1);
  };
  Bytes buffer(1);
  const auto received = socket.receive(buffer);
  ASSERT_FALSE(received.has_value());
  EXPECT_EQ(received.error().code, ErrorCode::kProtocolViolation);
}

}  // namespace
}  // namespace ktls
