// Accepting, connecting, sending and receiving, alike on both loops.

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <thread>

#include <sys/resource.h>
#include <sys/un.h>

#include "tests/unit/userspace/io/loop_fixture.h"
#include "userspace/io/when_both.h"

namespace bridge {
namespace {

using SocketTest = LoopTest;
BRIDGE_ON_BOTH_LOOPS(SocketTest);

constexpr std::size_t kStreamSize = std::size_t{8} << 20U;

// Sends kStreamSize bytes of the pattern in pieces of unequal size, then ends the stream.
Task<Result<void>> send_stream(Scope& scope, int fd) {
  Result<Buffer> buffer = scope.loop().buffers().lease();
  if (!buffer) co_return ktls::fail(buffer.error());
  for (std::size_t position = 0; position < kStreamSize;) {
    const std::size_t piece = std::min(kStreamSize - position, 1 + position * 7 % kBufferSize);
    for (std::size_t i = 0; i < piece; ++i) buffer->data()[i] = pattern(position + i);
    const Result<void> sent = co_await scope.loop().send(scope, fd, *buffer, 0, piece);
    if (!sent) co_return ktls::fail(sent.error());
    position += piece;
  }
  ::shutdown(fd, SHUT_WR);
  co_return Result<void>{};
}

enum class Receiving { kInto, kPooled };

// Receives to the end; the number of bytes, all as the pattern says.
Task<Result<std::size_t>> receive_stream(Scope& scope, int fd, Receiving how) {
  std::size_t position = 0;
  Result<Buffer> own = scope.loop().buffers().lease();
  if (!own) co_return ktls::fail(own.error());
  for (;;) {
    Buffer buffer = *own;
    if (how == Receiving::kPooled) {
      Result<Buffer> received = co_await scope.loop().receive_pooled(scope, fd);
      if (!received) co_return ktls::fail(received.error());
      buffer = std::move(*received);
    } else {
      const Result<std::size_t> received =
          co_await scope.loop().receive(scope, fd, buffer, 100, kBufferSize / 2);
      if (!received) co_return ktls::fail(received.error());
      buffer.commit(100 + *received);
      buffer.consume(100);
    }
    if (buffer.empty()) co_return position;
    for (const std::uint8_t byte : buffer.bytes()) {
      if (byte != pattern(position)) {
        ADD_FAILURE() << "byte " << position << " is wrong";
        co_return position;
      }
      ++position;
    }
  }
}

TEST_P(SocketTest, MovesMegabytesUnchangedOverBlockingAndNonBlockingSockets) {
  for (const bool non_blocking : {false, true}) {
    for (const Receiving how : {Receiving::kInto, Receiving::kPooled}) {
      const SocketPair pair = tcp_pair();
      set_non_blocking(pair.ours.get(), non_blocking);
      set_non_blocking(pair.theirs.get(), non_blocking);
      run([&](Scope& scope) -> Task<void> {
        const auto [sent, received] = co_await when_both(
            send_stream(scope, pair.ours.get()), receive_stream(scope, pair.theirs.get(), how));
        EXPECT_TRUE(sent);
        expect_value(received, kStreamSize);
      });
      EXPECT_EQ((::fcntl(pair.ours.get(), F_GETFL) & O_NONBLOCK) != 0, non_blocking);
    }
  }
}

Task<Result<void>> connect_to(Scope& scope, int fd, const sockaddr_in& address) {
  return scope.loop().connect(scope, fd, reinterpret_cast<const sockaddr*>(&address),
                              sizeof address);
}

TEST_P(SocketTest, AcceptsWhatConnects) {
  sockaddr_in address{};
  const UniqueFd listener = listening_socket(address);
  for (const bool non_blocking : {false, true}) {
    set_non_blocking(listener.get(), non_blocking);
    const UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    set_non_blocking(client.get(), non_blocking);
    run([&](Scope& scope) -> Task<void> {
      auto [accepted, connected] = co_await when_both(loop().accept(scope, listener.get()),
                                                      connect_to(scope, client.get(), address));
      EXPECT_TRUE(connected);
      EXPECT_TRUE(accepted);
      if (!accepted) co_return;
      EXPECT_EQ(::fcntl(accepted->get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
      EXPECT_EQ(::fcntl(accepted->get(), F_GETFL) & O_NONBLOCK, 0);
    });
    EXPECT_EQ((::fcntl(client.get(), F_GETFL) & O_NONBLOCK) != 0, non_blocking);
  }
}

TEST_P(SocketTest, AcceptsAHundredConnectionsThatCameTogether) {
  sockaddr_in address{};
  const UniqueFd listener = listening_socket(address);
  std::vector<UniqueFd> clients;
  for (int i = 0; i < 100; ++i) {
    clients.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::connect(clients.back().get(), reinterpret_cast<const sockaddr*>(&address),
                        sizeof address),
              0);
  }
  run([&](Scope& scope) -> Task<void> {
    for (int i = 0; i < 100; ++i) {
      const Result<UniqueFd> accepted = co_await loop().accept(scope, listener.get());
      EXPECT_TRUE(accepted);
    }
  });
}

TEST_P(SocketTest, ReportsThatNobodyListens) {
  sockaddr_in address{};
  listening_socket(address).reset();
  for (const bool non_blocking : {false, true}) {
    const UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    set_non_blocking(client.get(), non_blocking);
    run([&](Scope& scope) -> Task<void> {
      const Result<void> connected = co_await connect_to(scope, client.get(), address);
      expect_errno(connected, ECONNREFUSED);
    });
  }
}

TEST_P(SocketTest, ConnectsToAUnixListenerOnceItsBacklogHasRoom) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  // Autobind: an abstract name of the kernel's choice.
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(sa_family_t)), 0);
  ASSERT_EQ(::listen(listener.get(), 0), 0);
  socklen_t size = sizeof address;
  ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);

  std::vector<UniqueFd> clients;
  for (int i = 0; i < 3; ++i) clients.emplace_back(::socket(AF_UNIX, SOCK_STREAM, 0));
  for (const UniqueFd& client : clients) set_non_blocking(client.get());
  run([&](Scope& scope) -> Task<void> {
    const auto connect_all = [&]() -> Task<Result<void>> {
      for (const UniqueFd& client : clients) {
        const Result<void> connected = co_await loop().connect(
            scope, client.get(), reinterpret_cast<const sockaddr*>(&address), size);
        if (!connected) co_return ktls::fail(connected.error());
      }
      co_return Result<void>{};
    };
    const auto accept_all = [&]() -> Task<Result<void>> {
      const Result<void> slept = co_await loop().sleep(scope, milliseconds(5));
      EXPECT_TRUE(slept);
      for (std::size_t i = 0; i < clients.size(); ++i) {
        const Result<UniqueFd> accepted = co_await loop().accept(scope, listener.get());
        if (!accepted) co_return ktls::fail(accepted.error());
      }
      co_return Result<void>{};
    };
    const auto [connected, accepted] = co_await when_both(connect_all(), accept_all());
    EXPECT_TRUE(connected);
    EXPECT_TRUE(accepted);
  });
}

