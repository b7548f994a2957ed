// Opening and sealing around the event loop's receive and send.

#include "userspace/bridge/userspace_transport.h"

#include <cstring>
#include <utility>
#include <variant>

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

Task<Result<ReceiveStep>> UserspaceReceiver::move_to(Scope& scope, int plain_fd) {
  for (;;) {
    if (pending_control_) {
      co_return ReceiveStep(*std::exchange(pending_control_, std::nullopt));
    }
    auto plaintext_size = open_records();
    if (!plaintext_size) co_return ktls::fail(std::move(plaintext_size).error());
    if (*plaintext_size != 0) {
      auto sent = co_await loop_->send(scope, plain_fd, wire_, 0, *plaintext_size);
      if (!sent) co_return ktls::fail(std::move(sent).error());
    }
    const std::span<std::uint8_t> rest = layer_->unread();
    if (rest.empty()) {
      wire_.reset();  // an idle connection holds no buffer
      layer_->feed({});
    }
    if (*plaintext_size != 0) co_return ReceiveStep(Moved{*plaintext_size});
    if (pending_control_) continue;

    auto more = co_await receive_more(scope);
    if (!more) co_return ktls::fail(std::move(more).error());
    if (!*more) co_return ReceiveStep(EndOfStream{});
  }
}

Result<void> UserspaceReceiver::change_state(tls::ConnectionState state) {
  layer_->set_pending_read(std::move(state));
  return layer_->change_read_state();
}

Task<Result<void>> UserspaceSender::seal_and_send(Scope& scope, ContentType type,
                                                  std::span<const std::uint8_t> content) {
  if (broken_) {
    co_return ktls::fail(Error::of(ErrorCode::kProtocolViolation,
                                   "a record went out in part; nothing can follow it"));
  }
  auto leased = co_await loop_->lease(scope);
  if (!leased) co_return ktls::fail(std::move(leased).error());
  Buffer wire = *std::move(leased);
  while (!content.empty()) {
    // Small fragments may leave no room for all their headers and tags at once.
    std::size_t piece = content.size();
    while (layer_->sealed_size(piece) > wire.tailroom()) piece /= 2;
    auto size = layer_->seal(type, content.first(piece), wire.tail());
    if (!size) co_return ktls::fail(std::move(size).error());
    wire.commit(*size);
    auto sent = co_await loop_->send(scope, fd_, wire, 0, *size);
    if (!sent) {
      broken_ = true;
      co_return sent;
    }
    wire.truncate(0);
    content = content.subspan(piece);
  }
  co_return Result<void>();
}

Task<Result<SendStep>> UserspaceSender::move_from(Scope& scope, int plain_fd) {
  auto plain = co_await loop_->receive_pooled(scope, plain_fd);
  if (!plain) co_return ktls::fail(std::move(plain).error());
  const std::size_t size = plain->size();
  if (size == 0) co_return SendStep(EndOfStream{});
  auto turn = co_await writing_.lock(scope);
  if (!turn) co_return ktls::fail(std::move(turn).error());
  auto sent = co_await seal_and_send(scope, ContentType::kApplicationData, plain->bytes());
  if (!sent) co_return ktls::fail(std::move(sent).error());
  co_return SendStep(Moved{size});
}

Task<Result<void>> UserspaceSender::send_record(Scope& scope, ContentType type,
                                                std::span<const std::uint8_t> content) {
  auto turn = co_await writing_.lock(scope);
  if (!turn) co_return ktls::fail(std::move(turn).error());
  co_return co_await seal_and_send(scope, type, content);
}

Task<Result<void>> UserspaceSender::change_state(Scope& scope, std::span<const std::uint8_t> last,
                                                 tls::ConnectionState state) {
  auto turn = co_await writing_.lock(scope);
  if (!turn) co_return ktls::fail(std::move(turn).error());
  auto sent = co_await seal_and_send(scope, ContentType::kHandshake, last);
  if (!sent) co_return sent;
  layer_->set_pending_write(std::move(state));
  co_return layer_->change_write_state();
}

}  // namespace bridge
