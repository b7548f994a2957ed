// Splicing through pipes, and the records that cannot be spliced.

#include "userspace/bridge/kernel_transport.h"

#include <cerrno>
#include <utility>
#include <variant>
#include <vector>

#include <fcntl.h>

#include "userspace/io/backoff.h"
#include "userspace/suite/alert.h"

namespace bridge {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using tls::AlertDescription;
using tls::ContentType;

constexpr auto kApplicationData = static_cast<std::uint8_t>(ContentType::kApplicationData);

// splice() between sockets and pipes must never block the loop.
void make_nonblocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags >= 0 && (flags & O_NONBLOCK) == 0) ::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

// One attempt, without waiting. Bytes moved, 0 at the end of the stream, -errno otherwise.
ssize_t splice_now(int in_fd, int out_fd, std::size_t size) {
  for (;;) {
    const ssize_t moved =
        ::splice(in_fd, nullptr, out_fd, nullptr, size, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (moved >= 0) return moved;
    if (errno != EINTR) return -errno;
  }
}

// Moves all `size` bytes that the pipe holds; waits only where the other end takes no more.
Task<Result<void>> empty_pipe(Loop& loop, Scope& scope, const Pipe& pipe, int out_fd,
                              std::size_t size) {
  while (size != 0) {
    ssize_t moved = splice_now(pipe.read_end(), out_fd, size);
    if (moved == -EAGAIN) {
      auto waited = co_await loop.splice(scope, pipe.read_end(), out_fd, size);
      if (!waited) co_return ktls::fail(std::move(waited).error());
      moved = static_cast<ssize_t>(*waited);
    }
    if (moved <= 0) {
      co_return ktls::fail(Error::system(moved < 0 ? static_cast<int>(-moved) : EPIPE, "splice"));
    }
    size -= static_cast<std::size_t>(moved);
  }
  co_return Result<void>();
}

// What the kernel's errors on receiving mean to the peer (net/tls/tls_sw.c: tls_rx_msg_size,
// tls_decrypt_sg). It tells them once and is silent then, so the caller ends the connection.
Error receive_error(Error error) {
  const auto alerting = [&](ErrorCode code, AlertDescription alert) {
    error.code = code;
    error.alert = static_cast<std::uint8_t>(alert);
  };
  switch (error.sys_errno) {
    case EBADMSG:
      alerting(ErrorCode::kBadRecordMac, AlertDescription::kBadRecordMac);
      break;
    case EMSGSIZE:
      alerting(ErrorCode::kRecordOverflow, AlertDescription::kRecordOverflow);
      break;
    case EINVAL:
      alerting(ErrorCode::kDecodeError, AlertDescription::kProtocolVersion);
      break;
    default:
      break;
  }
  return error;
}

}  // namespace

KernelReceiver::KernelReceiver(Loop& loop, int fd, ktls::Syscalls& syscalls)
    : loop_(&loop), socket_(fd, syscalls) {
  make_nonblocking(fd);
}

Task<Result<ReceiveStep>> KernelReceiver::receive_record(Scope& scope, int plain_fd,
                                                         int splice_errno) {
  auto leased = co_await loop_->lease(scope);
  if (!leased) co_return ktls::fail(std::move(leased).error());
  Buffer buffer = *std::move(leased);
  auto received = socket_.receive(buffer.tail());
  // An error of the socket (a header that is none, a reset) is gone when it has been told.
  const bool is_told = splice_errno != 0 &&
                       (received ? received->end_of_stream : received.error().sys_errno == EAGAIN);
  if (is_told) co_return ktls::fail(receive_error(Error::system(splice_errno, "splice")));
  if (!received) {
    if (received.error().sys_errno == EAGAIN) co_return ReceiveStep(Moved{0});
    // A record that did not open is the socket's error until somebody takes it, and until then
    // the alert that says so cannot be sent. Receiving is over either way.
    static_cast<void>(socket_.take_error());
    co_return ktls::fail(receive_error(std::move(received).error()));
  }
  if (received->end_of_stream) co_return ReceiveStep(EndOfStream{});
  buffer.commit(received->size);
  if (received->type != kApplicationData) {
    const std::span<const std::uint8_t> content = buffer.bytes();
    co_return ReceiveStep(ControlRecord{.type = static_cast<ContentType>(received->type),
                                        .content = {content.begin(), content.end()}});
  }
  if (!buffer.empty()) {
    auto sent = co_await loop_->send(scope, plain_fd, buffer, 0, buffer.size());
    if (!sent) co_return ktls::fail(std::move(sent).error());
  }
  co_return ReceiveStep(Moved{received->size});
}

