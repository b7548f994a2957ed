// Ends, and for how long they are remembered.

#include "tools/broker/relays.h"

#include <cerrno>
#include <utility>

#include <sys/socket.h>

#include "userspace/suite/alert.h"

namespace tools {

using bridge::Task;
using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;

namespace {

// A program reads the end of its stream soon after it came. Who asks later hears that it was cut
// off, which is the safe answer.
constexpr std::size_t kEndedMax = 65'536;

}  // namespace

Relays::Relay::Relay(Relays& relays, std::uint64_t cookie, std::function<std::uint64_t()> arrived)
    : relays_(relays), cookie_(cookie), arrived_(std::move(arrived)) {
  relays_.relays_[cookie_] = this;
}

Relays::Relay::~Relay() {
  relays_.relays_.erase(cookie_);
  if (has_ended_in_order_) relays_.remember(cookie_);
}

Task<Result<void>> Relays::Relay::wait(bridge::Scope& scope) {
  if (auto failure = scope.failure()) co_return ktls::fail(*std::move(failure));
  // Who went on after the last one had left in order, and then ended without a word, was killed.
  const bool is_released = released_at_ && arrived_() <= *released_at_;
  if (is_closed_in_order_ || is_released) co_return Result<void>();
  co_return ktls::fail(
      Error::alerting(ErrorCode::kAbandoned, tls::code_of(tls::AlertDescription::kInternalError),
                      "the program let go of the connection without saying that it had sent all"));
}

bool Relays::close_in_order(std::uint64_t cookie) {
  const auto found = relays_.find(cookie);
  if (found == relays_.end()) return false;
  found->second->is_closed_in_order_ = true;
  return true;
}

void Relays::release(std::uint64_t cookie) {
  const auto found = relays_.find(cookie);
  if (found != relays_.end()) found->second->released_at_ = found->second->arrived_();
}

bool Relays::was_orderly(std::uint64_t cookie) const {
  return relays_.contains(cookie) || ended_.contains(cookie);
}

void Relays::remember(std::uint64_t cookie) {
  if (!ended_.insert(cookie).second) return;
  ended_in_order_of_time_.push_back(cookie);
  if (ended_in_order_of_time_.size() <= kEndedMax) return;
  ended_.erase(ended_in_order_of_time_.front());
  ended_in_order_of_time_.pop_front();
}

Result<std::uint64_t> cookie_of(int fd) {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  if (::getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) != 0) {
    return ktls::fail(Error::system(errno, "getsockopt(SO_COOKIE)"));
  }
  return cookie;
}

}  // namespace tools
