// Ending each kind of operation while it waits: by its scope, by destroying its task, and by
// stopping the loop.

#include <array>
#include <cstring>
#include <functional>

#include "tests/unit/userspace/io/loop_fixture.h"
#include "userspace/io/async_mutex.h"

namespace bridge {
namespace {

enum class Operation : std::uint8_t {
  kAccept,
  kConnect,
  kReadable,
  kWritable,
  kReceive,
  kReceivePooled,
  kSend,
  kSpliceIn,
  kSpliceOut,
  kSleep,
  kLease,
  kLock,
};

constexpr std::array kOperations = {
    Operation::kAccept,    Operation::kConnect,       Operation::kReadable, Operation::kWritable,
    Operation::kReceive,   Operation::kReceivePooled, Operation::kSend,     Operation::kSpliceIn,
    Operation::kSpliceOut, Operation::kSleep,         Operation::kLease,    Operation::kLock,
};

constexpr LoopOptions kFewBuffers{.buffers_max = 8};

template <class T>
Task<std::optional<ErrorCode>> outcome(Task<Result<T>> operation) {
  const Result<T> result = co_await std::move(operation);
  if (result) co_return std::nullopt;
  co_return result.error().code;
}

// Surroundings in which every operation has to wait: an empty socket with a full send queue, a
// listener nobody connects to, one that lets nobody in and a socket that tries all the same, a
// pipe that holds bytes, a locked mutex, and no buffers.
class Waiting {
 public:
  explicit Waiting(Loop& loop) : loop_(loop) {}

  [[nodiscard]] Task<void> set_up(Scope& scope) {
    pair = unix_pair();
    set_non_blocking(pair.ours.get());
    fill(pair.ours.get());
    listener = listening_socket(address_);
    full_listener_ = listening_socket(full_address_, 0);
    for (UniqueFd& one : crowd_) {
      one.reset(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
      ::connect(one.get(), reinterpret_cast<sockaddr*>(&full_address_), sizeof full_address_);
    }
    client.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    connecting.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    ::connect(connecting.get(), reinterpret_cast<sockaddr*>(&full_address_), sizeof full_address_);
    Result<Pipe> empty = loop_.pipes().lease();
    Result<Pipe> filled = loop_.pipes().lease();
    EXPECT_TRUE(empty && filled);
    empty_pipe_ = std::move(*empty);
    filled_pipe_ = std::move(*filled);
    EXPECT_EQ(::write(filled_pipe_.write_end(), "hello", 5), 5);
    Result<AsyncMutex::Guard> guard = co_await mutex_.lock(scope);
    EXPECT_TRUE(guard);
    guard_ = std::move(*guard);
  }

  [[nodiscard]] Task<std::optional<ErrorCode>> begin(Operation operation, Scope& scope) {
    const int fd = pair.ours.get();
    switch (operation) {
      case Operation::kAccept:
        return outcome(loop_.accept(scope, listener.get()));
      case Operation::kConnect:
        return outcome(loop_.connect(scope, client.get(),
                                     reinterpret_cast<sockaddr*>(&full_address_),
                                     sizeof full_address_));
      case Operation::kReadable:
        return outcome(loop_.readable(scope, fd));
      case Operation::kWritable:
        return outcome(loop_.writable(scope, fd));
      case Operation::kReceive:
        return outcome(loop_.receive(scope, fd, buffer(), 0, kBufferSize));
      case Operation::kReceivePooled:
        return outcome(loop_.receive_pooled(scope, fd));
      case Operation::kSend:
        return outcome(loop_.send(scope, fd, buffer(), 0, kBufferSize));
      case Operation::kSpliceIn:
        return outcome(loop_.splice(scope, fd, empty_pipe_.write_end(), 100));
      case Operation::kSpliceOut:
        return outcome(loop_.splice(scope, filled_pipe_.read_end(), connecting.get(), 100));
      case Operation::kSleep:
        return outcome(loop_.sleep(scope, milliseconds(1'000'000)));
      case Operation::kLease:
        while (Result<Buffer> one = loop_.buffers().lease()) hoard_.push_back(std::move(*one));
        return outcome(loop_.lease(scope));
      case Operation::kLock:
        return outcome(mutex_.lock(scope));
    }
    return {};
  }

  // Closes all descriptors that operations wait on; at once something else has their numbers.
  void reuse_numbers() {
    for (UniqueFd* fd : {&pair.ours, &listener, &client, &connecting}) {
      SocketPair other = unix_pair();
      const int number = fd->release();
      EXPECT_EQ(::dup3(other.ours.get(), number, O_CLOEXEC), number);
      reused_.push_back({UniqueFd(number), std::move(other.theirs)});
      EXPECT_EQ(::send(reused_.back().theirs.get(), "mine", 4, 0), 4);
    }
  }

  // Nobody has touched what came to the numbers' new owners.
  void expect_untouched() const {
    for (const SocketPair& socket : reused_) {
      std::array<char, 10> bytes{};
      EXPECT_EQ(::recv(socket.ours.get(), bytes.data(), bytes.size(), MSG_DONTWAIT), 4);
      EXPECT_EQ(std::memcmp(bytes.data(), "mine", 4), 0);
      EXPECT_EQ(::recv(socket.theirs.get(), bytes.data(), bytes.size(), MSG_DONTWAIT), -1);
    }
  }

  SocketPair pair;
  UniqueFd listener;
  UniqueFd client;
  UniqueFd connecting;

 private:
  [[nodiscard]] Buffer buffer() {
    Result<Buffer> leased = loop_.buffers().lease();
    EXPECT_TRUE(leased);
    return leased ? std::move(*leased) : Buffer();
  }

  Loop& loop_;
  sockaddr_in address_{};
  sockaddr_in full_address_{};
  UniqueFd full_listener_;
  std::array<UniqueFd, 4> crowd_;
  Pipe empty_pipe_;
  Pipe filled_pipe_;
  AsyncMutex mutex_;
  AsyncMutex::Guard guard_;
  std::vector<Buffer> hoard_;
  std::vector<SocketPair> reused_;
};

class CancellationTest : public LoopTest {
 protected:
  void SetUp() override { create(kFewBuffers); }

