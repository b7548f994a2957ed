// Flight: the kernel's half of an io_uring operation.
#pragma once

#include <cstdint>

#include <sys/socket.h>

#include "userspace/io/buffer.h"
#include "userspace/io/timer.h"

namespace bridge {

class RingLoop;
class RingWait;

// Belongs to the RingLoop, which keeps it, and all that the kernel may read or write through it,
// from submission to the last completion; the coroutine may be gone by then. Its address is the
// operation's user_data; that of the request to cancel it is the same with kCancelTag set.
class Flight final : public Timer {
 public:
  static constexpr std::uint64_t kCancelTag = 1;

  // What a completion brings that must not get lost when nobody waits for it any more.
  enum class Cargo : std::uint8_t { kNone, kDescriptor, kBytes };

  explicit Flight(RingLoop& loop) : loop_(loop) {}
  ~Flight() override = default;

  [[nodiscard]] std::uint64_t user_data() const { return reinterpret_cast<std::uintptr_t>(this); }

  RingWait* wait = nullptr;  // nullptr: detached
  Flight* next_idle = nullptr;
  Buffer buffer;
  std::size_t buffer_offset = 0;
  sockaddr_storage address{};
  Cargo cargo = Cargo::kNone;
  bool airborne = false;       // submitted or queued for it, and not completed
  bool cancelled = false;      // a cancellation was asked for
  bool cancel_queued = false;  // and its own completion has not come yet

 private:
  void fire() override;

  RingLoop& loop_;
};

}  // namespace bridge
