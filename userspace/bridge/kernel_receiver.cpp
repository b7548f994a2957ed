// Splicing through pipes, and the records that cannot be spliced.

#include "userspace/bridge/kernel_receiver.h"

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "userspace/bridge/kernel_keys.h"
#include "userspace/bridge/splicing.h"
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
constexpr std::uint8_t kKeyUpdateType = 24;  // RFC 8446 section 4, HandshakeType

// Four records of full size: one that straddled two calls the kernel would not decrypt in place.
// And no record is larger than what it is given.
static_assert(kBufferSize % tls::kPlaintextSizeMax == 0);
// What decrypting one record may write: RFC 8446 section 5.2, TLSCiphertext.length.
constexpr std::size_t kRecordSizeMax = tls::kPlaintextSizeMax + 256;

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
    case EKEYEXPIRED:  // a KeyUpdate went by, and not through here
      alerting(ErrorCode::kKeyMissing, AlertDescription::kInternalError);
      break;
    default:
      break;
  }
  return error;
}

}  // namespace

KernelReceiver::KernelReceiver(Loop& loop, int fd, ktls::Syscalls& syscalls,
                               const KernelReceiveState& state)
    : loop_(&loop),
      socket_(fd, syscalls),
      state_(state),
      no_padding_(socket_, state.cipher, state.expect_no_padding) {
  make_nonblocking(fd);
}

// Of a buffer with so much room, the part that has to be wiped. Where the kernel decrypts in place,
// behind what it answers lie padding, or a record that did not open or is told by the next call.
std::size_t KernelReceiver::written_by(const Result<ktls::ReceivedBytes>& received,
                                       std::size_t room) const {
  // It looked for a record before it decrypted one.
  if (!received) return received.error().sys_errno == EAGAIN ? 0 : room;
  const bool is_in_place = state_.decrypts_into_buffers || no_padding_.is_on();
  return is_in_place ? std::min(room, received->size + kRecordSizeMax) : received->size;
}

Task<Result<ReceivedStep>> KernelReceiver::receive_now(Scope& scope, int splice_errno) {
  auto leased = co_await loop_->lease(scope);
  if (!leased) co_return ktls::fail(std::move(leased).error());
  Buffer buffer = *std::move(leased);
  const std::span<std::uint8_t> room = buffer.tail().first(kBufferSize);
  auto received = socket_.receive(room);
  buffer.mark_written(0, written_by(received, room.size()));
  // An error of the socket (a header that is none, a reset) is gone when it has been told.
  const bool is_told = splice_errno != 0 &&
                       (received ? received->end_of_stream : received.error().sys_errno == EAGAIN);
  if (is_told) co_return ktls::fail(receive_error(Error::system(splice_errno, "splice")));
  if (!received) {
    if (received.error().sys_errno == EAGAIN) co_return ReceivedStep(Buffer());
    // A record that did not open is the socket's error until somebody takes it, and until then
    // the alert that says so cannot be sent. Receiving is over either way.
    static_cast<void>(socket_.take_error());
    co_return ktls::fail(receive_error(std::move(received).error()));
  }
  if (received->end_of_stream) co_return ReceivedStep(EndOfStream{});
  no_padding_.received(*received, room.size());
  buffer.commit(received->size);
  if (received->type != kApplicationData) {
    const std::span<const std::uint8_t> content = buffer.bytes();
    co_return ReceivedStep(ControlRecord{.type = static_cast<ContentType>(received->type),
                                         .content = {content.begin(), content.end()}});
  }
  co_return ReceivedStep(std::move(buffer));
}

Task<Result<bool>> KernelReceiver::wait(Scope& scope) {
  if (!may_stall()) {
    auto ready = co_await loop_->readable(scope, socket_.fd());
    if (!ready) co_return ktls::fail(std::move(ready).error());
    co_return true;
  }
  Scope until_asked(scope, state_.key_wait_max);
  auto ready = co_await loop_->readable(until_asked, socket_.fd());
  const bool is_time_to_ask = until_asked.expired() && !until_asked.ended_with_outer();
  if (is_time_to_ask) co_return false;
  if (!ready) co_return ktls::fail(std::move(ready).error());
  co_return true;
}

Task<Result<ReceivedStep>> KernelReceiver::receive_step(Scope& scope) {
  Backoff backoff;
  for (;;) {
    auto turn = co_await loop_->turn(scope);
    if (!turn) co_return ktls::fail(std::move(turn).error());
    // A kernel that rekeys says nothing of a KeyUpdate that it opened together with the data before
    // it: there only asking tells.
    bool is_readable = false;
    if (was_empty_ || !may_stall()) {
      auto ready = co_await wait(scope);
      if (!ready) co_return ktls::fail(std::move(ready).error());
      is_readable = *ready;
    }
    auto step = co_await receive_now(scope);
    if (!step) co_return step;
    const auto* plaintext = std::get_if<Buffer>(&*step);
    was_empty_ = plaintext != nullptr && plaintext->empty();
    // Requests of a few hundred bytes are not worth the system calls.
    const bool is_bulk = plaintext != nullptr && plaintext->size() >= tls::kPlaintextSizeMax;
    if (is_bulk) no_padding_.begin();
    if (!was_empty_) co_return step;
    if (!is_readable) continue;
    // Until 6.2 part of a record makes the socket readable: do not spin on it.
    auto paused = co_await backoff.pause(scope);
    if (!paused) co_return ktls::fail(std::move(paused).error());
  }
}

