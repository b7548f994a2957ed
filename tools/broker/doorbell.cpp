// Waiting is a sleep that the ring cancels.

#include "tools/broker/doorbell.h"

#include <chrono>

namespace tools {

using bridge::Scope;
using bridge::Task;
using ktls::Result;

namespace {

// Longer than anybody waits; the sleep is ended by cancelling it.
constexpr std::chrono::milliseconds kUntilRung = std::chrono::hours(24);

// Takes itself off the list also where the task that waits is destroyed.
class Waiting {
 public:
  Waiting(std::set<Scope*>& waiting, Scope& scope) : waiting_(waiting), scope_(scope) {
    waiting_.insert(&scope_);
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  ~Waiting() { waiting_.erase(&scope_); }

 private:
  std::set<Scope*>& waiting_;
  Scope& scope_;
};

}  // namespace

Task<Result<void>> Doorbell::wait(bridge::Loop& loop, Scope& scope) {
  Scope nap(scope, kUntilRung);
  const Waiting waiting(waiting_, nap);
  auto slept = co_await loop.sleep(nap, kUntilRung);
  if (auto failure = scope.failure()) co_return ktls::fail(*std::move(failure));
  static_cast<void>(slept);
  co_return Result<void>();
}

void Doorbell::ring() {
  for (Scope* each : waiting_) each->cancel();
}

}  // namespace tools
