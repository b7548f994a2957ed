// Turns, and the key changes between them.

#include "userspace/bridge/sender.h"

#include <array>
#include <chrono>
#include <utility>

#include <poll.h>

#include "userspace/suite/alert.h"

namespace bridge {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using tls::AlertDescription;
using tls::ContentType;

namespace {

// RFC 8446 sections 4 and 4.6.3.
constexpr std::array<std::uint8_t, 5> key_update(KeyUpdateRequest request) {
  return {24, 0, 0, 1, static_cast<std::uint8_t>(request)};
}

// For a peer to take something while nobody writes to it.
constexpr std::chrono::milliseconds kRoomTimeout = std::chrono::seconds(1);

bool takes_bytes(int fd) {
  pollfd poll{.fd = fd, .events = POLLOUT, .revents = 0};
  return ::poll(&poll, 1, 0) == 1 && (poll.revents & POLLOUT) != 0;
}

}  // namespace

Task<Result<AsyncMutex::Guard>> Sender::begin(Scope& scope) {
  auto turn = co_await writing_.lock(scope);
  if (turn && (is_broken_ || has_ended_)) {
    co_return ktls::fail(Error::of(
        ErrorCode::kProtocolViolation,
        has_ended_ ? "nothing can follow the end" : "nothing can follow a record sent in part"));
  }
  co_return turn;
}

Task<Result<void>> Sender::make_room(Scope& scope, std::uint64_t records) {
  if (update_is_owed_) {
    if (auto changed = co_await change_key(scope); !changed) co_return changed;
  }
  if (budget_.left() >= records) co_return Result<void>();
  if (auto counted = count_records(); !counted) co_return counted;
  if (budget_.left() >= records) co_return Result<void>();
  if (!can_update_key()) {
    co_return ktls::fail(
        Error::alerting(ErrorCode::kKeyBudgetSpent, tls::code_of(AlertDescription::kInternalError),
                        "the key has sealed as many records as it may, and cannot be changed"));
  }
  if (auto waited = co_await await_interval(scope); !waited) co_return waited;
  co_return co_await change_key(scope);
}

Task<Result<void>> Sender::await_interval(Scope& scope) {
  const auto now = loop_->now();
  if (now >= budget_.next_update()) co_return Result<void>();
  ++counts_.waits;
  co_return co_await loop_->sleep(scope, budget_.next_update() - now);
}

Task<Result<void>> Sender::change_key(Scope& scope, KeyUpdateRequest request) {
  if (writers_ == nullptr) co_return co_await change_key_alone(scope, request);
  if (auto held = co_await writers_->hold(scope); !held) {
    writers_->release();
    co_return held;
  }
  auto changed = co_await change_key_alone(scope, request);
  writers_->release();
  co_return changed;
}

// Nobody else writes while this runs.
Task<Result<void>> Sender::change_key_alone(Scope& scope, KeyUpdateRequest request) {
  auto next = keys_.next();
  if (!next) co_return ktls::fail(std::move(next).error());
  // From here on the present key must not seal anything else, whatever happens.
  const auto message = key_update(request);
  auto changed = co_await send_all(scope, ContentType::kHandshake, message, ktls::More::kNo);
  if (changed) changed = change_state(*std::move(next));
  if (!changed) {
    is_broken_ = true;
    co_return changed;
  }
  update_is_owed_ = false;
  ++counts_.updates;
  if (observer_ != nullptr) observer_->key_update_sent();
  budget_.renew(loop_->now());
  co_return Result<void>();
}

Task<Result<void>> Sender::replace_key(Scope& scope) {
  auto turn = co_await begin(scope);
  if (!turn) co_return ktls::fail(std::move(turn).error());
  auto done = co_await writers_->hold(scope);
  if (done) done = co_await await_interval(scope);
  if (done) done = co_await change_key_alone(scope, KeyUpdateRequest::kNotRequested);
  writers_->release();
  co_return done;
}

Task<Result<void>> Sender::send_owed_update(Scope& scope) {
  auto turn = co_await begin(scope);
  if (!turn) co_return ktls::fail(std::move(turn).error());
  if (!update_is_owed_) co_return Result<void>();
  auto done = co_await writers_->hold(scope);
  if (done) {
    Scope moment(scope, kRoomTimeout);
    done = co_await loop_->writable(moment, fd_);
    const bool is_full = !done && moment.expired() && !moment.ended_with_outer();
    if (is_full) {
      writers_->release();
      co_return Result<void>();
    }
  }
  if (done) done = co_await change_key_alone(scope, KeyUpdateRequest::kNotRequested);
  writers_->release();
  co_return done;
}

Result<std::uint64_t> Sender::count_records_left() {
  if (auto counted = count_records(); !counted) return ktls::fail(std::move(counted).error());
  return budget_.left();
}

Task<Result<void>> Sender::update_key(Scope& scope, KeyUpdateRequest request) {
  if (!can_update_key()) {
    co_return ktls::fail(Error::of(ErrorCode::kUnsupported, "the key cannot be changed here"));
  }
  auto turn = co_await begin(scope);
  if (!turn) co_return ktls::fail(std::move(turn).error());
  co_return co_await change_key(scope, request);
}

Task<Result<void>> Sender::answer_update_request(Scope& scope) {
  update_is_owed_ = true;
  if (busy() || !takes_bytes(fd_)) co_return Result<void>();
  auto turn = co_await begin(scope);
  if (!turn) co_return ktls::fail(std::move(turn).error());
  if (!update_is_owed_) co_return Result<void>();
  co_return co_await change_key(scope);
}

Task<Result<void>> Sender::send_data(Scope& scope, std::span<const std::uint8_t> content,
                                     ktls::More more) {
  auto turn = co_await begin(scope);
  if (!turn) co_return ktls::fail(std::move(turn).error());
  co_return co_await send_all(scope, ContentType::kApplicationData, content, more);
}

Task<Result<void>> Sender::send_record(Scope& scope, ContentType type,
                                       std::span<const std::uint8_t> content) {
  auto turn = co_await begin(scope);
  if (!turn) co_return ktls::fail(std::move(turn).error());
  // An alert may take the record that is kept for KeyUpdate: it ends the connection. Where it does
  // not, no more than that is left to send.
  if (type != ContentType::kAlert) {
    if (auto room = co_await make_room(scope, records_of(content.size())); !room) co_return room;
  }
  auto sent = co_await send_all(scope, type, content, ktls::More::kNo);
  budget_.spend(records_of(content.size()));
  co_return sent;
}

}  // namespace bridge
