// The operations of RingLoop: a request each, tried again where the socket is O_NONBLOCK and the
// kernel therefore answers EAGAIN instead of waiting.

#include <cerrno>

#include <poll.h>
#include <sys/socket.h>

#include "userspace/io/backoff.h"
#include "userspace/io/ring_loop.h"

namespace bridge {
namespace {

bool is_again(const ktls::Error& error) {
  return error.code == ktls::ErrorCode::kSystem &&
         (error.sys_errno == EAGAIN || error.sys_errno == EINTR);
}

}  // namespace

RingWait::RingWait(RingLoop& loop, Scope& scope, const char* call)
    : Wait(scope),
      loop_(loop),
      flight_(&loop.new_flight()),
      request_(&loop.next_sqe()),
      call_(call) {
  flight_->wait = this;
}

RingWait::~RingWait() {
  if (flight_ != nullptr) loop_.detach(*flight_);
}

bool RingWait::begin() {
  ::io_uring_sqe_set_data64(request_, flight_->user_data());
  flight_->airborne = true;
  return true;
}

void RingWait::stop() {
  loop_.cancel(*flight_);
}

void RingWait::complete(int result, Buffer provided) {
  flight_ = nullptr;
  result_ = result;
  provided_ = std::move(provided);
  finish();
}

ktls::Result<int> RingWait::await_resume() const {
  if (result_ >= 0) return result_;
  if (aborted()) return ktls::fail(abort_error());
  return ktls::fail(ktls::Error::system(-result_, call_));
}

Task<ktls::Result<void>> RingLoop::poll(Scope& scope, int fd, short events) {
  const ktls::Result<void> begun = co_await turn(scope);
  if (!begun) co_return ktls::fail(begun.error());
  RingWait wait(*this, scope, "poll");
  ::io_uring_prep_poll_add(&wait.request(), fd, static_cast<unsigned>(events));
  const ktls::Result<int> ready = co_await wait;
  if (wait.ended()) co_return ktls::fail(wait.end_error());
  if (!ready) co_return ktls::fail(ready.error());
  co_return ktls::Result<void>{};
}

Task<ktls::Result<ktls::UniqueFd>> RingLoop::accept(Scope& scope, int listener) {
  for (;;) {
    const ktls::Result<void> begun = co_await turn(scope);
    if (!begun) co_return ktls::fail(begun.error());
    RingWait wait(*this, scope, "accept");
    ::io_uring_prep_accept(&wait.request(), listener, nullptr, nullptr, SOCK_CLOEXEC);
    wait.flight().cargo = Flight::Cargo::kDescriptor;
    const ktls::Result<int> accepted = co_await wait;
    if (accepted) co_return ktls::UniqueFd(*accepted);
    if (!is_again(accepted.error())) co_return ktls::fail(accepted.error());
    const ktls::Result<void> ready = co_await poll(scope, listener, POLLIN);
    if (!ready) co_return ktls::fail(ready.error());
  }
}

Task<ktls::Result<void>> RingLoop::connect_to(Scope& scope, int fd, sockaddr_storage address,
                                              socklen_t address_size) {
  Backoff backoff;
  for (;;) {
    const ktls::Result<void> begun = co_await turn(scope);
    if (!begun) co_return ktls::fail(begun.error());
    RingWait wait(*this, scope, "connect");
    wait.flight().address = address;
    const sockaddr* const kept = reinterpret_cast<const sockaddr*>(&wait.flight().address);
    ::io_uring_prep_connect(&wait.request(), fd, kept, address_size);
    const ktls::Result<int> result = co_await wait;
    if (result) co_return ktls::Result<void>{};
    const int sys_errno = result.error().sys_errno;
    if (sys_errno == EINPROGRESS || sys_errno == EALREADY) co_return co_await connected(scope, fd);
    if (!is_again(result.error())) co_return ktls::fail(result.error());
    // A Unix listener with a full backlog; the socket does not become writable when it has room.
    const ktls::Result<void> paused = co_await backoff.pause(scope);
    if (!paused) co_return ktls::fail(paused.error());
  }
}

Task<ktls::Result<std::size_t>> RingLoop::receive(Scope& scope, int fd, Buffer buffer,
                                                  std::size_t offset, std::size_t size) {
  if (size == 0 || !buffer.holds(offset, size)) co_return ktls::fail(range_error());
  Backoff backoff;
  for (bool waited = false;;) {
    const ktls::Result<void> begun = co_await turn(scope);
    if (!begun) co_return ktls::fail(begun.error());
    RingWait wait(*this, scope, "recv");
    ::io_uring_prep_recv(&wait.request(), fd, buffer.data() + offset, size, 0);
    wait.flight().cargo = Flight::Cargo::kBytes;
    wait.flight().buffer = buffer;
    wait.flight().buffer_offset = offset;
    const ktls::Result<int> received = co_await wait;
    if (received) co_return static_cast<std::size_t>(*received);
    if (!is_again(received.error())) co_return ktls::fail(received.error());
    if (waited) {
      const ktls::Result<void> paused = co_await backoff.pause(scope);
      if (!paused) co_return ktls::fail(paused.error());
    }
    const ktls::Result<void> ready = co_await poll(scope, fd, POLLIN);
    if (!ready) co_return ktls::fail(ready.error());
    waited = true;
  }
}

Task<ktls::Result<Buffer>> RingLoop::receive_pooled(Scope& scope, int fd) {
  while (provided_.registered()) {
    const ktls::Result<void> begun = co_await turn(scope);
    if (!begun) co_return ktls::fail(begun.error());
    RingWait wait(*this, scope, "recv");
    ::io_uring_prep_recv(&wait.request(), fd, nullptr, kBufferSize, 0);
    wait.request().flags |= IOSQE_BUFFER_SELECT;
    wait.request().buf_group = ProvidedBuffers::kGroup;
    const ktls::Result<int> received = co_await wait;
    if (received) co_return wait.take_provided();
    const ktls::Error& error = received.error();
    const bool exhausted = error.code == ktls::ErrorCode::kSystem && error.sys_errno == ENOBUFS;
    if (!exhausted && !is_again(error)) co_return ktls::fail(error);
    // EAGAIN: O_NONBLOCK. ENOBUFS: more arrived in this round than was on offer.
    if (!exhausted || !provided_.refill()) break;
  }
  co_return co_await receive_when_readable(scope, fd);
}

Task<ktls::Result<void>> RingLoop::send(Scope& scope, int fd, Buffer buffer, std::size_t offset,
                                        std::size_t size) {
  if (!buffer.holds(offset, size)) co_return ktls::fail(range_error());
  while (size > 0) {
    const ktls::Result<void> begun = co_await turn(scope);
    if (!begun) co_return ktls::fail(begun.error());
    RingWait wait(*this, scope, "send");
    // Not MSG_WAITALL: the kernel's own second attempt would take a reset off the socket and tell
    // only what the first one sent, and a receive waiting beside it would see a plain end of file.
    ::io_uring_prep_send(&wait.request(), fd, buffer.data() + offset, size, MSG_NOSIGNAL);
    wait.flight().buffer = buffer;
    const ktls::Result<int> sent = co_await wait;
    if (sent) {
      offset += static_cast<std::size_t>(*sent);
      size -= static_cast<std::size_t>(*sent);
      if (size > 0 && wait.ended()) co_return ktls::fail(wait.end_error());
      continue;
    }
    if (!is_again(sent.error())) co_return ktls::fail(sent.error());
    const ktls::Result<void> ready = co_await poll(scope, fd, POLLOUT);
    if (!ready) co_return ktls::fail(ready.error());
  }
  co_return ktls::Result<void>{};
}

Task<ktls::Result<std::size_t>> RingLoop::read_file(Scope& scope, int fd, std::uint64_t position,
                                                    Buffer buffer, std::size_t offset,
                                                    std::size_t size) {
  if (size == 0 || !buffer.holds(offset, size)) co_return ktls::fail(range_error());
  const ktls::Result<void> begun = co_await turn(scope);
  if (!begun) co_return ktls::fail(begun.error());
  RingWait wait(*this, scope, "read");
  ::io_uring_prep_read(&wait.request(), fd, buffer.data() + offset, static_cast<unsigned>(size),
                       position);
  wait.flight().cargo = Flight::Cargo::kBytes;
  wait.flight().buffer = buffer;
  wait.flight().buffer_offset = offset;
  const ktls::Result<int> read = co_await wait;
  if (read) co_return static_cast<std::size_t>(*read);
  if (!is_again(read.error())) co_return ktls::fail(read.error());
  // The file is O_NONBLOCK and its file system has no way of reading that does not wait: then
  // io_uring refuses instead of waiting elsewhere.
  co_return read_file_now(fd, position, buffer, offset, size);
}

}  // namespace bridge
