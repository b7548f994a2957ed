// The operations of EpollLoop, and its table of descriptors that are waited for.

#include "userspace/io/epoll_loop.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>

#include "userspace/io/backoff.h"

namespace bridge {
namespace {

// Events taken in one round; more stay in the kernel for the next one.
constexpr std::size_t kEventsMax = 256;

constexpr std::uint64_t kWakeData = std::numeric_limits<std::uint64_t>::max();

static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT && EPOLLERR == POLLERR &&
              EPOLLHUP == POLLHUP);

// Makes a descriptor O_NONBLOCK for as long as this lives.
class NonBlocking {
 public:
  explicit NonBlocking(int fd) : fd_(fd), flags_(::fcntl(fd, F_GETFL)) {
    if (changes()) ::fcntl(fd_, F_SETFL, flags_ | O_NONBLOCK);
  }
  NonBlocking(const NonBlocking&) = delete;
  NonBlocking& operator=(const NonBlocking&) = delete;
  ~NonBlocking() {
    if (changes()) ::fcntl(fd_, F_SETFL, flags_);
  }

 private:
  [[nodiscard]] bool changes() const { return flags_ >= 0 && (flags_ & O_NONBLOCK) == 0; }

  int fd_;
  int flags_;
};

}  // namespace

class EpollLoop::PollWait final : public Wait, public ListHook<DescriptorTag> {
 public:
  PollWait(EpollLoop& loop, Scope& scope, int fd, short events)
      : Wait(scope), loop_(loop), fd_(fd), events_(static_cast<std::uint32_t>(events)) {}
  ~PollWait() override { leave(); }

  [[nodiscard]] ktls::Result<void> await_resume() const {
    if (aborted()) return ktls::fail(abort_error());
    if (sys_errno_ != 0) return ktls::fail(ktls::Error::system(sys_errno_, "epoll_ctl"));
    return {};
  }

  [[nodiscard]] std::uint32_t events() const { return events_; }

  void ready(int sys_errno) {
    sys_errno_ = sys_errno;
    ListHook<DescriptorTag>::unlink();
    finish();
  }

 private:
  [[nodiscard]] bool begin() override {
    if (!loop_.knows(fd_) && ::fcntl(fd_, F_GETFD) < 0) {  // before the table grows for it
      sys_errno_ = errno;
      return false;
    }
    loop_.descriptor(fd_).waits.push_back(*this);
    sys_errno_ = loop_.arm(fd_);
    if (sys_errno_ == 0) return true;
    if (sys_errno_ == EPERM) sys_errno_ = 0;  // a regular file: always ready
    ListHook<DescriptorTag>::unlink();
    return false;
  }

  void stop() override {
    leave();
    finish();
  }

  void leave() {
    if (!ListHook<DescriptorTag>::linked()) return;
    ListHook<DescriptorTag>::unlink();
    loop_.disarm_if_unused(fd_);
  }

  EpollLoop& loop_;
  int fd_;
  std::uint32_t events_;
  int sys_errno_ = 0;
};

ktls::Result<std::unique_ptr<Loop>> EpollLoop::create(const LoopOptions& options) {
  KTLS_TRY(ktls::UniqueFd wake, wake_descriptor());
  ktls::UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return ktls::fail(ktls::Error::system(errno, "epoll_create1"));
  return std::unique_ptr<Loop>(new EpollLoop(options, std::move(wake), std::move(epoll)));
}

EpollLoop::EpollLoop(const LoopOptions& options, ktls::UniqueFd wake, ktls::UniqueFd epoll)
    : Loop(options, std::move(wake)), epoll_(std::move(epoll)) {}

ktls::Result<void> EpollLoop::prepare() {
  if (prepared_) return {};
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeData;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_fd(), &event) != 0) {
    return ktls::fail(ktls::Error::system(errno, "epoll_ctl"));
  }
  prepared_ = true;
  return {};
}

