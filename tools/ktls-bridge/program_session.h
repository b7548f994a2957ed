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
#include "tools/ktls-bridge/phase.h"
#include "tools/ktls-bridge/program.h"
#include "tools/ktls-bridge/tls_setting.h"
#include "userspace/io/loop.h"
#include "userspace/io/task.h"

namespace tools {

// How a program reads what the peer sends.
enum class ReadMode : std::uint8_t {
  kGuarded,  // from a stream of ours, which holds application data and nothing else
  kDirect,   // from the TLS socket: a control record of the peer fails its read with EIO
};

// On a kernel that cannot change keys, what becomes of a connection in TLS 1.3.
enum class NoRekey : std::uint8_t {
  kKernel,  // both directions in the kernel: a KeyUpdate of the peer ends the connection
  kRelay,   // the program gets a stream, whose bytes are relayed
  kTls12,   // TLS 1.2 is the newest version to agree on: it has no KeyUpdate
};

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

// Serves the connection until its end. `started` is called once the program runs, with its Program,
// which lives until the returned task is done; it may be empty.
[[nodiscard]] bridge::Task<Outcome> program_session(bridge::Loop& loop, Cancellation& cancellation,
                                                    const ProgramSetting& setting,
                                                    ktls::UniqueFd connected,
                                                    std::function<void(const Program&)> started);

}  // namespace tools
