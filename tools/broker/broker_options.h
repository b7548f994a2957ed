// BrokerOptions: the command line of `ktls-bridge broker`, parsed.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "ktls/base/result.h"
#include "tools/common/address.h"
#include "tools/ktls-bridge/program_flags.h"
#include "tools/ktls-bridge/service_flags.h"
#include "tools/ktls-bridge/tls_flags.h"

namespace CLI {
class App;
}

namespace tools {

struct BrokerOptions {
  // Path to listen on; empty: there is none, but a channel by descriptor.
  std::string socket;
  std::vector<uid_t> users;   // besides our own and root: who may connect
  std::vector<gid_t> groups;  // and whose members
  std::string ca_file;        // client role; empty: the system's trust store
  NoRekey no_rekey = NoRekey::kKernel;

  std::size_t max_handshakes = 0;              // under way at once
  std::size_t max_handshakes_per_address = 0;  // of them; 0: no limit
  std::size_t max_per_client = 0;              // connections in our care, of one user
  std::chrono::milliseconds idle_timeout{};    // of what is relayed

  TlsOptions tls;
  ServiceOptions service;

  // Of one program and its descendants.
  [[nodiscard]] bool is_private() const { return socket.empty(); }
  // Where `socket` means one that others have bound.
  [[nodiscard]] std::optional<Address> inherited_socket() const;
};

// Adds the subcommand `broker` to `app`; `options` is filled when the command line is parsed, and
// is borrowed for that long. Values that do not parse raise CLI::ValidationError.
void add_broker_command(CLI::App& app, BrokerOptions& options);

// What one flag alone cannot tell. Error: kInvalidArgument naming the flags.
[[nodiscard]] ktls::Result<void> validate(const BrokerOptions& options);

}  // namespace tools