Task<Result<ReceivedStep>> KernelReceiver::receive(Scope& scope) {
  if (error_) co_return ktls::fail(*error_);
  auto step = co_await receive_step(scope);
  if (!step) error_ = step.error();
  co_return step;
}

Task<Result<ReceiveStep>> KernelReceiver::copy_to(Scope& scope, int plain_fd, int splice_errno) {
  auto step = co_await receive_now(scope, splice_errno);
  if (!step) co_return ktls::fail(std::move(step).error());
  if (auto* control = std::get_if<ControlRecord>(&*step)) {
    co_return ReceiveStep(std::move(*control));
  }
  auto* plaintext = std::get_if<Buffer>(&*step);
  if (plaintext == nullptr) co_return ReceiveStep(EndOfStream{});
  const std::size_t size = plaintext->size();
  if (size != 0) {
    auto sent = co_await loop_->send(scope, plain_fd, std::move(*plaintext), 0, size);
    plain_failed_ = !sent;
    if (!sent) co_return ktls::fail(std::move(sent).error());
  }
  co_return ReceiveStep(Moved{size});
}

Task<Result<ReceiveStep>> KernelReceiver::move_to(Scope& scope, int plain_fd) {
  if (error_) co_return ktls::fail(*error_);
  plain_failed_ = false;
  auto step = co_await move_step(scope, plain_fd);
  if (!step && !plain_failed_) error_ = step.error();
  co_return step;
}

Task<Result<ReceiveStep>> KernelReceiver::move_step(Scope& scope, int plain_fd) {
  make_nonblocking(plain_fd);
  Backoff backoff;
  for (;;) {
    // A peer that always has more for us must not keep the other connections waiting.
    auto turn = co_await loop_->turn(scope);
    if (!turn) co_return ktls::fail(std::move(turn).error());
    bool is_readable = false;
    if (was_empty_) {
      auto ready = co_await wait(scope);
      if (!ready) co_return ktls::fail(std::move(ready).error());
      is_readable = *ready;
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
        plain_failed_ = !out;
        if (!out) co_return ktls::fail(std::move(out).error());
        no_padding_.spliced(static_cast<std::size_t>(moved));
        co_return ReceiveStep(Moved{static_cast<std::size_t>(moved)});
      }
      pipe->reset();
      if (moved == -EAGAIN) {
        if (!is_readable) continue;
        // Until 6.2 part of a record makes the socket readable: do not spin on it.
        auto paused = co_await backoff.pause(scope);
        if (!paused) co_return ktls::fail(std::move(paused).error());
        continue;
      }
      // EINVAL is a control record, or a header that is none; 0 is the end or an empty record.
      if (moved < 0) splice_errno = static_cast<int>(-moved);
    } else {
      no_padding_.begin();
    }
    auto step = co_await copy_to(scope, plain_fd, splice_errno);
    if (!step) co_return step;
    const auto* copied = std::get_if<Moved>(&*step);
    // Behind data that was copied the kernel may have opened a KeyUpdate already, of which poll
    // says nothing.
    was_empty_ = copied != nullptr && copied->size == 0;
    has_copied_ = has_copied_ || (!pipe && copied != nullptr && copied->size != 0);
    if (!was_empty_) co_return step;
    if (!is_readable) continue;
    auto paused = co_await backoff.pause(scope);
    if (!paused) co_return ktls::fail(std::move(paused).error());
  }
}

Result<void> KernelReceiver::change_state(tls::ConnectionState state) {
  if (!can_change_state())
    return ktls::fail(Error::of(ErrorCode::kUnsupported, "receiving is in the kernel"));
  no_padding_.change_key(state.sequence());
  return install_next(socket_, ktls::Direction::kReceive, std::move(state));
}

// net/tls/tls_sw.c, tls_check_pending_rekey(): the kernel looks at the first byte of each handshake
// record, wherever in a message it stands, and is silent from there on.
bool KernelReceiver::awaits_state(const ControlRecord& record) const {
  return may_stall() && record.type == ContentType::kHandshake && !record.content.empty() &&
         record.content.front() == kKeyUpdateType;
}

Result<std::uint64_t> KernelReceiver::sequence() {
  return socket_.sequence(ktls::Direction::kReceive, state_.cipher);
}

}  // namespace bridge
