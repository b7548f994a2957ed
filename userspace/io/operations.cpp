// The operations that both loops share, made of poll() and system calls.

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "userspace/io/backoff.h"
#include "userspace/io/loop.h"

namespace bridge {

class Loop::SleepWait final : public Wait, private Timer {
 public:
  SleepWait(Scope& scope, Clock::duration duration)
      : Wait(scope), until_(Clock::now() + duration) {}
  ~SleepWait() override { loop().timers_.disarm(*this); }

  [[nodiscard]] ktls::Result<void> await_resume() const {
    if (aborted()) return ktls::fail(abort_error());
    return {};
  }

 private:
  [[nodiscard]] bool begin() override {
    loop().timers_.arm(*this, until_);
    return true;
  }
  void stop() override {
    loop().timers_.disarm(*this);
    finish();
  }
  void fire() override { finish(); }

  Clock::time_point until_;
};

Task<ktls::Result<void>> Loop::connect(Scope& scope, int fd, const sockaddr* address,
                                       socklen_t address_size) {
  sockaddr_storage copy{};
  const bool fits = address_size <= sizeof copy;
  if (fits) std::memcpy(&copy, address, address_size);
  return connect_to(scope, fd, copy, fits ? address_size : 0);
}

Task<ktls::Result<void>> Loop::readable(Scope& scope, int fd) {
  return poll(scope, fd, POLLIN);
}

Task<ktls::Result<void>> Loop::writable(Scope& scope, int fd) {
  return poll(scope, fd, POLLOUT);
}

Task<ktls::Result<void>> Loop::hung_up(Scope& scope, int fd) {
  return poll(scope, fd, POLLHUP);
}

Task<ktls::Result<void>> Loop::connected(Scope& scope, int fd) {
  const ktls::Result<void> ready = co_await poll(scope, fd, POLLOUT);
  if (!ready) co_return ktls::fail(ready.error());
  int error = 0;
  socklen_t error_size = sizeof error;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_size) != 0) error = errno;
  if (error != 0) co_return ktls::fail(ktls::Error::system(error, "connect"));
  co_return ktls::Result<void>{};
}

Task<ktls::Result<Buffer>> Loop::receive_when_readable(Scope& scope, int fd) {
  Backoff backoff;
  for (;;) {
    const ktls::Result<void> ready = co_await poll(scope, fd, POLLIN);
    if (!ready) co_return ktls::fail(ready.error());
    ktls::Result<Buffer> buffer = co_await lease(scope);
    if (!buffer) co_return ktls::fail(buffer.error());
    const ssize_t received = ::recv(fd, buffer->data(), kBufferSize, MSG_DONTWAIT);
    if (received > 0) {
      buffer->commit(static_cast<std::size_t>(received));
      co_return std::move(*buffer);
    }
    if (received == 0) co_return Buffer();
    if (errno != EAGAIN && errno != EINTR) co_return ktls::fail(ktls::Error::system(errno, "recv"));
    buffer->reset();
    const ktls::Result<void> paused = co_await backoff.pause(scope);
    if (!paused) co_return ktls::fail(paused.error());
  }
}

ktls::Result<std::size_t> Loop::read_file_now(int fd, std::uint64_t position, Buffer& buffer,
                                              std::size_t offset, std::size_t size) {
  for (;;) {
    const ssize_t read = ::pread(fd, buffer.data() + offset, size, static_cast<off_t>(position));
    if (read >= 0) {
      buffer.mark_written(offset, static_cast<std::size_t>(read));
      return static_cast<std::size_t>(read);
    }
    if (errno != EINTR) return ktls::fail(ktls::Error::system(errno, "read"));
  }
}

Task<ktls::Result<std::size_t>> Loop::read_file(Scope& scope, int fd, std::uint64_t position,
                                                Buffer buffer, std::size_t offset,
                                                std::size_t size) {
  if (size == 0 || !buffer.holds(offset, size)) co_return ktls::fail(range_error());
  const ktls::Result<void> begun = co_await turn(scope);
  if (!begun) co_return ktls::fail(begun.error());
  co_return read_file_now(fd, position, buffer, offset, size);
}

Task<ktls::Result<void>> Loop::sleep(Scope& scope, Clock::duration duration) {
  const ktls::Result<void> begun = co_await turn(scope);
  if (!begun) co_return ktls::fail(begun.error());
  SleepWait wait(scope, duration);
  co_return co_await wait;
}

namespace {

enum class Blocked { kInput, kOutput, kNeither };

// Which of the two ends a splice that answered EAGAIN has to wait for. It is asked of the
// kernel, not derived from which end is the pipe, so a full pipe is waited for like a full
// socket.
Blocked blocked_end(int in_fd, int out_fd) {
  pollfd ends[2] = {{in_fd, POLLIN, 0}, {out_fd, POLLOUT, 0}};
  if (::poll(ends, 2, 0) < 0) return Blocked::kNeither;
  if (ends[0].revents == 0) return Blocked::kInput;
  if (ends[1].revents == 0) return Blocked::kOutput;
  return Blocked::kNeither;
}

}  // namespace

Task<ktls::Result<std::size_t>> Loop::splice(Scope& scope, int in_fd, int out_fd,
                                             std::size_t size) {
  Backoff backoff;
  for (;;) {
    const ktls::Result<void> begun = co_await turn(scope);
    if (!begun) co_return ktls::fail(begun.error());
    const ssize_t moved =
        ::splice(in_fd, nullptr, out_fd, nullptr, size, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (moved >= 0) co_return static_cast<std::size_t>(moved);
    if (errno == EINTR) continue;
    if (errno != EAGAIN) co_return ktls::fail(ktls::Error::system(errno, "splice"));
    ktls::Result<void> ready;
    switch (blocked_end(in_fd, out_fd)) {
      case Blocked::kInput:
        ready = co_await poll(scope, in_fd, POLLIN);
        break;
      case Blocked::kOutput:
        ready = co_await poll(scope, out_fd, POLLOUT);
        break;
      case Blocked::kNeither:  // readiness that is not to be trusted: see Backoff
        ready = co_await backoff.pause(scope);
        break;
    }
    if (!ready) co_return ktls::fail(ready.error());
  }
}

}  // namespace bridge
