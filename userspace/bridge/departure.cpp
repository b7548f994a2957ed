// Between the end of a program's descriptors and its own.

#include "userspace/bridge/departure.h"

namespace bridge {
namespace {

// exit_files() comes before exit_notify() in the kernel's do_exit(): this is for a busy machine.
constexpr std::chrono::milliseconds kMoment = std::chrono::seconds(2);

}  // namespace

Task<ktls::Result<void>> wait_a_moment(Departure& departure, Scope& scope) {
  Scope moment(scope, kMoment);
  auto left = co_await departure.wait(moment);
  const bool goes_on = !left && moment.expired() && !moment.ended_with_outer();
  if (goes_on) co_return ktls::Result<void>();
  co_return left;
}

}  // namespace bridge
