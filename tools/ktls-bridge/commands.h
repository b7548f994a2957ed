// Commands: the command line of ktls-bridge: its commands with their flags, and, once it is parsed,
// which of them was given and all that it was told.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "tools/broker/broker_options.h"
#include "tools/common/address.h"
#include "tools/ktls-bridge/run_options.h"
#include "tools/ktls-bridge/serve_options.h"
#include "tools/ktls-bridge/service_flags.h"
#include "tools/ktls-bridge/wrap_options.h"

namespace tools {

// Parses once.
class Commands {
 public:
  enum class Demand : std::uint8_t {
    kAll,      // what a command cannot do without
    kNothing,  // it may be in a file that the command line names
  };

  explicit Commands(Demand demand);
  Commands(const Commands&) = delete;
  Commands& operator=(const Commands&) = delete;

  // `words` are those after the program's name. Empty: there is something to run. Else an exit
  // code: the help or the one line about what is wrong has been printed.
  [[nodiscard]] std::optional<int> parse(std::vector<std::string> words);

  // "wrap"; empty: none was given.
  [[nodiscard]] std::string chosen() const;
  [[nodiscard]] CLI::App& command(const std::string& name) const {
    return *app_.get_subcommand(name);
  }

  // --config and --check-config, before the command's name or, `command_config`, after it.
  [[nodiscard]] const std::string& config() const { return config_; }
  [[nodiscard]] const std::string& checked_config() const { return checked_config_; }
  [[nodiscard]] const std::string& command_config() const { return command_config_; }

  // Of a command that listens.
  [[nodiscard]] std::vector<Address> listened_addresses() const;
  [[nodiscard]] const ServiceOptions& service() const;
  [[nodiscard]] bool is_for_one_connection() const { return wrap_.program.fd.has_value(); }
  // As if --check had been given.
  void only_check();

  // Answers the exit code.
  [[nodiscard]] int run() const;

 private:
  void demand_nothing();

  CLI::App app_;
  WrapOptions wrap_;
  ServeOptions serve_;
  BrokerOptions broker_;
  RunOptions run_;
  std::string config_;
  std::string checked_config_;
  std::string command_config_;
  std::string shell_;
};

}  // namespace tools
