// How a Scope ends, and moves its end.

#include "userspace/io/scope.h"

#include "userspace/io/loop.h"

namespace bridge {

ktls::Error Scope::error(ktls::ErrorCode why) {
  const bool timeout = why == ktls::ErrorCode::kTimeout;
  return ktls::Error::of(why, timeout ? "the deadline passed" : "the operation was cancelled");
}

Scope::Scope(Loop& loop, std::optional<std::chrono::milliseconds> timeout) : loop_(loop) {
  if (timeout) extend(*timeout);
}

Scope::Scope(Scope& outer, std::chrono::milliseconds timeout) : Scope(outer.loop_, timeout) {
  if (const auto failure = outer.failure()) {
    end_with_outer(failure->code);
  } else {
    outer.inner_.push_back(*this);
  }
}

Scope::~Scope() {
  if (!ended_) end(ktls::ErrorCode::kCancelled);
}

void Scope::extend(std::chrono::milliseconds timeout) {
  if (ended_) return;
  deadline_ = loop_.now() + timeout;
  if (!armed() || *deadline_ < when()) loop_.timers_.arm(*this, *deadline_);
}

void Scope::cancel() {
  if (!ended_) end(ktls::ErrorCode::kCancelled);
}

bool Scope::expired() const {
  if (ended_) return ended_ == ktls::ErrorCode::kTimeout;
  return deadline_ && *deadline_ <= loop_.now();
}

std::optional<ktls::Error> Scope::failure() const {
  if (cancelled()) return error(ktls::ErrorCode::kCancelled);
  if (expired()) return error(ktls::ErrorCode::kTimeout);
  return std::nullopt;
}

void Scope::fire() {
  if (*deadline_ > loop_.now()) {
    loop_.timers_.arm(*this, *deadline_);
  } else if (const auto more = patience_ == nullptr ? std::nullopt : patience_->more()) {
    extend(*more);
  } else {
    end(ktls::ErrorCode::kTimeout);
  }
}

void Scope::end(ktls::ErrorCode why) {
  ended_ = why;
  loop_.timers_.disarm(*this);
  while (Wait* const wait = waits_.pop_front()) wait->abort(why);
  while (Scope* const inner = inner_.pop_front()) inner->end_with_outer(why);
}

void Scope::end_with_outer(ktls::ErrorCode why) {
  if (ended_) return;
  ended_with_outer_ = true;
  end(why);
}

}  // namespace bridge
