// Asking again until nobody moves.

#include "userspace/bridge/standing_holders.h"

#include <chrono>
#include <string_view>
#include <utility>

#include "userspace/suite/alert.h"

namespace bridge {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using std::chrono::milliseconds;

// For holders to stand still in: the peer waits as long, and so does the program. One sendfile(2)
// of 2 GiB to a peer that takes it as fast as it comes looks at no signal before its end.
constexpr milliseconds kStandstillTimeout = std::chrono::seconds(10);
constexpr milliseconds kStandstillPoll{1};

Error rekey_impossible(std::string_view why) {
  return Error::alerting(
      ErrorCode::kRekeyImpossible, tls::code_of(tls::AlertDescription::kInternalError),
      "the key of a socket that was handed out cannot be changed: " + std::string(why));
}

}  // namespace

Task<Result<void>> StandingHolders::hold(Scope& scope) {
  Scope soon(scope, kStandstillTimeout);
  for (;;) {
    auto still = holders_.stop();
    if (!still) co_return ktls::fail(rekey_impossible(still.error().message()));
    if (*still) break;
    auto slept = co_await loop_.sleep(soon, kStandstillPoll);
    if (slept) continue;
    if (soon.ended_with_outer() || soon.cancelled()) co_return slept;
    co_return ktls::fail(rekey_impossible("a process that has the socket does not stop"));
  }
  if (expected_ == Expected::kSomebody && !holders_.any_stopped()) {
    co_return ktls::fail(rekey_impossible("whoever has the socket cannot be looked at"));
  }
  co_return Result<void>();
}

}  // namespace bridge
