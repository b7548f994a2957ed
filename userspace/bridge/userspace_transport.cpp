// Opening and sealing around the event loop's receive and send.

#include "userspace/bridge/userspace_transport.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <variant>

#include "userspace/io/when_both.h"

namespace bridge {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using tls::ContentType;

Result<std::size_t> UserspaceReceiver::open_records() {
  std::size_t plaintext_size = 0;
  for (;;) {
    auto next = layer_->next_record();
    if (!next) {
      // What came before the bad record is the peer's: it goes on first. The layer remembers.
      if (plaintext_size != 0) return plaintext_size;
      return ktls::fail(std::move(next).error());
    }
    const auto* record = std::get_if<tls::Record>(&*next);
    if (record == nullptr) return plaintext_size;
    if (record->type != ContentType::kApplicationData) {
      pending_control_ = ControlRecord{.type = record->type,
                                       .content = {record->content.begin(), record->content.end()}};
      return plaintext_size;
    }
    // Headers and tags lie between the contents; closing the gaps costs less than a send each.
    std::memmove(wire_.data() + plaintext_size, record->content.data(), record->content.size());
    plaintext_size += record->content.size();
  }
}

Task<Result<bool>> UserspaceReceiver::receive_more(Scope& scope) {
  auto received = co_await loop_->receive_pooled(scope, fd_);
  if (!received) co_return ktls::fail(std::move(received).error());
  if (received->empty()) co_return false;
  const std::span<const std::uint8_t> rest = layer_->unread();
  if (auto joined = received->prepend(rest); !joined) {
    co_return ktls::fail(std::move(joined).error());
  }
  wire_ = *std::move(received);
  layer_->feed(wire_.bytes());
  co_return true;
}

void UserspaceReceiver::release_if_empty() {
  if (!layer_->unread().empty()) return;
  wire_.reset();
  layer_->feed({});
}

Task<Result<ReceivedStep>> UserspaceReceiver::receive(Scope& scope) {
  for (;;) {
    if (pending_control_) {
      co_return ReceivedStep(*std::exchange(pending_control_, std::nullopt));
    }
    auto plaintext_size = open_records();
    if (!plaintext_size) co_return ktls::fail(std::move(plaintext_size).error());
    Buffer plaintext = wire_;
    plaintext.truncate(*plaintext_size);
    // The records behind a control record are opened later, behind what is given away here.
    wire_.consume(*plaintext_size);
    release_if_empty();
    if (!plaintext.empty()) co_return ReceivedStep(std::move(plaintext));
    if (pending_control_) continue;

    auto more = co_await receive_more(scope);
    if (!more) co_return ktls::fail(std::move(more).error());
    if (!*more) co_return ReceivedStep(EndOfStream{});
  }
}

Task<Result<ReceiveStep>> UserspaceReceiver::move_to(Scope& scope, int plain_fd) {
  auto step = co_await receive(scope);
  if (!step) co_return ktls::fail(std::move(step).error());
  if (auto* control = std::get_if<ControlRecord>(&*step)) {
    co_return ReceiveStep(std::move(*control));
  }
  auto* plaintext = std::get_if<Buffer>(&*step);
  if (plaintext == nullptr) co_return ReceiveStep(EndOfStream{});
  const std::size_t size = plaintext->size();
  auto sent = co_await loop_->send(scope, plain_fd, std::move(*plaintext), 0, size);
  if (!sent) co_return ktls::fail(std::move(sent).error());
  co_return ReceiveStep(Moved{size});
}

Result<void> UserspaceReceiver::change_state(tls::ConnectionState state) {
  layer_->set_pending_read(std::move(state));
  return layer_->change_read_state();
}

Result<std::uint64_t> UserspaceReceiver::sequence() {
  if (!layer_->read_state()) {
    return ktls::fail(Error::of(ErrorCode::kProtocolViolation, "receiving is not here"));
  }
  return layer_->read_state()->sequence();
}

// --- sending -------------------------------------------------------------------------------------

std::uint64_t UserspaceSender::records_of(std::size_t size) const {
  return size / record_size_ + (size % record_size_ != 0 || size == 0 ? 1 : 0);
}

Result<void> UserspaceSender::count_records() {
  if (!layer_->write_state()) {
    return ktls::fail(Error::of(ErrorCode::kProtocolViolation, "sending is not here"));
  }
  budget().learn(layer_->write_state()->sequence());
  return {};
}

Result<void> UserspaceSender::change_state(tls::ConnectionState state) {
  layer_->set_pending_write(std::move(state));
  return layer_->change_write_state();
}

Task<Result<std::size_t>> UserspaceSender::send_piece(Scope& scope, ContentType type,
                                                      std::span<const std::uint8_t> content) {
  std::size_t size = content.size();
  if (type == ContentType::kApplicationData) {
    // Before a buffer is leased: a change of keys wants one, too.
    if (auto room = co_await make_room(scope, 1); !room) co_return ktls::fail(room.error());
    const std::uint64_t records = budget().left();
    if (records < records_of(size)) size = static_cast<std::size_t>(records) * record_size_;
  }
  auto leased = co_await loop().lease(scope);
  if (!leased) co_return ktls::fail(std::move(leased).error());
  Buffer wire = *std::move(leased);
  // Small fragments may leave no room for all their headers and tags at once.
  while (layer_->sealed_size(size) > wire.tailroom()) size /= 2;
  auto sealed = layer_->seal(type, content.first(size), wire.tail());
  if (!sealed) {
    wire.mark_written(0, layer_->sealed_size(size));  // plaintext may stand there
    co_return ktls::fail(std::move(sealed).error());
  }
  budget().spend(records_of(size));
  wire.commit_public(*sealed);
  auto sent = co_await loop().send(scope, fd(), wire, 0, *sealed);
  if (!sent) {
    mark_broken();
    co_return ktls::fail(std::move(sent).error());
  }
  co_return size;
}

// There is no open record here: `more` would save a header, and cost a copy.
Task<Result<void>> UserspaceSender::send_all(Scope& scope, ContentType type,
                                             std::span<const std::uint8_t> content,
                                             ktls::More more) {
  static_cast<void>(more);
  while (!content.empty()) {
    auto done = co_await send_piece(scope, type, content);
    if (!done) co_return ktls::fail(std::move(done).error());
    content = content.subspan(*done);
  }
  co_return Result<void>();
}

Task<Result<SendStep>> UserspaceSender::move_from(Scope& scope, int plain_fd) {
  auto plain = co_await loop().receive_pooled(scope, plain_fd);
  if (!plain) co_return ktls::fail(std::move(plain).error());
  const std::size_t size = plain->size();
  if (size == 0) co_return SendStep(EndOfStream{});
  take_note_of(size);
  auto sent = co_await send_data(scope, plain->bytes());
  if (!sent) co_return ktls::fail(std::move(sent).error());
  co_return SendStep(Moved{size});
}

Task<Result<Buffer>> UserspaceSender::read_piece(Scope& scope, FileRange range) {
  if (range.size == 0) co_return Buffer();
  auto leased = co_await loop().lease(scope);
  if (!leased) co_return ktls::fail(std::move(leased).error());
  Buffer plain = *std::move(leased);
  // Whole records: what lies behind kBufferSize would begin one of its own.
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(range.size, kBufferSize));
  auto read = co_await loop().read_file(scope, range.fd, range.offset, plain, 0, size);
  if (!read) co_return ktls::fail(std::move(read).error());
  plain.commit(*read);
  co_return plain;
}

Task<Result<std::uint64_t>> UserspaceSender::send_file(Scope& scope, FileRange range) {
  std::uint64_t total = 0;
  auto piece = co_await read_piece(scope, range);
  for (;;) {
    if (!piece) co_return ktls::fail(std::move(piece).error());
    const Buffer plain = *std::move(piece);
    if (plain.empty()) co_return total;
    range.offset += plain.size();
    range.size -= plain.size();
    // What comes next is read while this goes out, by one submission to the kernel.
    auto [sent, next] =
        co_await when_both(send_data(scope, plain.bytes()), read_piece(scope, range));
    if (!sent) co_return ktls::fail(std::move(sent).error());
    total += plain.size();
    piece = std::move(next);
  }
}

}  // namespace bridge
