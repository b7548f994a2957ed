// ktlsb_listener against a broker that does as the test says.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/userspace/broker/fake_broker.h"
#include "userspace/broker/ktls_bridge_client.h"

namespace broker {
namespace {

Answer connection(std::uint64_t number) {
  Answer answer = answer_of(Kind::kConnection);
  answer.number = number;
  answer.tls_version = 0x0304;
  answer.cipher_suite = 0x1301;
  answer.flags = kIsRelayed;
  return answer;
}

// A broker that notes listeners, and hands the tests the sockets on which they answer.
class ClientListener : public ::testing::Test {
 protected:
  ~ClientListener() override { close_listener(); }

  void start_broker() {
    broker_.emplace(path_.path(), [this](Asked asked) {
      EXPECT_EQ(asked.request.header.kind, Kind::kListen);
      ++registrations_;
      const int fd = asked.answers.get();
      {
        const std::lock_guard locked(mutex_);
        channel_ = std::move(asked);
      }
      send_answer(fd, answer_of(Kind::kDone));
    });
  }

  void end_broker() {
    broker_.reset();
    const std::lock_guard locked(mutex_);
    channel_ = {};
  }

  void listen() {
    start_broker();
    socket_ = tcp_listener();
    listener_ = ktlsb_listen(socket_.get(), 7);
    ASSERT_NE(listener_, nullptr) << ktlsb_error_text();
    broker_->await_idle();
  }

  void close_listener() {
    if (listener_ == nullptr) return;
    end_broker();
    EXPECT_EQ(ktlsb_listener_close(std::exchange(listener_, nullptr)), 0);
  }

  int answers() {
    const std::lock_guard locked(mutex_);
    return channel_.answers.get();
  }

  // Sends a connection whose peer is kept.
  void hand_out(std::uint64_t number) {
    SocketPair pair = stream_pair();
    EXPECT_TRUE(send_answer(answers(), connection(number), {pair.ours.get()}));
    peers_.push_back(std::move(pair.peer));
  }

  void make_nonblocking() const { ::fcntl(ktlsb_listener_fd(listener_), F_SETFL, O_NONBLOCK); }

  [[nodiscard]] bool is_readable() const {
    pollfd wanted{ktlsb_listener_fd(listener_), POLLIN, 0};
    return ::poll(&wanted, 1, 0) == 1;
  }

