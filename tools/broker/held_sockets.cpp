// Whoever asks first looks, for all who have asked until then.

#include "tools/broker/held_sockets.h"

#include <algorithm>
#include <chrono>

#include <sys/stat.h>

#include "userspace/broker/holders.h"

namespace tools {

using bridge::Clock;
using bridge::Scope;
using bridge::Task;
using std::chrono::milliseconds;

namespace {

// Between two looks there is as long a time as the first took, so that half of all time at least is
// for others; but whoever asks has a peer that waits for its end.
constexpr milliseconds kRestMax{100};
// For the look of others, which have nothing to wait for but their rest.
constexpr milliseconds kLookTimeout = std::chrono::seconds(10);

}  // namespace

Task<Held> HeldSockets::find(int fd, Flight flight) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) co_return Held{.by_somebody = true, .in_flight = 0};
  co_return co_await find(std::uint64_t{status.st_ino}, flight);
}

Task<Held> HeldSockets::find(std::uint64_t inode, Flight flight) {
  const bool is_first = next_ == nullptr;
  if (is_first) next_ = std::make_shared<Look>();
  const std::shared_ptr<Look> look = next_;
  look->inodes.insert(inode);
  look->flight = std::max(look->flight, flight);
  if (is_first) co_await take(*look);
  Scope scope(loop_, kLookTimeout);
  while (!look->is_over && !scope.failure()) {
    const auto rung = co_await look->over.wait(loop_, scope);
    static_cast<void>(rung);
  }
  co_return Held{.by_somebody = !look->is_over || look->held.contains(inode),
                 .in_flight = look->in_flight};
}

Task<void> HeldSockets::take(Look& look) {
  const auto rest = std::chrono::ceil<milliseconds>(earliest_ - Clock::now());
  if (rest > milliseconds(0)) {
    Scope scope(loop_);
    const auto slept = co_await loop_.sleep(scope, rest);
    static_cast<void>(slept);
  } else {
    co_await loop_.yield();  // who asks in the same round is of the same look
  }
  next_.reset();
  const auto begin = Clock::now();
  // In this order: what arrives in between is counted on its way and seen where it arrived. In the
  // other one it would be neither, and held by nobody.
  if (look.flight == Flight::kCounted) look.in_flight = broker::descriptors_in_flight();
  look.held = broker::held_among(look.inodes);
  const auto end = Clock::now();
  earliest_ = end + std::min<Clock::duration>(end - begin, kRestMax);
  look.is_over = true;
  look.over.ring();
}

}  // namespace tools
