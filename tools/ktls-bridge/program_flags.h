// ProgramOptions: the flags of whoever hands a connection to a program.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ktls/base/result.h"
#include "userspace/bridge/plan.h"

namespace CLI {
class App;
}

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

// What the directions of a socket are planned by that is to be handed out: the kernel has them also
// where it cannot change keys, unless that was not wanted. `asked`: --offload, which goes before.
[[nodiscard]] bridge::OffloadPolicy policy_of(bridge::OffloadPolicy asked, NoRekey no_rekey);

struct ProgramOptions {
  bool exec = false;               // a program for each connection that is accepted
  std::optional<int> fd;           // one for a connection that was inherited, as this descriptor
  std::vector<std::string> words;  // the program and its arguments
  std::optional<ReadMode> read;    // none: guarded where the program has two descriptors
  NoRekey no_rekey = NoRekey::kKernel;

  [[nodiscard]] bool wanted() const { return exec || fd.has_value(); }
};

// --exec --fd --read --no-rekey, and the program's words after "--". `options` is borrowed until
// the command line is parsed. Values that do not parse raise CLI::ValidationError.
void add_program_flags(CLI::App& app, ProgramOptions& options);
// --no-rekey alone, for whoever hands out sockets otherwise.
void add_no_rekey_flag(CLI::App& app, NoRekey& no_rekey);

// What one flag alone cannot tell. Error: kInvalidArgument naming the flags.
[[nodiscard]] ktls::Result<void> validate(const ProgramOptions& options);

}  // namespace tools
