// ServiceOptions: the flags of whatever listens: addresses, threads, limits and the log.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "tools/common/address.h"
#include "tools/common/log.h"
#include "tools/hardening/hardening_flags.h"
#include "userspace/io/loop.h"

namespace CLI {
class App;
class Validator;
class Option;
}  // namespace CLI

namespace tools {

struct ServiceOptions {
  std::optional<bridge::LoopKind> loop;  // none: io_uring if it is not refused
  unsigned threads = 1;
  std::size_t max_connections = 0;  // of all threads together
  // Two sockets, or a socket and a file. Pipes are wanted on top while data moves, and done without
  // where there are none left.
  std::size_t descriptors_per_connection = 2;
  std::chrono::milliseconds drain_timeout{};
  std::vector<Address> metrics;  // where to tell what is counted; empty: nowhere
  std::optional<int> ready_fd;   // inherited: who reads it learns that we are ready
  LogFormat log_format = LogFormat::kText;
  LogLevel log_level = LogLevel::kInfo;
  HardeningOptions hardening;
};

// A flag that may be repeated, each time with an address to listen on.
CLI::Option* add_listen_flag(CLI::App& app, const std::string& name, const std::string& text,
                             std::vector<Address>& addresses);

// Each adds one or a few flags to `app`, in the order in which --help shows them; `options` is
// borrowed until the command line is parsed. Values that do not parse raise CLI::ValidationError.
void add_loop_flag(CLI::App& app, ServiceOptions& options);        // --loop
void add_loop_flags(CLI::App& app, ServiceOptions& options);       // --loop --threads
void add_max_connections(CLI::App& app, ServiceOptions& options);  // --max-connections
// `limit` holds the default.
void add_max_per_address(CLI::App& app, std::size_t& limit);     // --max-per-address
void add_drain_timeout(CLI::App& app, ServiceOptions& options);  // --drain-timeout
void add_metrics_flag(CLI::App& app, ServiceOptions& options);   // --metrics
void add_ready_flag(CLI::App& app, ServiceOptions& options);     // --ready-fd
void add_log_format(CLI::App& app, ServiceOptions& options);     // --log-format
void add_log_flags(CLI::App& app, ServiceOptions& options);      // --log-format --quiet --verbose

// CLI11 takes -1 for the largest number that there is.
[[nodiscard]] CLI::Validator not_negative();

// For the value of any flag: CLI::ValidationError says what is wrong with it.
[[nodiscard]] Address checked_address(const std::string& text);
[[nodiscard]] Address checked_listen_address(const std::string& text);

}  // namespace tools
