// What both loops do alike: rounds, root tasks, posts, and leases of buffers.

#include "userspace/io/loop.h"

#include <cerrno>
#include <csignal>
#include <utility>

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "userspace/io/epoll_loop.h"
#include "userspace/io/ring_loop.h"

namespace bridge {

// Keeps SIGPIPE from this thread; one that came meanwhile is dropped, unless somebody else had
// blocked it already and may want to see it.
class SigpipeBlock {
 public:
  SigpipeBlock() {
    sigemptyset(&sigpipe_);
    sigaddset(&sigpipe_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &sigpipe_, &before_);
  }
  SigpipeBlock(const SigpipeBlock&) = delete;
  SigpipeBlock& operator=(const SigpipeBlock&) = delete;
  ~SigpipeBlock() {
    if (sigismember(&before_, SIGPIPE) == 1) return;
    const timespec at_once{};
    while (::sigtimedwait(&sigpipe_, nullptr, &at_once) == SIGPIPE) continue;
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t sigpipe_;
  sigset_t before_;
};

class Loop::Root final : public Resumption, public ListHook<RootTag>, private TaskObserver {
 public:
  Root(Loop& loop, Task<void> task) : loop_(loop), task_(std::move(task)) {
    coroutine_ = task_.handle();
    task_.observe(*this);
  }

 private:
  void task_finished() noexcept override { loop_.finished_roots_.push_back(*this); }

  Loop& loop_;
  Task<void> task_;
};

class Loop::LeaseWait final : public Wait, public ListHook<LeaseTag> {
 public:
  explicit LeaseWait(Scope& scope) : Wait(scope) {}

  [[nodiscard]] ktls::Result<Buffer> await_resume() {
    if (!buffer_.has_block()) return ktls::fail(abort_error());
    return std::move(buffer_);
  }

  void give(Buffer buffer) {
    buffer_ = std::move(buffer);
    finish();
  }

 private:
  [[nodiscard]] bool begin() override {
    loop().lease_waits_.push_back(*this);
    return true;
  }
  void stop() override {
    ListHook<LeaseTag>::unlink();
    finish();
  }

  Buffer buffer_;
};

std::string_view name_of(LoopKind kind) {
  return kind == LoopKind::kIoUring ? "io_uring" : "epoll";
}

ktls::Result<std::unique_ptr<Loop>> Loop::create(std::optional<LoopKind> kind,
                                                 const LoopOptions& options) {
  if (kind == LoopKind::kIoUring) return RingLoop::create(options);
  std::string why = "epoll was asked for";
  if (!kind) {
    auto ring = RingLoop::create(options);
    if (ring) return ring;
    why = ring.error().message();
  }
  auto loop = EpollLoop::create(options);
  if (loop) (*loop)->why_ = std::move(why);
  return loop;
}

ktls::Result<ktls::UniqueFd> Loop::wake_descriptor() {
  ktls::UniqueFd wake(::eventfd(0, EFD_CLOEXEC));
  if (!wake) return ktls::fail(ktls::Error::system(errno, "eventfd"));
  return wake;
}

Loop::Loop(const LoopOptions& options, ktls::UniqueFd wake)
    : buffers_(options.buffers_max), pipes_(options.pipes_max), wake_(std::move(wake)) {
  buffers_.observe(this);
}

Loop::~Loop() {
  destroy_roots();
  buffers_.observe(nullptr);
}

void Loop::spawn(Task<void> task) {
  Root* const root = new Root(*this, std::move(task));
  roots_.push_back(*root);
  make_ready(*root);
}

ktls::Result<void> Loop::run() {
  const SigpipeBlock sigpipe_block;
  running_ = true;
  ktls::Result<void> outcome = prepare();
  if (outcome) outcome = run_rounds();
  destroy_roots();
  drain();
  running_ = false;
  stop_ = false;
  return outcome;
}

ktls::Result<void> Loop::run_rounds() {
  fire_timers();
  run_posted();  // the wake-up for these may have been taken at the end of an earlier run
  while (!stop_) {
    resume_ready();
    if (stop_) break;
    ktls::Result<void> waited = wait(ready_.empty() ? timers_.soonest() : now_);
    if (!waited) return waited;
    fire_timers();
    if (std::exchange(woken_, false)) run_posted();
  }
  return {};
}

void Loop::stop() {
  stop_ = true;
  wake();
}

bool Loop::post(std::function<void()> function) {
  {
    const std::lock_guard lock(posts_mutex_);
    if (posts_.size() == kPostsMax) return false;
    posts_.push_back(std::move(function));
    if (posts_.size() > 1) return true;  // the first one's wake-up is still to come
  }
  wake();
  return true;
}

void Loop::wake() const {
  const std::uint64_t one = 1;
  // It cannot fail: the counter would have to reach 2^64 - 1 first.
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof one);
}

void Loop::woken() {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t taken = ::read(wake_.get(), &count, sizeof count);
  woken_ = true;
}

void Loop::fire_timers() {
  now_ = Clock::now();
  timers_.fire_due(now_);
}

void Loop::run_posted() {
  std::vector<std::function<void()>> posts;
  {
    const std::lock_guard lock(posts_mutex_);
    posts.swap(posts_);
  }
  for (const auto& function : posts) function();
}

// Those made ready by the ones resumed here have their turn in the next round.
void Loop::resume_ready() {
  List<Resumption, ReadyTag> batch;
  batch.take_all(ready_);
  while (Resumption* const resumption = batch.pop_front()) {
    inline_completions_left_ = kInlineCompletionsMax;
    resumption->coroutine_.resume();
    while (Root* const root = finished_roots_.pop_front()) delete root;
    if (stop_) {
      ready_.take_all(batch);
      return;
    }
  }
}

// What goes may spawn more; that goes too, unstarted.
void Loop::destroy_roots() {
  while (Root* const root = roots_.pop_front()) delete root;
}

bool Loop::Turn::await_ready() noexcept {
  int& left = loop().inline_completions_left_;
  if (left == 0) return false;
  --left;
  return true;
}

bool Loop::Turn::begin() {
  loop().make_ready(*this);
  return true;
}

ktls::Result<void> Loop::Turn::await_resume() {
  if (aborted()) return ktls::fail(abort_error());
  if (auto failure = scope().failure()) return ktls::fail(std::move(*failure));
  return {};
}

Task<ktls::Result<Buffer>> Loop::lease(Scope& scope) {
  const ktls::Result<void> begun = co_await turn(scope);
  if (!begun) co_return ktls::fail(begun.error());
  ktls::Result<Buffer> buffer = buffers_.lease();
  if (buffer) co_return std::move(buffer);
  LeaseWait wait(scope);
  co_return co_await wait;
}

// A block that comes back goes to who has waited longest, before anybody else can take it.
void Loop::buffer_released() {
  if (lease_waits_.empty()) return;
  ktls::Result<Buffer> buffer = buffers_.lease();
  if (buffer) lease_waits_.pop_front()->give(std::move(*buffer));
}

Loop::Yield Loop::yield() {
  return Yield(*this);
}

Loop::Turn Loop::turn(Scope& scope) {
  return Turn(scope);
}

}  // namespace bridge