  BrokerPath path_;
  std::optional<FakeBroker> broker_;
  std::mutex mutex_;
  Asked channel_;
  std::atomic<int> registrations_ = 0;
  ktls::UniqueFd socket_;
  ktlsb_listener* listener_ = nullptr;
  std::vector<ktls::UniqueFd> peers_;
};

TEST_F(ClientListener, RegistersTheSocketWithItsBacklog) {
  listen();
  const std::lock_guard locked(mutex_);
  EXPECT_EQ(channel_.request.backlog, 7U);
  int is_listening = 0;
  socklen_t size = sizeof is_listening;
  EXPECT_EQ(::getsockopt(channel_.subject.get(), SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &size),
            0);
  EXPECT_EQ(is_listening, 1);
}

TEST_F(ClientListener, RefusesWhatDoesNotListen) {
  start_broker();
  const SocketPair pair = tcp_pair();
  EXPECT_EQ(ktlsb_listen(pair.ours.get(), 1), nullptr);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(ktlsb_listen(-1, 1), nullptr);
  EXPECT_EQ(errno, EINVAL);
  const ktls::UniqueFd socket = tcp_listener();
  EXPECT_EQ(ktlsb_listen(socket.get(), 0), nullptr);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(registrations_, 0);
}

TEST_F(ClientListener, SaysThatThereIsNoBroker) {
  const std::size_t before = open_descriptors();
  const ktls::UniqueFd socket = tcp_listener();
  EXPECT_EQ(ktlsb_listen(socket.get(), 1), nullptr);
  EXPECT_EQ(errno, ECONNREFUSED);
  EXPECT_STREQ(ktlsb_error_reason(), "broker_gone");
  EXPECT_EQ(ktlsb_error_text(), "no broker answers at " + path_.path());
  EXPECT_EQ(open_descriptors(), before + 1);
}

TEST_F(ClientListener, SaysThatThePathIsTooLong) {
  EXPECT_EQ(ktlsb_use_broker(std::string(108, 'a').c_str()), -1);
  EXPECT_EQ(errno, ENAMETOOLONG);
  EXPECT_EQ(ktlsb_use_broker(std::string(107, 'a').c_str()), 0);
}

TEST_F(ClientListener, LooksWhereTheEnvironmentSays) {
  ::setenv(kPathVariable, path_.path().c_str(), 1);
  ktlsb_use_broker(nullptr);
  listen();
  EXPECT_EQ(registrations_, 1);
  ::unsetenv(kPathVariable);
}

TEST_F(ClientListener, WaitsForABrokerThatIsBeingStarted) {
  socket_ = tcp_listener();
  auto listener = std::async(std::launch::async, [&] { return ktlsb_listen(socket_.get(), 1); });
  start_broker();
  listener_ = listener.get();
  EXPECT_NE(listener_, nullptr);
}

TEST_F(ClientListener, PassesOnWhyTheBrokerRefuses) {
  broker_.emplace(path_.path(), [](const Asked& asked) {
    send_answer(asked.answers.get(), error_of(EDQUOT, "too_many", "You have 3 of 3 listeners."));
  });
  const ktls::UniqueFd socket = tcp_listener();
  EXPECT_EQ(ktlsb_listen(socket.get(), 1), nullptr);
  EXPECT_EQ(errno, EDQUOT);
  EXPECT_STREQ(ktlsb_error_reason(), "too_many");
  EXPECT_STREQ(ktlsb_error_text(), "You have 3 of 3 listeners.");
}

TEST_F(ClientListener, RefusesABrokerOfAnotherVersion) {
  broker_.emplace(path_.path(), [](const Asked& asked) {
    Answer answer = answer_of(Kind::kDone);
    answer.header.version = kProtocolVersion + 1;
    send_answer(asked.answers.get(), answer);
  });
  const ktls::UniqueFd socket = tcp_listener();
  EXPECT_EQ(ktlsb_listen(socket.get(), 1), nullptr);
  EXPECT_EQ(errno, EPROTO);
}

TEST_F(ClientListener, GivesAConnectionAndSaysThatItWasTaken) {
  listen();
  SocketPair pair = stream_pair();
  Answer answer = connection(5);
  answer.flags |= kIsResumed;
  answer.alpn_size = 2;
  std::memcpy(answer.alpn, "h2", 2);
  std::memcpy(answer.name, "host.example", 12);
  std::memcpy(answer.reason, "ulp_unavailable", 15);
  answer.remote.sin6_family = AF_INET6;
  answer.remote.sin6_port = htons(4711);
  ::fcntl(pair.ours.get(), F_SETFL, O_NONBLOCK);
  EXPECT_TRUE(send_answer(answers(), answer, {pair.ours.get()}));

  ktlsb_connection info{};
  info.size = sizeof info;
  const ktls::UniqueFd fd(ktlsb_accept(listener_, &info));
  ASSERT_TRUE(fd.valid()) << ktlsb_error_text();
  EXPECT_EQ(::fcntl(fd.get(), F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(::fcntl(fd.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(info.size, sizeof info);
  EXPECT_EQ(info.tls_version, 0x0304);
  EXPECT_EQ(info.cipher_suite, 0x1301);
  EXPECT_EQ(info.flags, KTLSB_RELAYED | KTLSB_RESUMED);
  EXPECT_STREQ(info.name, "host.example");
  EXPECT_STREQ(info.reason, "ulp_unavailable");
  EXPECT_EQ(std::string(info.alpn, info.alpn + info.alpn_size), "h2");
  EXPECT_EQ(info.local.ss_family, AF_UNSPEC);
  EXPECT_EQ(info.remote.ss_family, AF_INET6);
  EXPECT_EQ(reinterpret_cast<const sockaddr_in6&>(info.remote).sin6_port, htons(4711));
  const Request told = next_told(answers());
  EXPECT_EQ(told.header.kind, Kind::kTaken);
  EXPECT_EQ(told.number, 5U);
  EXPECT_EQ(::write(fd.get(), "x", 1), 1);
  char byte = 0;
  EXPECT_EQ(::read(pair.peer.get(), &byte, 1), 1);
}

TEST_F(ClientListener, FillsNoMoreOfADescriptionThanThereIs) {
  listen();
  hand_out(1);
  ktlsb_connection info{};
  info.size = offsetof(ktlsb_connection, name) + 1;
  info.name[1] = 'a';
  info.reason[0] = 'b';
  const ktls::UniqueFd fd(ktlsb_accept(listener_, &info));
  EXPECT_TRUE(fd.valid());
  EXPECT_EQ(info.tls_version, 0x0304);
  EXPECT_EQ(info.name[1], 'a');
  EXPECT_EQ(info.reason[0], 'b');
}

TEST_F(ClientListener, WantsADescriptionThatSaysItsSize) {
  listen();
  hand_out(1);
  ktlsb_connection info{};
  EXPECT_EQ(ktlsb_accept(listener_, &info), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_TRUE(ktls::UniqueFd(ktlsb_accept(listener_, nullptr)).valid());
}

TEST_F(ClientListener, SaysEagainWhereNoneWaits) {
  listen();
  make_nonblocking();
  EXPECT_FALSE(is_readable());
  EXPECT_EQ(ktlsb_accept(listener_, nullptr), -1);
  EXPECT_EQ(errno, EAGAIN);
  hand_out(1);
  EXPECT_TRUE(is_readable());
  EXPECT_TRUE(ktls::UniqueFd(ktlsb_accept(listener_, nullptr)).valid());
  EXPECT_FALSE(is_readable());
}

TEST_F(ClientListener, WaitsForAConnection) {
  listen();
  auto taken = std::async(std::launch::async, [&] { return ktlsb_accept(listener_, nullptr); });
  hand_out(1);
  EXPECT_TRUE(ktls::UniqueFd(taken.get()).valid());
}

TEST_F(ClientListener, IsInterruptedByASignal) {
  listen();
  struct sigaction action {};
  action.sa_handler = [](int) {};
  struct sigaction before {};
  ::sigaction(SIGALRM, &action, &before);
  // Again and again, for the first may come before it waits.
  const itimerval often{{0, 5000}, {0, 5000}};
  ::setitimer(ITIMER_REAL, &often, nullptr);
  EXPECT_EQ(ktlsb_accept(listener_, nullptr), -1);
  EXPECT_EQ(errno, EINTR);
  const itimerval never{};
  ::setitimer(ITIMER_REAL, &never, nullptr);
  ::sigaction(SIGALRM, &before, nullptr);
}

TEST_F(ClientListener, LosesNoConnectionWhereNoDescriptorIsLeft) {
  listen();
  hand_out(1);
  hand_out(2);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 3;  // taken, and poll() wants one at least
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ktlsb_accept(listener_, nullptr), -1);
    EXPECT_EQ(errno, EMFILE);
  }
  EXPECT_TRUE(is_readable());
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  for (const std::uint64_t number : {1U, 2U}) {
    EXPECT_TRUE(ktls::UniqueFd(ktlsb_accept(listener_, nullptr)).valid());
    EXPECT_EQ(next_told(answers()).number, number);
  }
}

TEST_F(ClientListener, TellsOnceThatTheBrokerIsGoneAndGoesToTheNext) {
  listen();
  make_nonblocking();
  const int fd = ktlsb_listener_fd(listener_);
  end_broker();
  EXPECT_TRUE(is_readable());
  EXPECT_EQ(ktlsb_accept(listener_, nullptr), -1);
  EXPECT_EQ(errno, ECONNABORTED);
  EXPECT_STREQ(ktlsb_error_reason(), "broker_gone");
  EXPECT_EQ(ktlsb_accept(listener_, nullptr), -1);
  EXPECT_EQ(errno, ECONNREFUSED);

  // The caller's own is not needed.
  socket_.reset();
  start_broker();
  EXPECT_EQ(ktlsb_accept(listener_, nullptr), -1);
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_EQ(registrations_, 2);
  EXPECT_EQ(ktlsb_listener_fd(listener_), fd);
  EXPECT_EQ(::fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
  EXPECT_EQ(::fcntl(fd, F_GETFD), FD_CLOEXEC);
  EXPECT_FALSE(is_readable());
  hand_out(1);
  EXPECT_TRUE(ktls::UniqueFd(ktlsb_accept(listener_, nullptr)).valid());
}

TEST_F(ClientListener, TakesWhatABrokerHandedOutBeforeItEnded) {
  listen();
  for (const std::uint64_t number : {1U, 2U, 3U}) hand_out(number);
  // What is left unread makes the end a reset.
  EXPECT_TRUE(ktls::UniqueFd(ktlsb_accept(listener_, nullptr)).valid());
  end_broker();
  EXPECT_TRUE(ktls::UniqueFd(ktlsb_accept(listener_, nullptr)).valid());
  EXPECT_TRUE(ktls::UniqueFd(ktlsb_accept(listener_, nullptr)).valid());
  EXPECT_EQ(ktlsb_accept(listener_, nullptr), -1);
  EXPECT_EQ(errno, ECONNABORTED);
}

TEST_F(ClientListener, PassesOnWhyTheBrokerStopsListening) {
  listen();
  send_answer(answers(), error_of(ENOMEM, "listener_lost", "There is no memory."));
  EXPECT_EQ(ktlsb_accept(listener_, nullptr), -1);
  EXPECT_EQ(errno, ENOMEM);
  EXPECT_STREQ(ktlsb_error_reason(), "listener_lost");
}

using Spoiling = std::function<void(int answers, int fd)>;

template <typename Change>
Spoiling spoiled(Change change) {
  return [change](int answers, int fd) {
    Answer answer = connection(1);
    change(answer);
    send_answer(answers, answer, {fd});
  };
}

TEST_F(ClientListener, EndsABrokerThatMakesNoSense) {
  const std::vector<std::uint8_t> bytes(2 * sizeof(Answer), 1);
  const std::vector<Spoiling> all{
      spoiled([](Answer& answer) { answer.header.magic = 1; }),
      spoiled([](Answer& answer) { answer.header.version = 2; }),
      spoiled([](Answer& answer) { answer.header.kind = Kind::kTaken; }),
      spoiled([](Answer& answer) { answer.header.kind = Kind::kDone; }),
      spoiled([](Answer& answer) { answer.header.kind = Kind::kError; }),
      spoiled([](Answer& answer) { answer.alpn_size = 257; }),
      [](int to, int) { send_answer(to, connection(1)); },
      [](int to, int) { send_answer(to, answer_of(Kind::kDone)); },
      [](int to, int fd) {
        send_answer(to, connection(1), {fd, fd});
      },
      [](int to, int fd) {
        send_answer(to, connection(1), {fd, fd, fd, fd, fd, fd});
      },
      [&](int to, int fd) { send_bytes(to, std::span(bytes).first(1), {fd}); },
      [&](int to, int fd) { send_bytes(to, {}, {fd}); },
      [&](int to, int fd) { send_bytes(to, bytes, {fd}); },
  };
  listen();
  const SocketPair pair = stream_pair();
  const std::size_t before = open_descriptors();
  for (std::size_t i = 0; i < all.size(); ++i) {
    SCOPED_TRACE(i);
    all[i](answers(), pair.ours.get());
    EXPECT_EQ(ktlsb_accept(listener_, nullptr), -1);
    EXPECT_EQ(errno, EPROTO);
    hand_out(2);  // which the broker that made no sense takes along
    make_nonblocking();
    EXPECT_EQ(ktlsb_accept(listener_, nullptr), -1);
    EXPECT_EQ(errno, EAGAIN);
    peers_.clear();
    broker_->await_idle();
    EXPECT_EQ(open_descriptors(), before);
  }
  EXPECT_EQ(registrations_, static_cast<int>(all.size()) + 1);
}

TEST_F(ClientListener, GivesEachConnectionToOneThread) {
  constexpr int kThreads = 4;
  constexpr std::uint64_t kEach = 25;
  listen();
  std::vector<std::future<void>> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.push_back(std::async(std::launch::async, [&] {
      for (std::uint64_t k = 0; k < kEach; ++k) {
        EXPECT_TRUE(ktls::UniqueFd(ktlsb_accept(listener_, nullptr)).valid());
      }
    }));
  }
  std::vector<std::uint64_t> told;
  for (std::uint64_t number = 1; number <= kThreads * kEach; ++number) {
    hand_out(number);
    told.push_back(next_told(answers()).number);
  }
  for (auto& thread : threads) thread.get();
  std::ranges::sort(told);
  EXPECT_EQ(std::ranges::adjacent_find(told), told.end());
  EXPECT_EQ(told.front(), 1U);
  EXPECT_EQ(told.back(), kThreads * kEach);
}

TEST_F(ClientListener, WorksInAChildWhoseCloseIsItsOwnMatter) {
  listen();
  hand_out(1);
  const pid_t child = ::fork();
  if (child == 0) {
    const int fd = ktlsb_accept(listener_, nullptr);
    const bool is_closed = ktlsb_listener_close(listener_) == 0;
    ::_exit(fd >= 0 && is_closed ? 0 : 1);
  }
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(next_told(answers()).number, 1U);
  hand_out(2);
  EXPECT_TRUE(ktls::UniqueFd(ktlsb_accept(listener_, nullptr)).valid());
  EXPECT_EQ(next_told(answers()).number, 2U);
}

TEST_F(ClientListener, StopsTheBrokerAndWaitsUntilItHas) {
  listen();
  const std::size_t before = open_descriptors();
  hand_out(1);
  auto closed = std::async(std::launch::async,
                           [&] { return ktlsb_listener_close(std::exchange(listener_, nullptr)); });
  EXPECT_EQ(next_told(answers()).header.kind, Kind::kStop);
  hand_out(2);
  EXPECT_EQ(closed.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  send_answer(answers(), answer_of(Kind::kDone));
  EXPECT_EQ(closed.get(), 0);
  peers_.clear();
  EXPECT_EQ(open_descriptors(), before - 2);
}

TEST_F(ClientListener, ClosesWithoutABroker) {
  listen();
  end_broker();
  EXPECT_EQ(ktlsb_listener_close(std::exchange(listener_, nullptr)), 0);
  EXPECT_EQ(ktlsb_listener_close(nullptr), 0);
}

}  // namespace
}  // namespace broker
