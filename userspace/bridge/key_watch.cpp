// When to look, and when to act.

#include "userspace/bridge/key_watch.h"

#include <algorithm>
#include <utility>

#include "userspace/suite/alert.h"
#include "userspace/suite/cipher_suite.h"
#include "userspace/suite/refuse.h"

namespace bridge {

using ktls::ErrorCode;
using ktls::Result;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kPauseMin{10};
constexpr milliseconds kPauseMax = std::chrono::seconds(1);
// More records than a writer seals: who was idle may write as many at once, unseen.
constexpr std::uint64_t kRecordsPerMsMax = 1000;
constexpr milliseconds kUntilWoken = std::chrono::hours(24);

}  // namespace

bool KeyWatch::is_limited() const {
  return limit_ != tls::kNoRecordLimit;
}

void KeyWatch::wake() {
  if (nap_ != nullptr) nap_->cancel();
}

Task<Result<void>> KeyWatch::send_owed_update(Scope& scope) {
  while (sender_.owes_update()) {
    auto room = co_await loop_.writable(scope, sender_.fd());
    if (!room) co_return room;
    auto sent = co_await sender_.send_owed_update(scope);
    if (!sent) co_return sent;
    left_before_.reset();
  }
  co_return Result<void>();
}

milliseconds KeyWatch::next_pause(std::uint64_t left) {
  const std::optional<std::uint64_t> before = std::exchange(left_before_, left);
  const auto pause_max = std::clamp(
      milliseconds(static_cast<std::int64_t>(limit_ / 8 / kRecordsPerMsMax)), kPauseMin, kPauseMax);
  if (!before || *before <= left) {
    pause_ = std::clamp(2 * pause_, kPauseMin, pause_max);
    return pause_;
  }
  const std::uint64_t used = *before - left;
  const double pauses = static_cast<double>(limit_) / 8 / static_cast<double>(used);
  const double wanted = static_cast<double>(pause_.count()) * std::min(pauses, 2.0);
  pause_ = std::clamp(milliseconds(static_cast<std::int64_t>(wanted)), kPauseMin, pause_max);
  return pause_;
}

Task<Result<void>> KeyWatch::keep_to_limit(Scope& scope) {
  auto left = sender_.count_records_left();
  if (!left) co_return ktls::fail(std::move(left).error());
  const bool is_short = *left <= limit_ / 8;
  if (*left == 0 || (is_short && !sender_.can_update_key())) {
    co_return tls::refuse(ErrorCode::kKeyBudgetSpent, tls::AlertDescription::kInternalError,
                          "the key has sealed as many records as it may, and was not changed");
  }
  const bool is_allowed = loop_.now() >= sender_.next_update();
  if (*left <= limit_ / 2 && sender_.can_update_key() && (is_allowed || is_short)) {
    auto changed = co_await sender_.replace_key(scope);
    if (!changed) co_return changed;
    left_before_.reset();
    pause_ = kPauseMin;
    co_return Result<void>();
  }
  pause_ = next_pause(*left);
  co_return Result<void>();
}

Task<Result<void>> KeyWatch::run(Scope& scope) {
  for (;;) {
    auto sent = co_await send_owed_update(scope);
    if (!sent) co_return sent;
    if (is_limited()) {
      auto kept = co_await keep_to_limit(scope);
      if (!kept) co_return kept;
    }
    Scope nap(scope, kUntilWoken);
    nap_ = &nap;
    auto slept = co_await loop_.sleep(nap, is_limited() ? pause_ : kUntilWoken);
    nap_ = nullptr;
    if (!slept && scope.failure()) co_return slept;
  }
}

}  // namespace bridge
