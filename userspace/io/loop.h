// Loop: one thread's event loop, on io_uring or, where that is refused, on epoll.
//
// Both behave alike: the same coroutines run on either, and the same tests. Operations answer
// with Result; each belongs to a Scope, holds its own reference to its Buffer, and may be
// abandoned at any time by destroying its Task: the operation is cancelled, and what the kernel
// may still touch stays alive in the loop until the kernel lets go. A descriptor must stay open
// until the operations on it have completed or their tasks were destroyed; then it may be closed
// and its number used again at once.
//
// Operations work on blocking and non-blocking sockets, except splice, whose contract is below.
// Errors of the system are kSystem with the errno; kTimeout and kCancelled come from the Scope.
#pragma once

#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/socket.h>

#include "ktls/base/result.h"
#include "ktls/base/unique_fd.h"
#include "userspace/io/buffer.h"
#include "userspace/io/list.h"
#include "userspace/io/pipe.h"
#include "userspace/io/scope.h"
#include "userspace/io/task.h"
#include "userspace/io/timer.h"
#include "userspace/io/wait.h"

namespace bridge {

enum class LoopKind : std::uint8_t { kIoUring, kEpoll };

// "io_uring", "epoll".
[[nodiscard]] std::string_view name_of(LoopKind kind);

struct LoopOptions {
  std::size_t buffers_max = kBuffersMaxDefault;
  std::size_t pipes_max = kPipesMaxDefault;
};

// Awaits that complete without waiting which a task may do in a row: then it goes to the back of
// the queue, so that a peer who always has more for us cannot keep the others waiting.
inline constexpr int kInlineCompletionsMax = 64;

// Functions that post() holds until the loop comes round. The loop runs all of them every round;
// so many pending ones mean that it is stuck, and holding more would only hide it.
inline constexpr std::size_t kPostsMax = 4096;

class Loop : private BufferObserver {
 public:
  // The loop of that kind, or an Error; with none given io_uring is tried (by sending a request
  // round once) and epoll taken where it is refused: why() says why. May be called on another
  // thread than run().
  [[nodiscard]] static ktls::Result<std::unique_ptr<Loop>> create(
      std::optional<LoopKind> kind = std::nullopt, const LoopOptions& options = {});

  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop() override;

  [[nodiscard]] virtual LoopKind kind() const = 0;

  // Why io_uring is not used; empty where it is.
  [[nodiscard]] const std::string& why() const { return why_; }

  // Owns `task` from now on and starts it in the next round; it is destroyed when it finishes.
  void spawn(Task<void> task);

  // Runs until stop(); then destroys the root tasks that are left and waits until the kernel has
  // let go of what they had in flight. Always on the same thread. An Error means that the kernel
  // refused to go on waiting for us, which ends the loop like stop().
  //
  // SIGPIPE is blocked on this thread meanwhile, because splice() has no MSG_NOSIGNAL: whoever
  // forks in here gives the child its own signal mask.
  [[nodiscard]] ktls::Result<void> run();

  // Makes run() return soon, or at once when it is not running yet. From any thread.
  void stop();

  // Has `function` called by run(), between tasks. From any thread. False: kPostsMax are pending
  // and this one was dropped.
  bool post(std::function<void()> function);

  // The time at which the present round began: deadlines count from it. When the loop is not
  // running, the time.
  [[nodiscard]] Clock::time_point now() const { return running_ ? now_ : Clock::now(); }

  [[nodiscard]] BufferPool& buffers() { return buffers_; }
  [[nodiscard]] PipePool& pipes() { return pipes_; }

  // A connection, O_CLOEXEC and blocking. EMFILE, ENFILE, ENOBUFS, ENOMEM and ECONNABORTED are
  // errors like any other: back off, then go on. On the epoll loop the listener becomes
  // O_NONBLOCK.
  [[nodiscard]] virtual Task<ktls::Result<ktls::UniqueFd>> accept(Scope& scope, int listener) = 0;

  // The address is copied before this returns; it has at most sizeof(sockaddr_storage) bytes.
  [[nodiscard]] Task<ktls::Result<void>> connect(Scope& scope, int fd, const sockaddr* address,
                                                 socklen_t address_size);

  // Until the descriptor is ready, or has an error or a hang-up to report, which the next read
  // or write will. Files that cannot be polled are always ready.
  [[nodiscard]] Task<ktls::Result<void>> readable(Scope& scope, int fd);
  [[nodiscard]] Task<ktls::Result<void>> writable(Scope& scope, int fd);
  // Until the other end is closed, whatever there is to read or room for; or there is an error.
  [[nodiscard]] Task<ktls::Result<void>> hung_up(Scope& scope, int fd);

  // At least one byte, at most `size`, to buffer.data() + offset; 0 at the end of the stream.
  // The view of the caller's Buffer does not change: commit() what came. kInvalidArgument when
  // size is 0 or leaves the block.
  [[nodiscard]] virtual Task<ktls::Result<std::size_t>> receive(Scope& scope, int fd, Buffer buffer,
                                                                std::size_t offset,
                                                                std::size_t size) = 0;

  // Up to kBufferSize bytes in a Buffer of the pool, size() 0 at the end of the stream. Holds no
  // block while nothing comes; when all are leased it waits for one.
  [[nodiscard]] virtual Task<ktls::Result<Buffer>> receive_pooled(Scope& scope, int fd) = 0;

  // All of [buffer.data() + offset, + size). No SIGPIPE: EPIPE.
  [[nodiscard]] virtual Task<ktls::Result<void>> send(Scope& scope, int fd, Buffer buffer,
                                                      std::size_t offset, std::size_t size) = 0;

