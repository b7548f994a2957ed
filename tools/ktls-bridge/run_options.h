// RunOptions: the command line of `ktls-bridge run`, parsed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ktls/base/result.h"
#include "tools/broker/broker_options.h"

namespace CLI {
class App;
}

namespace tools {

struct RunOptions {
  std::vector<std::uint16_t> listen;  // ports where the program is a TLS server
  std::vector<std::string> connect;   // patterns of destinations where it is a TLS client
  std::vector<std::string> words;     // the program and its arguments
  BrokerOptions broker;               // the private one
};

// Adds the subcommand `run` to `app`; `options` is filled when the command line is parsed, and is
// borrowed for that long. Values that do not parse raise CLI::ValidationError.
void add_run_command(CLI::App& app, RunOptions& options);

// What one flag alone cannot tell. Error: kInvalidArgument naming the flags.
[[nodiscard]] ktls::Result<void> validate(const RunOptions& options);

// Of a destination: HOST:PORT, HOST or :PORT, where HOST may have `*` in it for anything and `?`
// for any character, and an IPv6 address stands in brackets. Empty: it is one; else why it is none.
[[nodiscard]] std::string fault_of_pattern(std::string_view pattern);

}  // namespace tools
