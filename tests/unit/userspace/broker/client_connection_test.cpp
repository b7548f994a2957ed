// ktlsb_serve() to ktlsb_close() where the kernel does no TLS: streams that are relayed.
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <functional>
#include <future>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/userspace/broker/fake_broker.h"
#include "userspace/broker/ktls_bridge_client.h"

namespace broker {
namespace {

class ClientConnection : public ::testing::Test {
 protected:
  void start_broker(Answering answering) { broker_.emplace(path_.path(), std::move(answering)); }

  // A broker that relays: the far end of the stream is kept.
  void start_relay(Answer answer = answer_of(Kind::kConnection)) {
    answer.flags |= kIsRelayed;
    start_broker([this, answer](Asked asked) {
      SocketPair pair = stream_pair();
      far_end_ = std::move(pair.peer);
      asked_ = std::move(asked);
      send_answer(asked_.answers.get(), answer, {pair.ours.get()});
    });
  }

  void answer_once(std::function<void(const Asked&)> answering) {
    start_broker([answering = std::move(answering)](Asked asked) { answering(asked); });
  }

  static bool is_shut_down(int fd) {
    pollfd wanted{fd, POLLIN | POLLRDHUP, 0};
    const ssize_t sent = ::send(fd, "x", 1, MSG_NOSIGNAL);
    return ::poll(&wanted, 1, 0) == 1 && (wanted.revents & POLLRDHUP) != 0 && sent < 0;
  }

  static std::string read_all(int fd) {
    std::array<char, 64> room{};
    std::string all;
    ssize_t size = 0;
    while ((size = ktlsb_read(fd, room.data(), room.size())) > 0) {
      all.append(room.data(), static_cast<std::size_t>(size));
    }
    EXPECT_EQ(size, 0) << ktlsb_error_text();
    return all;
  }