TEST_P(SocketTest, ReceivesNothingAtTheEndOfTheStream) {
  for (const bool non_blocking : {false, true}) {
    SocketPair pair = tcp_pair();
    set_non_blocking(pair.ours.get(), non_blocking);
    pair.theirs.reset();
    run([&](Scope& scope) -> Task<void> {
      const Result<Buffer> pooled = co_await loop().receive_pooled(scope, pair.ours.get());
      EXPECT_TRUE(pooled);
      EXPECT_EQ(pooled ? pooled->size() : 99U, 0U);
      Result<Buffer> buffer = loop().buffers().lease();
      const Result<std::size_t> received =
          co_await loop().receive(scope, pair.ours.get(), *buffer, 0, 10);
      expect_value(received, std::size_t{0});
    });
  }
}

TEST_P(SocketTest, ReportsAResetWhileSending) {
  SocketPair pair = tcp_pair();
  fill(pair.ours.get());
  run([&](Scope& scope) -> Task<void> {
    const auto reset_later = [&]() -> Task<Result<void>> {
      const Result<void> slept = co_await loop().sleep(scope, milliseconds(10));
      const linger at_once{1, 0};
      ::setsockopt(pair.theirs.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
      pair.theirs.reset();
      co_return slept;
    };
    Result<Buffer> buffer = loop().buffers().lease();
    const auto send_on = [&]() -> Task<Result<void>> {
      Result<void> sent;
      while (sent) sent = co_await loop().send(scope, pair.ours.get(), *buffer, 0, kBufferSize);
      co_return sent;
    };
    const auto [sent, slept] = co_await when_both(send_on(), reset_later());
    EXPECT_TRUE(slept);
    // A send that had moved some bytes before has used up the ECONNRESET on them.
    EXPECT_TRUE(!sent && (sent.error().sys_errno == ECONNRESET || sent.error().sys_errno == EPIPE));
    // The next one meets a socket without a peer: an error, and no signal.
    const Result<void> again = co_await loop().send(scope, pair.ours.get(), *buffer, 0, 1);
    expect_errno(again, EPIPE);
  });
}

TEST_P(SocketTest, RefusesPartsThatAreNotInTheBuffer) {
  const SocketPair pair = tcp_pair();
  run([&](Scope& scope) -> Task<void> {
    Result<Buffer> buffer = loop().buffers().lease();
    const std::size_t room = kBufferSize + kBufferTail;
    const Result<void> sent = co_await loop().send(scope, pair.ours.get(), *buffer, 1, room);
    expect_code(sent, ErrorCode::kInvalidArgument);
    const Result<std::size_t> received =
        co_await loop().receive(scope, pair.ours.get(), *buffer, room, 1);
    expect_code(received, ErrorCode::kInvalidArgument);
    const Result<std::size_t> nowhere =
        co_await loop().receive(scope, pair.ours.get(), Buffer(), 0, 1);
    EXPECT_FALSE(nowhere);
  });
}

TEST_P(SocketTest, ReportsThatDescriptorsRanOutAndAcceptsWhenThereAreSome) {
  sockaddr_in address{};
  const UniqueFd listener = listening_socket(address);
  const UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
            0);
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  run([&](Scope& scope) -> Task<void> {
    UniqueFd lowest(::dup(client.get()));
    rlimit none_left = before;
    none_left.rlim_cur = static_cast<rlim_t>(lowest.get());
    lowest.reset();
    ::setrlimit(RLIMIT_NOFILE, &none_left);
    const Result<UniqueFd> refused = co_await loop().accept(scope, listener.get());
    ::setrlimit(RLIMIT_NOFILE, &before);
    expect_errno(refused, EMFILE);
    const Result<UniqueFd> accepted = co_await loop().accept(scope, listener.get());
    EXPECT_TRUE(accepted);
  });
}

