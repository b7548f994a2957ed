// How a cancellation reaches the phase that is under way, and the ones to come.

#include "tools/ktls-bridge/phase.h"

namespace tools {

void Cancellation::cancel() {
  cancelled_ = true;
  if (current_ != nullptr) current_->cancel();
}

Phase::Phase(bridge::Loop& loop, Cancellation& cancellation, std::chrono::milliseconds timeout)
    : cancellation_(cancellation), scope_(loop, timeout) {
  cancellation_.current_ = &scope_;
  if (cancellation_.cancelled()) scope_.cancel();
}

}  // namespace tools