ktls::Result<void> EpollLoop::wait(std::optional<Clock::time_point> until) {
  int timeout_ms = -1;
  if (until) {
    // Rounded up: a timer that is looked at too early would make this loop spin until it is due.
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*until - now());
    timeout_ms = static_cast<int>(
        std::clamp<std::int64_t>(left.count(), 0, std::numeric_limits<int>::max()));
  }
  std::array<epoll_event, kEventsMax> events;
  const int count =
      ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout_ms);
  if (count < 0 && errno != EINTR) return ktls::fail(ktls::Error::system(errno, "epoll_wait"));
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    const std::uint64_t data = event.data.u64;
    if (data == kWakeData) {
      woken();
    } else {
      take_event(static_cast<int>(data & 0xffffffffU), static_cast<std::uint32_t>(data >> 32U),
                 event.events);
    }
  }
  return {};
}

EpollLoop::Descriptor& EpollLoop::descriptor(int fd) {
  while (descriptors_.size() <= static_cast<std::size_t>(fd)) descriptors_.emplace_back();
  return descriptors_[static_cast<std::size_t>(fd)];
}

// `fd` is a new file, and what was registered by its number is not any more.
void EpollLoop::renewed(int fd) {
  if (!knows(fd)) return;
  Descriptor& known = descriptor(fd);
  if (known.waits.empty()) known.registered = false;
}

// Arms `fd` for what its waits want; answers errno, 0 for success.
int EpollLoop::arm(int fd) {
  Descriptor& known = descriptor(fd);
  std::uint32_t wanted = 0;
  for (PollWait* wait = known.waits.front(); wait != nullptr; wait = known.waits.after(*wait)) {
    wanted |= wait->events();
  }
  if ((known.armed & wanted) == wanted) return 0;

  epoll_event event{};
  event.events = wanted | EPOLLONESHOT;
  event.data.u64 = std::uint64_t{++known.generation} << 32U | static_cast<std::uint32_t>(fd);
  const int first = known.registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  int failed = ::epoll_ctl(epoll_.get(), first, fd, &event);
  if (failed != 0 && (errno == ENOENT || errno == EEXIST)) {
    // The number was closed and reopened, or is that of a file we know.
    const int other = first == EPOLL_CTL_MOD ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    failed = ::epoll_ctl(epoll_.get(), other, fd, &event);
  }
  known.registered = failed == 0;
  known.armed = failed == 0 ? wanted : 0;
  return failed == 0 ? 0 : errno;
}

void EpollLoop::disarm_if_unused(int fd) {
  Descriptor& known = descriptor(fd);
  if (!known.waits.empty() || known.armed == 0) return;
  // It fails only if the descriptor was closed too early; then the generation silences it.
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  ++known.generation;
  known.armed = 0;
  known.registered = false;
}

void EpollLoop::take_event(int fd, std::uint32_t generation, std::uint32_t events) {
  Descriptor& known = descriptor(fd);
  if (known.generation != generation) return;
  known.armed = 0;
  PollWait* next = known.waits.front();
  while (PollWait* const wait = next) {
    next = known.waits.after(*wait);
    if ((events & (wait->events() | EPOLLERR | EPOLLHUP)) != 0) wait->ready(0);
  }
  if (known.waits.empty()) return;
  const int failed = arm(fd);
  if (failed == 0) return;
  while (PollWait* const wait = known.waits.front()) wait->ready(failed);
}

Task<ktls::Result<void>> EpollLoop::poll(Scope& scope, int fd, short events) {
  const ktls::Result<void> begun = co_await turn(scope);
  if (!begun) co_return ktls::fail(begun.error());
  PollWait wait(*this, scope, fd, events);
  co_return co_await wait;
}