Task<Result<ReceiveStep>> KernelReceiver::move_to(Scope& scope, int plain_fd) {
  make_nonblocking(plain_fd);
  Backoff backoff;
  for (;;) {
    // A peer that always has more for us must not keep the other connections waiting.
    auto turn = co_await loop_->turn(scope);
    if (!turn) co_return ktls::fail(std::move(turn).error());
    const bool has_waited = was_empty_;
    if (has_waited) {
      auto ready = co_await loop_->readable(scope, socket_.fd());
      if (!ready) co_return ktls::fail(std::move(ready).error());
    }
    int splice_errno = 0;
    auto pipe = loop_->pipes().lease();
    if (pipe) {
      // Always an empty pipe that takes a whole record: 6.12 drops what a smaller one cannot hold.
      const ssize_t moved = splice_now(socket_.fd(), pipe->write_end(), pipe->capacity());
      was_empty_ = moved <= 0;
      if (moved > 0) {
        auto out =
            co_await empty_pipe(*loop_, scope, *pipe, plain_fd, static_cast<std::size_t>(moved));
        if (!out) co_return ktls::fail(std::move(out).error());
        co_return ReceiveStep(Moved{static_cast<std::size_t>(moved)});
      }
      pipe->reset();
      if (moved == -EAGAIN) {
        if (!has_waited) continue;
        // Until 6.2 part of a record makes the socket readable: do not spin on it.
        auto paused = co_await backoff.pause(scope);
        if (!paused) co_return ktls::fail(std::move(paused).error());
        continue;
      }
      // EINVAL is a control record, or a header that is none; 0 is the end or an empty record.
      if (moved < 0) splice_errno = static_cast<int>(-moved);
    } else {
      has_copied_ = true;
    }
    auto step = co_await receive_record(scope, plain_fd, splice_errno);
    if (!step) co_return step;
    const auto* copied = std::get_if<Moved>(&*step);
    if (copied == nullptr || copied->size != 0) co_return step;
    auto paused = co_await backoff.pause(scope);
    if (!paused) co_return ktls::fail(std::move(paused).error());
  }
}

Result<void> KernelReceiver::change_state(tls::ConnectionState state) {
  static_cast<void>(state);  // wiped, unused
  return ktls::fail(Error::of(ErrorCode::kUnsupported, "receiving is in the kernel"));
}

KernelSender::KernelSender(Loop& loop, int fd, ktls::Syscalls& syscalls)
    : loop_(&loop), socket_(fd, syscalls) {
  make_nonblocking(fd);
}

Task<Result<SendStep>> KernelSender::move_from(Scope& scope, int plain_fd) {
  make_nonblocking(plain_fd);
  for (;;) {
    auto begun = co_await loop_->turn(scope);
    if (!begun) co_return ktls::fail(std::move(begun).error());
    if (std::exchange(was_empty_, true)) {
      auto ready = co_await loop_->readable(scope, plain_fd);
      if (!ready) co_return ktls::fail(std::move(ready).error());
    }
    auto pipe = loop_->pipes().lease();
    if (!pipe) {
      has_copied_ = true;
      co_return co_await copy_from(scope, plain_fd);
    }
    const ssize_t moved = splice_now(plain_fd, pipe->write_end(), pipe->capacity());
    if (moved == -EAGAIN) continue;
    if (moved < 0) {
      co_return ktls::fail(Error::system(static_cast<int>(-moved), "splice from the plain side"));
    }
    if (moved == 0) co_return SendStep(EndOfStream{});
    auto turn = co_await writing_.lock(scope);
    if (!turn) co_return ktls::fail(std::move(turn).error());
    const auto size = static_cast<std::size_t>(moved);
    // Without SPLICE_F_MORE the last piece closes its record: nothing is left open in the kernel.
    auto out = co_await empty_pipe(*loop_, scope, *pipe, socket_.fd(), size);
    if (!out) co_return ktls::fail(std::move(out).error());
    was_empty_ = false;
    co_return SendStep(Moved{size});
  }
}

Task<Result<SendStep>> KernelSender::copy_from(Scope& scope, int plain_fd) {
  auto plain = co_await loop_->receive_pooled(scope, plain_fd);
  if (!plain) co_return ktls::fail(std::move(plain).error());
  if (plain->empty()) co_return SendStep(EndOfStream{});
  auto turn = co_await writing_.lock(scope);
  if (!turn) co_return ktls::fail(std::move(turn).error());
  auto sent = co_await send_all(scope, ContentType::kApplicationData, plain->bytes());
  if (!sent) co_return ktls::fail(std::move(sent).error());
  co_return SendStep(Moved{plain->size()});
}

Task<Result<void>> KernelSender::send_all(Scope& scope, ContentType type,
                                          std::span<const std::uint8_t> content) {
  while (!content.empty()) {
    auto taken = socket_.send(static_cast<std::uint8_t>(type), content);
    if (taken) {
      content = content.subspan(*taken);
      continue;
    }
    if (taken.error().sys_errno != EAGAIN) co_return ktls::fail(std::move(taken).error());
    auto room = co_await loop_->writable(scope, socket_.fd());
    if (!room) co_return ktls::fail(std::move(room).error());
  }
  co_return Result<void>();
}

Task<Result<void>> KernelSender::send_record(Scope& scope, ContentType type,
                                             std::span<const std::uint8_t> content) {
  auto turn = co_await writing_.lock(scope);
  if (!turn) co_return ktls::fail(std::move(turn).error());
  co_return co_await send_all(scope, type, content);
}

Task<Result<void>> KernelSender::change_state(Scope& scope, std::span<const std::uint8_t> last,
                                              tls::ConnectionState state) {
  static_cast<void>(scope);
  static_cast<void>(last);
  static_cast<void>(state);  // wiped, unused
  co_return ktls::fail(Error::of(ErrorCode::kUnsupported, "sending is in the kernel"));
}

}  // namespace bridge