TEST_P(SocketTest, HoldsNoBuffersForIdleConnections) {
  std::vector<SocketPair> pairs;
  for (int i = 0; i < 100; ++i) pairs.push_back(tcp_pair());
  for (std::size_t i = 0; i < pairs.size(); i += 2) set_non_blocking(pairs[i].ours.get());
  std::size_t received = 0;
  const auto receive_one = [&](Scope& scope, int fd) -> Task<void> {
    const Result<Buffer> buffer = co_await loop().receive_pooled(scope, fd);
    EXPECT_TRUE(buffer);
    EXPECT_EQ(buffer ? buffer->size() : 99U, 5U);
    ++received;
  };
  const std::size_t before = loop().buffers().leased();  // what io_uring has on offer
  run([&](Scope& scope) -> Task<void> {
    for (const SocketPair& pair : pairs) loop().spawn(receive_one(scope, pair.ours.get()));
    for (int i = 0; i < 10; ++i) {
      const Result<void> slept = co_await loop().sleep(scope, milliseconds(2));
      EXPECT_TRUE(slept);
    }
    EXPECT_EQ(received, 0U);
    EXPECT_EQ(loop().buffers().leased(), before);
    for (const SocketPair& pair : pairs) {
      EXPECT_EQ(::send(pair.theirs.get(), "hello", 5, 0), 5);
    }
    while (received < pairs.size()) {
      const Result<void> slept = co_await loop().sleep(scope, milliseconds(1));
      if (!slept) co_return;
    }
  });
  EXPECT_EQ(received, pairs.size());
}

