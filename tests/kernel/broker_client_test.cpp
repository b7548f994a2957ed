// The client library on sockets whose TLS is the kernel's: records of every kind from a peer with
// the same keys, and a broker that does as the test says.
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ktls/core/capability.h"
#include "ktls/core/socket.h"
#include "tests/support/kernel_contract.h"
#include "tests/unit/userspace/broker/fake_broker.h"
#include "userspace/broker/ktls_bridge_client.h"

namespace broker {
namespace {

using ktls::Bytes;
using ktls::Cipher;
using ktls::contract_info;
using ktls::Direction;
using ktls::kTypeAlert;
using ktls::kTypeApplicationData;
using ktls::kTypeHandshake;
using ktls::TlsSocket;
using ktls::Version;

constexpr std::uint8_t kNextKey = 1;  // the shift of keys after a KeyUpdate
const Bytes kCloseNotify{1, 0};
const Bytes kTicket{4, 0, 0, 3, 7, 7, 7};
const Bytes kTwoTickets{4, 0, 0, 1, 7, 4, 0, 0, 0};
const Bytes kHalfTicket{4, 0, 0, 9, 7};
const Bytes kKeyUpdate{24, 0, 0, 1, 0};

void install(int fd, Version version, Direction direction, std::uint8_t shift = 0) {
  const auto info = contract_info(Cipher::kAes128Gcm, version, 0, shift);
  EXPECT_TRUE(TlsSocket(fd).install(direction, info));
}

void make_tls(int fd, Version version) {
  EXPECT_TRUE(TlsSocket(fd).attach());
  install(fd, version, Direction::kReceive);
  install(fd, version, Direction::kTransmit);
}

std::uint64_t cookie_of(int fd) {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  EXPECT_EQ(::getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size), 0);
  return cookie;
}

class KernelClient : public ::testing::TestWithParam<Version> {
 protected:
  void SetUp() override {
    if (ktls::probe().attach_errno != 0) {
      if (std::getenv("KTLS_BRIDGE_REQUIRE_KTLS") != nullptr) FAIL() << "no kernel TLS here";
      GTEST_SKIP() << "no kernel TLS here";
    }
    pair_ = tcp_pair();
    make_tls(ours(), GetParam());
    make_tls(peer(), GetParam());
  }

  [[nodiscard]] int ours() const { return pair_.ours.get(); }
  [[nodiscard]] int peer() const { return pair_.peer.get(); }

  // A broker that notes what it is asked, and answers all of it the same way.
  void start_broker(const Answer& answer, std::function<void(const Asked&)> first = {}) {
    broker_.emplace(path_.path(), [this, answer, first](Asked asked) {
      if (first) first(asked);
      const int fd = asked.answers.get();
      const std::lock_guard locked(mutex_);
      asked_.push_back(std::move(asked));
      send_answer(fd, answer);
    });
  }

  void await_asked() {
    for (int i = 0; i < 30'000; ++i) {
      {
        const std::lock_guard locked(mutex_);
        if (!asked_.empty()) return;
      }
      ::usleep(1000);
    }
  }

  std::vector<Asked> all_asked() {
    broker_.reset();
    return std::move(asked_);
  }

  void send(std::uint8_t type, const Bytes& content) const {
    const auto sent = TlsSocket(peer()).send(type, content);
    ASSERT_TRUE(sent) << sent.error().sys_errno;
    ASSERT_EQ(*sent, content.size());
  }
  void send(std::string_view text) const { send(kTypeApplicationData, ktls::bytes_of(text)); }

  // What ktlsb_read() gives, by calls of that size, until it gives `size` bytes or nothing more.
  [[nodiscard]] std::string read(std::size_t size) const {
    std::string text(size, '\0');
    std::size_t used = 0;
    while (used < size) {
      const ssize_t bytes = ktlsb_read(ours(), text.data() + used, size - used);
      if (bytes <= 0) break;
      used += static_cast<std::size_t>(bytes);
    }
    text.resize(used);
    return text;
  }

  void expect_read_fails(int error) const {
    char byte = 0;
    EXPECT_EQ(ktlsb_read(ours(), &byte, 1), -1);
    EXPECT_EQ(errno, error) << ktlsb_error_text();
  }

