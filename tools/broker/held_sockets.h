// HeldSockets: whether programs have a socket, asked for many at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>

#include "tools/broker/doorbell.h"
#include "userspace/io/loop.h"
#include "userspace/io/task.h"

namespace tools {

// Of a socket, as far as processes may be looked at: what is on its way to this process does not
// count.
//   by_somebody  a process but this one has it, or a descendant of this one that hides what it has
//   in_flight    descriptors on their way between processes (SCM_RIGHTS), which may be of anything
struct Held {
  bool by_somebody = false;
  std::size_t in_flight = 0;
};
enum class Flight : bool { kIgnored, kCounted };

// One look through all processes may take longer than anything else that the loop does, which does
// nothing else meanwhile. So one look is for all who wait, and then the loop does other things for
// as long. On one loop's thread.
class HeldSockets {
 public:
  explicit HeldSockets(bridge::Loop& loop) : loop_(loop) {}
  HeldSockets(const HeldSockets&) = delete;
  HeldSockets& operator=(const HeldSockets&) = delete;

  // Of `fd`, which stays open meanwhile, at some time after the call. In doubt it is held.
  [[nodiscard]] bridge::Task<Held> find(int fd, Flight flight);
  // Of the socket that has, or had, the number "socket:[INODE]".
  [[nodiscard]] bridge::Task<Held> find(std::uint64_t inode, Flight flight);

 private:
  struct Look {
    std::set<std::uint64_t> inodes;
    Flight flight = Flight::kIgnored;
    bool is_over = false;
    std::set<std::uint64_t> held = {};
    std::size_t in_flight = 0;
    Doorbell over = {};
  };

  [[nodiscard]] bridge::Task<void> take(Look& look);

  bridge::Loop& loop_;
  std::shared_ptr<Look> next_;  // that has not begun
  bridge::Clock::time_point earliest_;
};

}  // namespace tools
