// How a coroutine enters a Scope and leaves it.

#include "userspace/io/wait.h"

#include "userspace/io/loop.h"
#include "userspace/io/scope.h"

namespace bridge {

Wait::Wait(Scope& scope) : loop_(scope.loop()), scope_(&scope) {}

bool Wait::await_suspend(std::coroutine_handle<> coroutine) {
  coroutine_ = coroutine;
  scope_->add(*this);
  if (begin()) return true;
  ListHook<ScopeTag>::unlink();
  return false;
}

void Wait::finish() {
  ListHook<ScopeTag>::unlink();
  loop_.make_ready(*this);
}

void Wait::abort(ktls::ErrorCode why) {
  aborted_ = why;
  stop();
}

ktls::Error Wait::abort_error() const {
  return Scope::error(aborted_.value_or(ktls::ErrorCode::kCancelled));
}

}  // namespace bridge