  void await_readable(int fd) const {
    pollfd wanted{fd, POLLIN, 0};
    EXPECT_EQ(::poll(&wanted, 1, 30'000), 1);
  }

  // The next record that the peer gets; nothing at its end.
  [[nodiscard]] std::optional<std::pair<std::uint8_t, Bytes>> next_of_peer() const {
    Bytes room(20'000);
    for (;;) {
      await_readable(peer());
      const auto received = TlsSocket(peer()).receive(room);
      if (!received && received.error().sys_errno == EAGAIN) continue;
      EXPECT_TRUE(received) << received.error().sys_errno;
      if (!received || received->end_of_stream) return std::nullopt;
      room.resize(received->size);
      return std::pair(received->type, room);
    }
  }

  void expect_alert_and_end(std::uint8_t level, std::uint8_t description) const {
    const auto record = next_of_peer();
    ASSERT_TRUE(record);
    EXPECT_EQ(record->first, kTypeAlert);
    EXPECT_EQ(record->second, (Bytes{level, description}));
    EXPECT_FALSE(next_of_peer());
  }

  void make_nonblocking() const { ::fcntl(ours(), F_SETFL, O_NONBLOCK); }

  // Until the kernel takes no more.
  void fill_send_buffer() const {
    const std::array<char, 16384> bytes{};
    while (::send(ours(), bytes.data(), bytes.size(), MSG_DONTWAIT) > 0) {
    }
    ASSERT_EQ(errno, EAGAIN);
  }

  BrokerPath path_;
  std::mutex mutex_;
  std::vector<Asked> asked_;
  std::optional<FakeBroker> broker_;
  SocketPair pair_;
};

class KernelClientKeys : public KernelClient {};

TEST_P(KernelClient, ReadsDataToCloseNotifyWhichStaysTheEnd) {
  send("all of it");
  send(kTypeAlert, kCloseNotify);
  EXPECT_EQ(read(100), "all of it");
  char byte = 0;
  EXPECT_EQ(ktlsb_read(ours(), &byte, 1), 0);
  pair_.peer.reset();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ktlsb_read(ours(), &byte, 1), 0);
  EXPECT_EQ(ktlsb_control(ours()), 0);
}

TEST_P(KernelClient, CallsAnEndWithoutCloseNotifyATruncation) {
  send("half");
  ::shutdown(peer(), SHUT_WR);
  EXPECT_EQ(read(4), "half");
  expect_read_fails(ECONNRESET);
  expect_read_fails(ECONNRESET);
  EXPECT_EQ(ktlsb_control(ours()), -1);
  EXPECT_EQ(errno, ECONNRESET);
}

TEST_P(KernelClient, HandsHandshakeRecordsToTheBrokerWholeAndReadsOn) {
  start_broker(answer_of(Kind::kDone));
  Bytes large = ktls::pattern(16384);
  send("a");
  send(kTypeHandshake, kTicket);
  send(kTypeHandshake, large);
  send("b");
  EXPECT_EQ(read(2), "ab");
  const std::vector<Asked> asked = all_asked();
  ASSERT_EQ(asked.size(), 2U);
  for (const Asked& each : asked) {
    EXPECT_EQ(each.request.header.kind, Kind::kControl);
    EXPECT_EQ(each.request.record_type, kTypeHandshake);
    EXPECT_EQ(cookie_of(each.subject.get()), cookie_of(ours()));
  }
  EXPECT_EQ(asked[0].payload, kTicket);
  EXPECT_EQ(asked[1].payload, large);
}

TEST_P(KernelClient, DoesWithoutTicketsWhereThereIsNoBroker) {
  send(kTypeHandshake, kTicket);
  send(kTypeHandshake, kTwoTickets);
  send("on");
  EXPECT_EQ(read(2), "on");
}

TEST_P(KernelClient, EndsAConnectionThatNeedsABrokerWhereThereIsNone) {
  send(kTypeHandshake, GetParam() == Version::kTls13 ? kKeyUpdate : kHalfTicket);
  expect_read_fails(ECONNABORTED);
  EXPECT_STREQ(ktlsb_error_reason(), "broker_gone");
  expect_alert_and_end(2, 80);
  expect_read_fails(ECONNRESET);
}

TEST_P(KernelClient, PassesOnWhyTheBrokerEndedAConnection) {
  start_broker(error_of(ECONNABORTED, "secrets_lost", "The broker was restarted."));
  send(kTypeHandshake, kHalfTicket);
  expect_read_fails(ECONNABORTED);
  EXPECT_STREQ(ktlsb_error_reason(), "secrets_lost");
  EXPECT_STREQ(ktlsb_error_text(), "The broker was restarted.");
  expect_read_fails(ECONNRESET);
}

TEST_P(KernelClient, EndsAConnectionWhereTheBrokersAnswerMakesNoSense) {
  start_broker(answer_of(Kind::kConnection));
  send(kTypeHandshake, kTicket);
  expect_read_fails(EPROTO);
  expect_alert_and_end(2, 80);
}

TEST_P(KernelClient, NamesAnAlertEachTimeItIsAsked) {
  send(kTypeAlert, {2, 40});
  for (int i = 0; i < 2; ++i) {
    expect_read_fails(EPROTO);
    EXPECT_STREQ(ktlsb_error_text(), "the peer sent alert 40");
  }
}

TEST_P(KernelClient, GoesOnAfterAlertsThatEndNothing) {
  send(kTypeAlert, {1, 90});
  send(kTypeAlert, {1, 100});
  send("on");
  EXPECT_EQ(read(2), "on");
}

TEST_P(KernelClient, RefusesHalfAnAlertAndOtherRecords) {
  send(kTypeAlert, {2});
  expect_read_fails(EPROTO);
  expect_alert_and_end(2, 10);
}

TEST_P(KernelClient, RefusesRecordsThatMayNotCome) {
  send(20, {1});
  expect_read_fails(EPROTO);
  expect_read_fails(EPROTO);
  expect_alert_and_end(2, 10);
}

TEST_P(KernelClient, RefusesControlRecordsWithoutEnd) {
  for (int i = 0; i < 65; ++i) send(kTypeAlert, {1, 90});
  send("late");
  expect_read_fails(EPROTO);
  expect_alert_and_end(2, 10);
}

TEST_P(KernelClient, TellsThePeerThatARecordDidNotOpen) {
  // A peer without keys to send, whose bytes go as they are.
  pair_ = tcp_pair();
  make_tls(ours(), GetParam());
  ASSERT_TRUE(TlsSocket(peer()).attach());
  install(peer(), GetParam(), Direction::kReceive);
  std::array<std::uint8_t, 5 + 40> record{23, 3, 3, 0, 40};
  ASSERT_EQ(::write(peer(), record.data(), record.size()), static_cast<ssize_t>(record.size()));
  expect_read_fails(EBADMSG);
  char byte = 0;
  EXPECT_EQ(ktlsb_read(ours(), &byte, 1), -1);
  expect_alert_and_end(2, 20);
}

TEST_P(KernelClient, TellsThePeerThatARecordIsTooLarge) {
  pair_ = tcp_pair();
  make_tls(ours(), GetParam());
  ASSERT_EQ(::write(peer(), "HTTP/1.1 400 Bad Request\r\n", 26), 26);
  char byte = 0;
  ASSERT_EQ(ktlsb_read(ours(), &byte, 1), -1);
  EXPECT_TRUE(errno == EMSGSIZE || errno == EINVAL) << errno;
  expect_read_fails(ECONNRESET);
}

TEST_P(KernelClient, SaysAgainWhereNothingIsThere) {
  make_nonblocking();
  expect_read_fails(EAGAIN);
  EXPECT_EQ(ktlsb_control(ours()), -1);
  EXPECT_EQ(errno, EAGAIN);
  send(kTypeHandshake, kTicket);
  await_readable(ours());
  expect_read_fails(EAGAIN);
}

TEST_P(KernelClient, TakesControlRecordsForThoseWhoReadByRead) {
  std::array<char, 16> room{};
  send(kTypeHandshake, kTicket);
  send("data");
  send(kTypeAlert, kCloseNotify);
  EXPECT_EQ(::read(ours(), room.data(), room.size()), -1);
  EXPECT_EQ(errno, EIO);
  EXPECT_EQ(ktlsb_control(ours()), 1);
  EXPECT_EQ(ktlsb_control(ours()), 1);  // data is next: nothing is taken
  EXPECT_EQ(::read(ours(), room.data(), room.size()), 4);
  EXPECT_EQ(::read(ours(), room.data(), room.size()), -1);
  EXPECT_EQ(errno, EIO);
  EXPECT_EQ(ktlsb_control(ours()), 0);
  EXPECT_EQ(ktlsb_control(ours()), 0);
}

TEST_P(KernelClientKeys, ReadsOnUnderTheKeyThatTheBrokerInstalls) {
  if (!ktls::probe().rekey) GTEST_SKIP() << "this kernel changes no keys";
  start_broker(answer_of(Kind::kDone), [](const Asked& asked) {
    install(asked.subject.get(), Version::kTls13, Direction::kReceive, kNextKey);
  });
  send("old");
  send(kTypeHandshake, kKeyUpdate);
  install(peer(), Version::kTls13, Direction::kTransmit, kNextKey);
  send("new");
  EXPECT_EQ(read(6), "oldnew");
}

TEST_P(KernelClientKeys, WaitsForTheKeyThatSomebodyElseAsksFor) {
  if (!ktls::probe().rekey) GTEST_SKIP() << "this kernel changes no keys";
  send(kTypeHandshake, kKeyUpdate);
  install(peer(), Version::kTls13, Direction::kTransmit, kNextKey);
  send("new");
  await_readable(ours());
  Bytes room(64);
  ASSERT_TRUE(TlsSocket(ours()).receive(room));
  make_nonblocking();
  expect_read_fails(EAGAIN);
  ::fcntl(ours(), F_SETFL, 0);
  auto text = std::async(std::launch::async, [&] { return read(3); });
  EXPECT_EQ(text.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  install(ours(), Version::kTls13, Direction::kReceive, kNextKey);
  EXPECT_EQ(text.get(), "new");
}

TEST_P(KernelClient, SendsCloseNotifyOnceAndReadsOn) {
  EXPECT_EQ(::send(ours(), "bye", 3, 0), 3);
  EXPECT_EQ(ktlsb_shutdown_write(ours()), 0) << ktlsb_error_text();
  EXPECT_EQ(ktlsb_shutdown_write(ours()), 0) << ktlsb_error_text();
  EXPECT_EQ(next_of_peer()->second, ktls::bytes_of("bye"));
  expect_alert_and_end(1, 0);
  send("answer");
  EXPECT_EQ(read(6), "answer");
  EXPECT_EQ(ktlsb_close(pair_.ours.release()), 0) << ktlsb_error_text();
}

TEST_P(KernelClient, ClosesARecordThatWasLeftOpen) {
  EXPECT_EQ(::send(ours(), "more", 4, MSG_MORE), 4);
  EXPECT_EQ(ktlsb_close(pair_.ours.release()), 0);
  EXPECT_EQ(next_of_peer()->second, ktls::bytes_of("more"));
  expect_alert_and_end(1, 0);
}

TEST_P(KernelClient, LeavesAFullSocketToTheBrokerWhenItCloses) {
  start_broker(answer_of(Kind::kDone));
  fill_send_buffer();
  const std::uint64_t cookie = cookie_of(ours());
  const int fd = pair_.ours.release();
  EXPECT_EQ(ktlsb_close(fd), 0) << ktlsb_error_text();
  EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
  await_asked();
  const std::vector<Asked> asked = all_asked();
  ASSERT_EQ(asked.size(), 1U);
  EXPECT_EQ(asked[0].request.header.kind, Kind::kClose);
  EXPECT_EQ(cookie_of(asked[0].subject.get()), cookie);
}

TEST_P(KernelClient, ClosesAFullSocketWithoutABrokerAndSaysThatThePeerWasNotTold) {
  fill_send_buffer();
  const int fd = pair_.ours.release();
  EXPECT_EQ(ktlsb_close(fd), -1);
  EXPECT_EQ(errno, ECONNREFUSED);
  EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
}

TEST_P(KernelClient, WaitsForRoomBeforeItShutsDown) {
  fill_send_buffer();
  make_nonblocking();
  EXPECT_EQ(ktlsb_shutdown_write(ours()), -1);
  EXPECT_EQ(errno, EAGAIN);
  ::fcntl(ours(), F_SETFL, 0);
  auto done = std::async(std::launch::async, [&] { return ktlsb_shutdown_write(ours()); });
  auto record = next_of_peer();
  while (record && record->first == kTypeApplicationData) record = next_of_peer();
  ASSERT_TRUE(record);
  EXPECT_EQ(record->second, kCloseNotify);
  EXPECT_EQ(done.get(), 0);
}

TEST_P(KernelClient, RaisesNoSignalWhereThePeerHasReset) {
  const linger now{1, 0};
  ::setsockopt(peer(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  pair_.peer.reset();
  await_readable(ours());
  expect_read_fails(ECONNRESET);
  EXPECT_EQ(ktlsb_close(pair_.ours.release()), 0);
}

TEST_P(KernelClient, ServesOnTheSocketThatItWasGiven) {
  pair_ = tcp_pair();
  Answer answer = answer_of(Kind::kConnection);
  answer.cipher_suite = 0x1301;
  start_broker(answer, [](const Asked& asked) {
    ::fcntl(asked.subject.get(), F_SETFL, O_NONBLOCK);
    make_tls(asked.subject.get(), GetParam());
  });
  const std::uint64_t cookie = cookie_of(ours());
  ktlsb_connection info{};
  info.size = sizeof info;
  ASSERT_EQ(ktlsb_serve(ours(), -1, &info), 0) << ktlsb_error_text();
  EXPECT_EQ(info.cipher_suite, 0x1301);
  EXPECT_EQ(info.flags, 0U);
  EXPECT_EQ(cookie_of(ours()), cookie);
  EXPECT_EQ(::fcntl(ours(), F_GETFL) & O_NONBLOCK, 0);
  make_tls(peer(), GetParam());
  send("hello");
  EXPECT_EQ(read(5), "hello");
}

INSTANTIATE_TEST_SUITE_P(Versions, KernelClient,
                         ::testing::Values(Version::kTls12, Version::kTls13), [](const auto& each) {
                           return each.param == Version::kTls12 ? "Tls12" : "Tls13";
                         });

// TLS 1.2 has no key update.
INSTANTIATE_TEST_SUITE_P(Tls13, KernelClientKeys, ::testing::Values(Version::kTls13));

}  // namespace
}  // namespace broker
