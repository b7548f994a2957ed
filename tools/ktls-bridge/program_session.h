// program_session(): the story of one connection that a program is to have: handshake, adopt, start
// the program, guard its socket or relay for it, close.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ktls/base/unique_fd.h"
#include "tools/ktls-bridge/origin.h"
#include "tools/ktls-bridge/phase.h"
#include "tools/ktls-bridge/program.h"
#include "tools/ktls-bridge/program_flags.h"
#include "tools/ktls-bridge/tls_setting.h"
#include "userspace/io/loop.h"
#include "userspace/io/task.h"

namespace tools {

// The program, and where it finds the connection.
//   write_fds  where it gets the descriptor that it writes to, which is the one that it reads from
//              as well where there is no read_fd
//   read_fd    where it gets the one that it reads from; none: as above
struct ProgramSetting {
  const TlsSetting& tls;
  std::string path;
  std::vector<std::string> arguments;
  std::vector<int> write_fds;
  std::optional<int> read_fd;
  NoRekey no_rekey;
  std::chrono::milliseconds idle_timeout;
};

// What became of the program. Nothing: it never ran.
using Outcome = std::optional<ProgramEnd>;

// Called with the program as soon as it runs, and with null when it has ended.
using Watch = std::function<void(const Program*)>;

// Serves the connection until its end, for which `origin` is borrowed. `watch` may be empty.
[[nodiscard]] bridge::Task<Outcome> program_session(bridge::Loop& loop, Cancellation& cancellation,
                                                    const ProgramSetting& setting,
                                                    ktls::UniqueFd connected, const Origin& origin,
                                                    Watch watch = {});

}  // namespace tools