TEST_P(SocketTest, WaitsForABufferWhenAllAreLeased) {
  create({.buffers_max = 2});
  if (IsSkipped()) return;
  const SocketPair pair = tcp_pair();
  ASSERT_EQ(::send(pair.theirs.get(), "hello", 5, 0), 5);
  run([&](Scope& scope) -> Task<void> {
    Result<Buffer> one = loop().buffers().lease();
    Result<Buffer> other = loop().buffers().lease();
    EXPECT_TRUE(one);
    EXPECT_TRUE(other);
    EXPECT_FALSE(loop().buffers().lease());
    const auto release_later = [&]() -> Task<Result<void>> {
      const Result<void> slept = co_await loop().sleep(scope, milliseconds(10));
      EXPECT_EQ(loop().buffers().leased(), 2U);
      other->reset();
      co_return slept;
    };
    const auto [received, slept] =
        co_await when_both(loop().receive_pooled(scope, pair.ours.get()), release_later());
    EXPECT_TRUE(slept);
    EXPECT_TRUE(received);
    EXPECT_EQ(received ? received->size() : 99U, 5U);
  });
}

TEST_P(SocketTest, TellsTwoReadersAndAWriterOfOneDescriptorApart) {
  const SocketPair pair = unix_pair();
  fill(pair.ours.get());
  std::vector<std::string> order;
  run([&](Scope& scope) -> Task<void> {
    const auto note = [&](Task<Result<void>> wait, const char* what) -> Task<Result<void>> {
      const Result<void> ready = co_await std::move(wait);
      order.emplace_back(what);
      co_return ready;
    };
    const auto readers = [&]() -> Task<Result<void>> {
      const auto [one, other] =
          co_await when_both(note(loop().readable(scope, pair.ours.get()), "readable"),
                             note(loop().readable(scope, pair.ours.get()), "readable"));
      EXPECT_TRUE(one);
      co_return other;
    };
    const auto act = [&]() -> Task<Result<void>> {
      EXPECT_TRUE(co_await loop().sleep(scope, milliseconds(5)));
      EXPECT_TRUE(order.empty());
      EXPECT_EQ(::send(pair.theirs.get(), "x", 1, 0), 1);
      EXPECT_TRUE(co_await loop().sleep(scope, milliseconds(5)));
      EXPECT_EQ(order, (std::vector<std::string>{"readable", "readable"}));
      std::vector<char> bytes(1 << 16);
      while (::recv(pair.theirs.get(), bytes.data(), bytes.size(), MSG_DONTWAIT) > 0) continue;
      co_return Result<void>{};
    };
    const auto all_readers = [&]() -> Task<Result<void>> {
      const auto [read, acted] = co_await when_both(readers(), act());
      EXPECT_TRUE(acted);
      co_return read;
    };
    const auto [written, read] = co_await when_both(
        note(loop().writable(scope, pair.ours.get()), "writable"), all_readers());
    EXPECT_TRUE(written);
    EXPECT_TRUE(read);
  });
  EXPECT_EQ(order, (std::vector<std::string>{"readable", "readable", "writable"}));
}

TEST_P(SocketTest, TakesAHangUpForReadiness) {
  SocketPair pair = unix_pair();
  fill(pair.ours.get());
  pair.theirs.reset();
  run([&](Scope& scope) -> Task<void> {
    const Result<void> readable = co_await loop().readable(scope, pair.ours.get());
    EXPECT_TRUE(readable);
    const Result<void> writable = co_await loop().writable(scope, pair.ours.get());
    EXPECT_TRUE(writable);
  });
}

TEST_P(SocketTest, TakesARegularFileForReady) {
  const UniqueFd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  run([&](Scope& scope) -> Task<void> {
    const Result<void> readable = co_await loop().readable(scope, file.get());
    EXPECT_TRUE(readable);
  });
}

TEST_P(SocketTest, ReportsADescriptorThatIsNone) {
  run([&](Scope& scope) -> Task<void> {
    for (const int fd : {-1, 999'999'999}) {
      const Result<void> readable = co_await loop().readable(scope, fd);
      expect_errno(readable, EBADF);
      const Result<UniqueFd> accepted = co_await loop().accept(scope, fd);
      expect_errno(accepted, EBADF);
    }
  });
}

}  // namespace
}  // namespace bridge