  [[nodiscard]] Task<void> pause(Scope& scope) {
    const Result<void> slept = co_await loop().sleep(scope, milliseconds(3));
    EXPECT_TRUE(slept);
  }

  [[nodiscard]] Task<void> expect_no_leases(Scope& scope, std::size_t leased) {
    while (loop().buffers().leased() > leased && !scope.expired()) co_await pause(scope);
    EXPECT_EQ(loop().buffers().leased(), leased);
  }
};
BRIDGE_ON_BOTH_LOOPS(CancellationTest);

TEST_P(CancellationTest, EndsEachKindOfOperationAsItsScopeDoes) {
  for (const Operation operation : kOperations) {
    for (const ErrorCode end : {ErrorCode::kCancelled, ErrorCode::kTimeout}) {
      SCOPED_TRACE(static_cast<int>(operation));
      const std::size_t leased = loop().buffers().leased();
      run([&](Scope& patience) -> Task<void> {
        {
          Waiting waiting(loop());
          co_await waiting.set_up(patience);
          Scope scope(loop());
          std::optional<std::optional<ErrorCode>> ended;
          const auto observe = [&]() -> Task<void> {
            ended = co_await waiting.begin(operation, scope);
          };
          loop().spawn(observe());
          co_await pause(patience);
          EXPECT_FALSE(ended);
          if (end == ErrorCode::kCancelled) scope.cancel();
          if (end == ErrorCode::kTimeout) scope.extend(milliseconds(1));
          while (!ended && !patience.expired()) co_await pause(patience);
          EXPECT_EQ(ended, std::optional(std::optional(end)));
          // And what is begun now fails in the same way, at once.
          Task<std::optional<ErrorCode>> late = waiting.begin(operation, scope);
          late.handle().resume();
          EXPECT_TRUE(late.finished());
          EXPECT_EQ(late.finished() ? late.take() : std::nullopt, end);
        }
        co_await expect_no_leases(patience, leased);
      });
    }
  }
}

TEST_P(CancellationTest, EndsAnOperationThatWasNotSubmittedYet) {
  for (const Operation operation : kOperations) {
    SCOPED_TRACE(static_cast<int>(operation));
    run([&](Scope& patience) -> Task<void> {
      Waiting waiting(loop());
      co_await waiting.set_up(patience);
      Scope scope(loop());
      std::optional<std::optional<ErrorCode>> ended;
      const auto observe = [&]() -> Task<void> {
        ended = co_await waiting.begin(operation, scope);
      };
      Task<void> task = observe();
      task.handle().resume();
      EXPECT_FALSE(ended);
      scope.cancel();
      while (!ended && !patience.expired()) co_await pause(patience);
      EXPECT_EQ(ended, std::optional(std::optional(ErrorCode::kCancelled)));
    });
  }
}

TEST_P(CancellationTest, LetsGoOfADescriptorWhenTheTaskIsDestroyed) {
  for (const Operation operation : kOperations) {
    for (const bool submitted : {false, true}) {
      SCOPED_TRACE(static_cast<int>(operation) * 10 + (submitted ? 1 : 0));
      const std::size_t leased = loop().buffers().leased();
      run([&](Scope& scope) -> Task<void> {
        {
          Waiting waiting(loop());
          co_await waiting.set_up(scope);
          {
            Task<std::optional<ErrorCode>> task = waiting.begin(operation, scope);
            task.handle().resume();
            if (submitted) co_await pause(scope);
            EXPECT_FALSE(task.finished());
          }
          waiting.reuse_numbers();
          co_await pause(scope);
          waiting.expect_untouched();
        }
        co_await expect_no_leases(scope, leased);
      });
    }
  }
}

TEST_P(CancellationTest, StoppedLoopLetsGoOfAllOperations) {
  const std::size_t leased = loop().buffers().leased();
  for (const bool submitted : {false, true}) {
    bool destroyed = false;
    run([&](Scope& scope) -> Task<void> {
      const auto wait_for_all = [&](bool& gone) -> Task<void> {
        struct Farewell {
          bool& gone;
          ~Farewell() { gone = true; }
        } const farewell{gone};
        Waiting waiting(loop());
        co_await waiting.set_up(scope);
        std::vector<Task<std::optional<ErrorCode>>> tasks;
        for (const Operation operation : kOperations) {
          tasks.push_back(waiting.begin(operation, scope));
          tasks.back().handle().resume();
          EXPECT_FALSE(tasks.back().finished());
        }
        const Result<void> slept = co_await loop().sleep(scope, milliseconds(1'000'000));
        EXPECT_TRUE(slept);
      };
      loop().spawn(wait_for_all(destroyed));
      co_await loop().yield();
      if (submitted) co_await pause(scope);
      EXPECT_FALSE(destroyed);
    });
    EXPECT_TRUE(destroyed);
    EXPECT_EQ(loop().buffers().leased(), leased);
  }
}

TEST_P(CancellationTest, KnowsAReusedNumberFromTheFileThatADuplicateKeepsOpen) {
  SocketPair old_pair = tcp_pair();
  const UniqueFd duplicate(::dup(old_pair.ours.get()));
  run([&](Scope& scope) -> Task<void> {
    // Once fired and once given up: both leave nothing armed behind.
    EXPECT_EQ(::send(old_pair.theirs.get(), "x", 1, 0), 1);
    const Result<void> ready = co_await loop().readable(scope, old_pair.ours.get());
    EXPECT_TRUE(ready);
    char byte = 0;
    EXPECT_EQ(::recv(old_pair.ours.get(), &byte, 1, 0), 1);
    {
      Task<Result<void>> given_up = loop().readable(scope, old_pair.ours.get());
      given_up.handle().resume();
      EXPECT_FALSE(given_up.finished());
    }
    SocketPair new_pair = tcp_pair();
    const int number = old_pair.ours.release();
    EXPECT_EQ(::dup3(new_pair.ours.get(), number, O_CLOEXEC), number);
    const UniqueFd reused(number);
    EXPECT_EQ(::send(old_pair.theirs.get(), "old", 3, 0), 3);

    Scope brief(loop(), milliseconds(10));
    const Result<void> nothing = co_await loop().readable(brief, reused.get());
    expect_code(nothing, ErrorCode::kTimeout);
    EXPECT_EQ(::send(new_pair.theirs.get(), "new", 3, 0), 3);
    const Result<void> something = co_await loop().readable(scope, reused.get());
    EXPECT_TRUE(something);
  });
}

TEST_P(CancellationTest, ClosesAConnectionThatWasAcceptedForNobody) {
  sockaddr_in address{};
  const UniqueFd listener = listening_socket(address);
  const UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  run([&](Scope& scope) -> Task<void> {
    {
      Task<Result<UniqueFd>> accepting = loop().accept(scope, listener.get());
      accepting.handle().resume();
      EXPECT_FALSE(accepting.finished());
      // Whether this or the cancellation comes first is the kernel's choice.
      EXPECT_EQ(
          ::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    }
    co_await pause(scope);
    set_non_blocking(listener.get());
    const UniqueFd in_queue(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (in_queue) co_return;
    const Result<void> ended = co_await loop().readable(scope, client.get());
    EXPECT_TRUE(ended);
    char byte = 0;
    EXPECT_EQ(::recv(client.get(), &byte, 1, MSG_DONTWAIT), 0);
  });
}

}  // namespace
}  // namespace bridge