  BrokerPath path_;
  ktls::UniqueFd far_end_;
  Asked asked_;
  std::optional<FakeBroker> broker_;
};

TEST_F(ClientConnection, PutsARelayedStreamInThePlaceOfTheSocket) {
  for (const int status : {0, O_NONBLOCK}) {
    for (const int flags : {0, FD_CLOEXEC}) {
      start_relay();
      SocketPair pair = tcp_pair();
      const int fd = pair.ours.get();
      ::fcntl(fd, F_SETFL, status);
      ::fcntl(fd, F_SETFD, flags);
      ASSERT_EQ(ktlsb_serve(fd, -1, nullptr), 0) << ktlsb_error_text();
      broker_.reset();  // what its thread has kept is ours now
      EXPECT_EQ(::fcntl(fd, F_GETFL) & O_NONBLOCK, status);
      EXPECT_EQ(::fcntl(fd, F_GETFD), flags);
      EXPECT_EQ(::write(fd, "hello", 5), 5);
      std::array<char, 8> room{};
      EXPECT_EQ(::read(far_end_.get(), room.data(), room.size()), 5);
      EXPECT_EQ(asked_.request.header.kind, Kind::kServe);
      EXPECT_EQ(asked_.payload.size(), 0U);
    }
  }
}

TEST_F(ClientConnection, SendsTheNameThatIsToBeVerified) {
  Answer answer = answer_of(Kind::kConnection);
  answer.tls_version = 0x0303;
  std::strcpy(answer.name, "host.example");
  std::memset(answer.reason, 'r', sizeof answer.reason);  // without its zero byte
  start_relay(answer);
  const SocketPair pair = tcp_pair();
  ktlsb_connection info{};
  info.size = sizeof info;
  ASSERT_EQ(ktlsb_connect(pair.ours.get(), "host.example", -1, &info), 0) << ktlsb_error_text();
  EXPECT_EQ(info.tls_version, 0x0303);
  EXPECT_EQ(info.flags, KTLSB_RELAYED);
  EXPECT_STREQ(info.name, "host.example");
  EXPECT_EQ(std::string(info.reason), std::string(sizeof info.reason - 1, 'r'));
  broker_.reset();
  EXPECT_EQ(asked_.request.header.kind, Kind::kConnect);
  EXPECT_EQ(std::string(asked_.payload.begin(), asked_.payload.end()), "host.example");
}

TEST_F(ClientConnection, WantsANameToVerify) {
  start_relay();
  const SocketPair pair = tcp_pair();
  const std::string longest(kNameMax, 'a');
  const std::string too_long = longest + "a";
  for (const char* name : {static_cast<const char*>(nullptr), "", too_long.c_str()}) {
    EXPECT_EQ(ktlsb_connect(pair.ours.get(), name, -1, nullptr), -1);
    EXPECT_EQ(errno, EINVAL);
  }
  EXPECT_EQ(ktlsb_connect(pair.ours.get(), longest.c_str(), -1, nullptr), 0);
}

TEST_F(ClientConnection, WantsADescriptorAndASize) {
  start_relay();
  const SocketPair pair = tcp_pair();
  EXPECT_EQ(ktlsb_serve(-1, -1, nullptr), -1);
  EXPECT_EQ(errno, EBADF);
  ktlsb_connection info{};
  EXPECT_EQ(ktlsb_serve(pair.ours.get(), -1, &info), -1);
  EXPECT_EQ(errno, EINVAL);
}

TEST_F(ClientConnection, LeavesTheSocketAloneWhereThereIsNoBroker) {
  const SocketPair pair = tcp_pair();
  EXPECT_EQ(ktlsb_serve(pair.ours.get(), -1, nullptr), -1);
  EXPECT_EQ(errno, ECONNREFUSED);
  EXPECT_STREQ(ktlsb_error_reason(), "broker_gone");
  EXPECT_EQ(::write(pair.ours.get(), "x", 1), 1);
}

TEST_F(ClientConnection, PassesOnWhyAHandshakeFailedAndShutsTheSocketDown) {
  answer_once([](const Asked& asked) {
    // The file is shared: what the broker sets on it stays, unless it is set back.
    ::fcntl(asked.subject.get(), F_SETFL, O_NONBLOCK);
    send_answer(asked.answers.get(), error_of(EPROTO, "alert", "The peer sent bad_certificate."));
  });
  const SocketPair pair = tcp_pair();
  EXPECT_EQ(ktlsb_connect(pair.ours.get(), "a", -1, nullptr), -1);
  EXPECT_EQ(errno, EPROTO);
  EXPECT_STREQ(ktlsb_error_reason(), "alert");
  EXPECT_STREQ(ktlsb_error_text(), "The peer sent bad_certificate.");
  EXPECT_EQ(::fcntl(pair.ours.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_TRUE(is_shut_down(pair.ours.get()));
}

TEST_F(ClientConnection, MakesAnErrnoOfWhatIsNone) {
  for (const std::uint32_t error : {0U, 4096U, 0xffffffffU}) {
    answer_once([error](const Asked& asked) {
      Answer answer = error_of(0, "", "");
      answer.error = error;
      send_answer(asked.answers.get(), answer);
    });
    const SocketPair pair = tcp_pair();
    EXPECT_EQ(ktlsb_serve(pair.ours.get(), -1, nullptr), -1);
    EXPECT_EQ(errno, EPROTO);
    broker_.reset();
  }
}

TEST_F(ClientConnection, FailsWhereTheBrokerEndsDuringTheHandshake) {
  answer_once([](const Asked&) {});
  const SocketPair pair = tcp_pair();
  EXPECT_EQ(ktlsb_serve(pair.ours.get(), -1, nullptr), -1);
  EXPECT_EQ(errno, ECONNABORTED);
  EXPECT_TRUE(is_shut_down(pair.ours.get()));
}

TEST_F(ClientConnection, FailsWhereAHandshakeTakesTooLong) {
  start_broker([this](Asked asked) { asked_ = std::move(asked); });
  const SocketPair pair = tcp_pair();
  EXPECT_EQ(ktlsb_serve(pair.ours.get(), 50, nullptr), -1);
  EXPECT_EQ(errno, ETIMEDOUT);
  EXPECT_TRUE(is_shut_down(pair.ours.get()));
}

TEST_F(ClientConnection, NeverTakesASocketInTheClearForATlsConnection) {
  const std::vector<std::function<void(const Asked&)>> all{
      // The kernel has no keys for it, whatever the broker says.
      [](const Asked& asked) { send_answer(asked.answers.get(), answer_of(Kind::kConnection)); },
      [](const Asked& asked) { send_answer(asked.answers.get(), answer_of(Kind::kDone)); },
      [](const Asked& asked) {
        Answer answer = answer_of(Kind::kConnection);
        answer.flags = kIsRelayed;  // without a stream
        send_answer(asked.answers.get(), answer);
      },
      [](const Asked& asked) {
        const SocketPair other = stream_pair();  // not said to be relayed
        send_answer(asked.answers.get(), answer_of(Kind::kConnection), {other.ours.get()});
      },
      [](const Asked& asked) {
        const std::array<std::uint8_t, 7> bytes{};
        send_bytes(asked.answers.get(), bytes, {});
      },
  };
  for (std::size_t i = 0; i < all.size(); ++i) {
    SCOPED_TRACE(i);
    answer_once(all[i]);
    const SocketPair pair = tcp_pair();
    const std::size_t before = open_descriptors();
    EXPECT_EQ(ktlsb_serve(pair.ours.get(), -1, nullptr), -1);
    EXPECT_EQ(errno, EPROTO);
    EXPECT_TRUE(is_shut_down(pair.ours.get()));
    broker_.reset();
    EXPECT_LT(open_descriptors(), before);
  }
}

TEST_F(ClientConnection, ReadsToAnEndThatTheBrokerCallsOrderly) {
  SocketPair pair = stream_pair();
  struct stat about {};
  ::fstat(pair.ours.get(), &about);
  std::atomic<int> asked_times = 0;
  answer_once([&](const Asked& asked) {
    struct stat shown {};
    ::fstat(asked.subject.get(), &shown);
    EXPECT_EQ(shown.st_ino, about.st_ino);
    EXPECT_EQ(asked.request.header.kind, Kind::kEnd);
    ++asked_times;
    send_answer(asked.answers.get(), answer_of(Kind::kDone));
  });
  EXPECT_EQ(::write(pair.peer.get(), "all of it", 9), 9);
  pair.peer.reset();
  EXPECT_EQ(read_all(pair.ours.get()), "all of it");
  EXPECT_EQ(read_all(pair.ours.get()), "");
  EXPECT_EQ(ktlsb_control(pair.ours.get()), 0);
  EXPECT_EQ(asked_times, 3);
}

TEST_F(ClientConnection, CallsEveryOtherEndATruncation) {
  SocketPair pair = stream_pair();
  pair.peer.reset();
  char byte = 0;
  const auto expect_cut = [&] {
    EXPECT_EQ(ktlsb_read(pair.ours.get(), &byte, 1), -1);
    EXPECT_EQ(errno, ECONNRESET);
    EXPECT_EQ(ktlsb_control(pair.ours.get()), -1);
    EXPECT_EQ(errno, ECONNRESET);
  };
  expect_cut();
  EXPECT_STREQ(ktlsb_error_reason(), "broker_gone");
  answer_once([](const Asked&) {});
  expect_cut();
  broker_.reset();
  answer_once([](const Asked& asked) {
    send_answer(asked.answers.get(), error_of(ECONNRESET, "truncated", "It was cut."));
  });
  expect_cut();
  EXPECT_STREQ(ktlsb_error_text(), "It was cut.");
}

TEST_F(ClientConnection, SaysAgainWhereNothingIsThere) {
  const SocketPair pair = stream_pair();
  ::fcntl(pair.ours.get(), F_SETFL, O_NONBLOCK);
  char byte = 0;
  EXPECT_EQ(ktlsb_read(pair.ours.get(), &byte, 1), -1);
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_EQ(ktlsb_control(pair.ours.get()), -1);
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_EQ(ktlsb_read(pair.ours.get(), &byte, 0), 0);
  EXPECT_EQ(::write(pair.peer.get(), "x", 1), 1);
  EXPECT_EQ(ktlsb_control(pair.ours.get()), 1);
  EXPECT_EQ(ktlsb_read(pair.ours.get(), &byte, 1), 1);
}

TEST_F(ClientConnection, GivesNoBytesThatCameInTheClear) {
  SocketPair pair = tcp_pair();
  EXPECT_EQ(::write(pair.peer.get(), "clear", 5), 5);
  std::array<char, 5> room{};
  EXPECT_EQ(ktlsb_control(pair.ours.get()), -1);
  EXPECT_EQ(errno, EPROTO);
  EXPECT_EQ(ktlsb_read(pair.ours.get(), room.data(), room.size()), -1);
  EXPECT_EQ(errno, EPROTO);
  EXPECT_EQ(room, (std::array<char, 5>{}));
  pair.peer.reset();
  EXPECT_EQ(ktlsb_read(pair.ours.get(), room.data(), room.size()), -1);
  EXPECT_EQ(errno, ECONNRESET);
}

TEST_F(ClientConnection, FailsAsReadDoesOnWhatIsNoSocket) {
  char byte = 0;
  EXPECT_EQ(ktlsb_read(-1, &byte, 1), -1);
  EXPECT_EQ(errno, EBADF);
  EXPECT_EQ(ktlsb_control(-1), -1);
  EXPECT_EQ(errno, EBADF);
  EXPECT_EQ(ktlsb_close(-1), -1);
  EXPECT_EQ(errno, EBADF);
}

TEST_F(ClientConnection, SendsNoAlertWhereItWouldGoOutInTheClear) {
  SocketPair pair = tcp_pair();
  EXPECT_EQ(ktlsb_shutdown_write(pair.ours.get()), -1);
  EXPECT_EQ(errno, EPROTO);
  EXPECT_EQ(ktlsb_close(pair.ours.release()), 0);
  char byte = 0;
  EXPECT_EQ(::read(pair.peer.get(), &byte, 1), 0);
}

// As the broker ends the stream of a program that has said that this was all.
void note_end(const Asked& asked) {
  EXPECT_EQ(asked.request.header.kind, Kind::kClose);
  ::shutdown(asked.subject.get(), SHUT_WR);
  send_answer(asked.answers.get(), answer_of(Kind::kDone));
}

TEST_F(ClientConnection, TellsTheBrokerTheEndOfARelayedStreamAndReadsOn) {
  answer_once(note_end);
  const SocketPair pair = stream_pair();
  EXPECT_EQ(ktlsb_shutdown_write(pair.ours.get()), 0) << ktlsb_error_text();
  char byte = 0;
  EXPECT_EQ(::read(pair.peer.get(), &byte, 1), 0);
  EXPECT_EQ(::write(pair.peer.get(), "x", 1), 1);
  EXPECT_EQ(ktlsb_read(pair.ours.get(), &byte, 1), 1);
}

TEST_F(ClientConnection, SaysWhereTheBrokerDidNotNoteTheEnd) {
  const SocketPair pair = stream_pair();
  EXPECT_EQ(ktlsb_shutdown_write(pair.ours.get()), -1);
  EXPECT_EQ(errno, ECONNREFUSED);
  answer_once([](const Asked&) {});
  EXPECT_EQ(ktlsb_shutdown_write(pair.ours.get()), -1);
  EXPECT_EQ(errno, ECONNABORTED);
  broker_.reset();
  answer_once([](const Asked& asked) {
    send_answer(asked.answers.get(), error_of(EINVAL, "", "It is not relayed."));
  });
  EXPECT_EQ(ktlsb_shutdown_write(pair.ours.get()), -1);
  EXPECT_EQ(errno, EINVAL);
  broker_.reset();
  answer_once(
      [](const Asked& asked) { send_answer(asked.answers.get(), answer_of(Kind::kConnection)); });
  EXPECT_EQ(ktlsb_shutdown_write(pair.ours.get()), -1);
  EXPECT_EQ(errno, EPROTO);
}

TEST_F(ClientConnection, ClosingEndsTheStreamOfThoseTooWhoHaveACopy) {
  answer_once(note_end);
  SocketPair pair = stream_pair();
  const int fd = pair.ours.release();
  const ktls::UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  EXPECT_EQ(ktlsb_close(fd), 0);
  EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
  char byte = 0;
  EXPECT_EQ(::read(pair.peer.get(), &byte, 1), 0);
}

TEST_F(ClientConnection, ClosesWithoutABrokerAndSaysThatThePeerWasNotTold) {
  SocketPair pair = stream_pair();
  const int fd = pair.ours.release();
  EXPECT_EQ(ktlsb_close(fd), -1);
  EXPECT_EQ(errno, ECONNREFUSED);
  EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
}

TEST_F(ClientConnection, WaitsAMomentForABrokerWhomTooManyAsk) {
  const ktls::UniqueFd queue(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path_.path().copy(address.sun_path, sizeof address.sun_path - 1);
  const auto* any = reinterpret_cast<const sockaddr*>(&address);
  ASSERT_EQ(::bind(queue.get(), any, sizeof address), 0);
  ASSERT_EQ(::listen(queue.get(), 0), 0);
  const ktls::UniqueFd first(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(first.get(), any, sizeof address), 0);

  SocketPair pair = stream_pair();
  EXPECT_EQ(ktlsb_close(pair.ours.release()), -1);
  EXPECT_EQ(errno, ECONNREFUSED);
  EXPECT_STREQ(ktlsb_error_reason(), "broker_busy");

  pair = stream_pair();
  auto closed =
      std::async(std::launch::async, [fd = pair.ours.release()] { return ktlsb_close(fd); });
  const ktls::UniqueFd taken(::accept4(queue.get(), nullptr, nullptr, SOCK_CLOEXEC));
  EXPECT_EQ(closed.get(), 0);
}

TEST_F(ClientConnection, AsksABrokerThatDrainsAboutEndsAlone) {
  const FakeBroker draining(path_.path() + ".draining", [](const Asked& asked) {
    if (asked.request.header.kind == Kind::kClose) return note_end(asked);
    EXPECT_EQ(asked.request.header.kind, Kind::kEnd);
    send_answer(asked.answers.get(), answer_of(Kind::kDone));
  });
  SocketPair pair = stream_pair();
  EXPECT_EQ(ktlsb_shutdown_write(pair.ours.get()), 0) << ktlsb_error_text();
  pair.peer.reset();
  EXPECT_EQ(read_all(pair.ours.get()), "");
  EXPECT_EQ(ktlsb_close(pair.ours.release()), 0);
  const SocketPair other = tcp_pair();
  EXPECT_EQ(ktlsb_serve(other.ours.get(), -1, nullptr), -1);
  EXPECT_EQ(errno, ECONNREFUSED);
}

TEST_F(ClientConnection, RaisesNoSignalWhereThePeerIsGone) {
  answer_once(note_end);
  SocketPair pair = stream_pair();
  pair.peer.reset();
  EXPECT_EQ(ktlsb_shutdown_write(pair.ours.get()), 0);
  EXPECT_EQ(ktlsb_close(pair.ours.release()), 0);
}

TEST_F(ClientConnection, KeepsTheTextOfAFailureToTheThread) {
  EXPECT_EQ(ktlsb_close(-1), -1);
  EXPECT_STREQ(ktlsb_error_text(), "no descriptor");
  const std::string elsewhere =
      std::async(std::launch::async, [] { return std::string(ktlsb_error_text()); }).get();
  EXPECT_EQ(elsewhere, "");
}

}  // namespace
}  // namespace broker