  // Part of a regular file, from `position` on, to buffer.data() + offset: at least one byte and at
  // most `size`; 0 at the end of the file. As receive() otherwise. io_uring keeps the thread free
  // while the disk is at work; the epoll loop waits for it, since files cannot be polled.
  [[nodiscard]] virtual Task<ktls::Result<std::size_t>> read_file(Scope& scope, int fd,
                                                                  std::uint64_t position,
                                                                  Buffer buffer, std::size_t offset,
                                                                  std::size_t size);

  // Moves up to `size` bytes; waits until some can be moved; 0 at the end of the stream. One of
  // the two is a pipe. Contract: both are O_NONBLOCK, regular files apart; it is not checked each
  // time, and a blocking one may block the whole loop (SPLICE_F_NONBLOCK is for the pipe alone).
  // Errors other than EAGAIN are returned; from a kTLS socket EINVAL means that a control record
  // is next.
  [[nodiscard]] Task<ktls::Result<std::size_t>> splice(Scope& scope, int in_fd, int out_fd,
                                                       std::size_t size);

  // Success when the time has passed; the Scope's deadline may come first.
  [[nodiscard]] Task<ktls::Result<void>> sleep(Scope& scope, Clock::duration duration);

  // An empty Buffer of the pool, as soon as there is one.
  [[nodiscard]] Task<ktls::Result<Buffer>> lease(Scope& scope);

  // `co_await loop.yield()`: lets the others run first.
  class Yield;
  [[nodiscard]] Yield yield();

  // `co_await loop.turn(scope)` begins every operation: yields if this task has had its share of
  // inline completions, and answers the Scope's failure, if any.
  class Turn;
  [[nodiscard]] Turn turn(Scope& scope);

 protected:
  Loop(const LoopOptions& options, ktls::UniqueFd wake);

  // The eventfd that the constructor wants.
  [[nodiscard]] static ktls::Result<ktls::UniqueFd> wake_descriptor();

  // Until `fd` has one of `events` (POLLIN, POLLOUT), an error or a hang-up.
  [[nodiscard]] virtual Task<ktls::Result<void>> poll(Scope& scope, int fd, short events) = 0;

  [[nodiscard]] virtual Task<ktls::Result<void>> connect_to(Scope& scope, int fd,
                                                            sockaddr_storage address,
                                                            socklen_t address_size) = 0;

  // Called by run() before its first round, on its thread.
  [[nodiscard]] virtual ktls::Result<void> prepare() = 0;

  // Submits what is queued and takes in what happened, waiting for something to happen until
  // `until` at most (none: for as long as it takes). Resumes nobody: what happened is queued.
  [[nodiscard]] virtual ktls::Result<void> wait(std::optional<Clock::time_point> until) = 0;

  // Waits until the kernel holds nothing of this loop's any more.
  virtual void drain() = 0;

  // Receives into a leased Buffer, without waiting unless EAGAIN; holds none while it waits.
  [[nodiscard]] Task<ktls::Result<Buffer>> receive_when_readable(Scope& scope, int fd);

  // read_file() by a system call that waits for the disk.
  [[nodiscard]] static ktls::Result<std::size_t> read_file_now(int fd, std::uint64_t position,
                                                               Buffer& buffer, std::size_t offset,
                                                               std::size_t size);

  // Waits until a connect that is in progress has its result.
  [[nodiscard]] Task<ktls::Result<void>> connected(Scope& scope, int fd);

  // What receive and send answer for a part that is not in the Buffer's block.
  [[nodiscard]] static ktls::Error range_error() {
    return ktls::Error::of(ktls::ErrorCode::kInvalidArgument, "a part outside the buffer");
  }

  // Becomes readable when somebody calls post() or stop(); then wait() calls woken().
  [[nodiscard]] int wake_fd() const { return wake_.get(); }
  void woken();

  // Takes the time and fires what is due.
  void fire_timers();

  TimerHeap timers_;
  BufferPool buffers_;
  PipePool pipes_;

 private:
  friend class Wait;
  friend class Scope;
  class Root;
  class SleepWait;
  class LeaseWait;
  struct LeaseTag;
  struct RootTag;

  void make_ready(Resumption& resumption) { ready_.push_back(resumption); }
  [[nodiscard]] ktls::Result<void> run_rounds();
  void resume_ready();
  void run_posted();
  void destroy_roots();
  void wake() const;
  void buffer_released() override;

  std::string why_;
  ktls::UniqueFd wake_;
  std::atomic<bool> stop_{false};
  bool running_ = false;
  bool woken_ = false;
  Clock::time_point now_;
  int inline_completions_left_ = kInlineCompletionsMax;
  List<Resumption, ReadyTag> ready_;
  List<LeaseWait, LeaseTag> lease_waits_;
  List<Root, RootTag> roots_;
  List<Root, RootTag> finished_roots_;

  std::mutex posts_mutex_;
  std::vector<std::function<void()>> posts_;
};

class Loop::Yield final : public Resumption {
 public:
  explicit Yield(Loop& loop) : loop_(loop) {}
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> coroutine) {
    coroutine_ = coroutine;
    loop_.make_ready(*this);
  }
  void await_resume() const noexcept {}

 private:
  Loop& loop_;
};

class Loop::Turn final : public Wait {
 public:
  explicit Turn(Scope& scope) : Wait(scope) {}
  [[nodiscard]] bool await_ready() noexcept;
  [[nodiscard]] ktls::Result<void> await_resume();

 private:
  [[nodiscard]] bool begin() override;
  void stop() override {}
};

}  // namespace bridge