Task<ktls::Result<ktls::UniqueFd>> EpollLoop::accept(Scope& scope, int listener) {
  const int flags = ::fcntl(listener, F_GETFL);
  if (flags >= 0 && (flags & O_NONBLOCK) == 0) ::fcntl(listener, F_SETFL, flags | O_NONBLOCK);
  for (;;) {
    const ktls::Result<void> begun = co_await turn(scope);
    if (!begun) co_return ktls::fail(begun.error());
    ktls::UniqueFd connection(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    if (connection) {
      renewed(connection.get());
      co_return std::move(connection);
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) co_return ktls::fail(ktls::Error::system(errno, "accept4"));
    const ktls::Result<void> ready = co_await poll(scope, listener, POLLIN);
    if (!ready) co_return ktls::fail(ready.error());
  }
}

Task<ktls::Result<void>> EpollLoop::connect_to(Scope& scope, int fd, sockaddr_storage address,
                                               socklen_t address_size) {
  const NonBlocking non_blocking(fd);
  renewed(fd);  // most likely, and if not arm() finds that out
  Backoff backoff;
  for (;;) {
    const ktls::Result<void> begun = co_await turn(scope);
    if (!begun) co_return ktls::fail(begun.error());
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), address_size) == 0) {
      co_return ktls::Result<void>{};
    }
    if (errno == EINPROGRESS || errno == EALREADY || errno == EINTR) {
      co_return co_await connected(scope, fd);
    }
    if (errno != EAGAIN) co_return ktls::fail(ktls::Error::system(errno, "connect"));
    // A Unix listener with a full backlog; the socket does not become writable when it has room.
    const ktls::Result<void> paused = co_await backoff.pause(scope);
    if (!paused) co_return ktls::fail(paused.error());
  }
}

Task<ktls::Result<std::size_t>> EpollLoop::receive(Scope& scope, int fd, Buffer buffer,
                                                   std::size_t offset, std::size_t size) {
  if (size == 0 || !buffer.holds(offset, size)) co_return ktls::fail(range_error());
  Backoff backoff;
  for (bool waited = false;;) {
    const ktls::Result<void> begun = co_await turn(scope);
    if (!begun) co_return ktls::fail(begun.error());
    const ssize_t received = ::recv(fd, buffer.data() + offset, size, MSG_DONTWAIT);
    if (received >= 0) {
      buffer.mark_written(offset, static_cast<std::size_t>(received));
      co_return static_cast<std::size_t>(received);
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) co_return ktls::fail(ktls::Error::system(errno, "recv"));
    if (waited) {
      const ktls::Result<void> paused = co_await backoff.pause(scope);
      if (!paused) co_return ktls::fail(paused.error());
    }
    const ktls::Result<void> ready = co_await poll(scope, fd, POLLIN);
    if (!ready) co_return ktls::fail(ready.error());
    waited = true;
  }
}

Task<ktls::Result<Buffer>> EpollLoop::receive_pooled(Scope& scope, int fd) {
  const ktls::Result<void> begun = co_await turn(scope);
  if (!begun) co_return ktls::fail(begun.error());
  // Bytes that are here already are had with one call instead of three.
  ktls::Result<Buffer> buffer = buffers().lease();
  if (buffer) {
    const ssize_t received = ::recv(fd, buffer->data(), kBufferSize, MSG_DONTWAIT);
    if (received > 0) {
      buffer->commit(static_cast<std::size_t>(received));
      co_return std::move(*buffer);
    }
    if (received == 0) co_return Buffer();
    if (errno != EAGAIN && errno != EINTR) co_return ktls::fail(ktls::Error::system(errno, "recv"));
    buffer->reset();
  }
  co_return co_await receive_when_readable(scope, fd);
}

Task<ktls::Result<void>> EpollLoop::send(Scope& scope, int fd, Buffer buffer, std::size_t offset,
                                         std::size_t size) {
  if (!buffer.holds(offset, size)) co_return ktls::fail(range_error());
  while (size > 0) {
    const ktls::Result<void> begun = co_await turn(scope);
    if (!begun) co_return ktls::fail(begun.error());
    const ssize_t sent = ::send(fd, buffer.data() + offset, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) {
      offset += static_cast<std::size_t>(sent);
      size -= static_cast<std::size_t>(sent);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) co_return ktls::fail(ktls::Error::system(errno, "send"));
    const ktls::Result<void> ready = co_await poll(scope, fd, POLLOUT);
    if (!ready) co_return ktls::fail(ready.error());
  }
  co_return ktls::Result<void>{};
}

}  // namespace bridge
