// How a cancellation reaches the phase that is under way, and the ones to come.

#include "tools/ktls-bridge/phase.h"

namespace tools {

void Cancellation::cancel() {
  cancelled_ = true;
  if (current_ != nullptr) current_->cancel();
}

void Cancellation::drain() {
  draining_ = true;
  if (current_ != nullptr && ends_on_drain_) current_->cancel();
}

Phase::Phase(bridge::Loop& loop, Cancellation& cancellation, std::chrono::milliseconds timeout,
             OnDrain on_drain)
    : cancellation_(cancellation), scope_(loop, timeout) {
  cancellation_.current_ = &scope_;
  cancellation_.ends_on_drain_ = on_drain == OnDrain::kEnd;
  const bool is_over =
      cancellation_.cancelled() || (cancellation_.ends_on_drain_ && cancellation_.draining());
  if (is_over) scope_.cancel();
}

}  // namespace tools
