// FixedFiles: fixed_by() for whoever asks it of one file after the other.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>

#include "userspace/bridge/fixed_content.h"

namespace bridge {

// Of one thread. Seals and fs-verity are asked for each time, by two or three system calls. What
// /proc/self/mountinfo says of a mount holds for kMountAge: reading it takes as long as sending
// tens of KiB, and whoever is sending asks once a file, however long that takes.
class FixedFiles {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kMountAge{1};
  // A tree that is served has few; more are forgotten.
  static constexpr std::size_t kMountsMax = 64;

  [[nodiscard]] FixedBy of(int fd, Clock::time_point now);

 private:
  struct Mount {
    bool is_read_only;
    Clock::time_point asked;
  };
  // By mount ID, which another mount can have a moment later, and the device number.
  std::map<std::pair<std::uint64_t, std::uint64_t>, Mount> mounts_;
};

}  // namespace bridge
