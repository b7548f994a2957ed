// The flags of a service.

#include "tools/ktls-bridge/service_flags.h"

#include <algorithm>
#include <map>
#include <thread>
#include <utility>

#include <CLI/CLI.hpp>

#include "tools/ktls-bridge/duration_flag.h"

namespace tools {
namespace {

constexpr std::chrono::milliseconds kDrainTimeout = std::chrono::seconds(30);
constexpr std::size_t kConnectionsDefault = 4096;
constexpr unsigned kThreadsMax = 256;
constexpr int kReadyDescriptorLeast = 3;  // those below are for messages
constexpr int kDescriptorMax = 1 << 20;

}  // namespace

Address checked_address(const std::string& text) {
  auto address = parse_address(text);
  if (!address) throw CLI::ValidationError(address.error().detail);
  return *std::move(address);
}

Address checked_listen_address(const std::string& text) {
  auto address = parse_listen_address(text);
  if (!address) throw CLI::ValidationError(address.error().detail);
  return *std::move(address);
}

CLI::Option* add_listen_flag(CLI::App& app, const std::string& name, const std::string& text,
                             std::vector<Address>& addresses) {
  return app
      .add_option_function<std::vector<std::string>>(
          name,
          [&addresses](const std::vector<std::string>& given) {
            for (const auto& each : given) addresses.push_back(checked_listen_address(each));
          },
          text)
      ->allow_extra_args(false)  // otherwise CLI11 takes [::1] for a list and its brackets away
      ->type_name("ADDRESS");
}

void add_loop_flag(CLI::App& app, ServiceOptions& options) {
  static const std::map<std::string, std::optional<bridge::LoopKind>> kLoops = {
      {"auto", std::nullopt},
      {"io_uring", bridge::LoopKind::kIoUring},
      {"epoll", bridge::LoopKind::kEpoll}};
  app.add_option_function<std::string>(
         "--loop", [&options](const std::string& text) { options.loop = kLoops.at(text); },
         "Event loop: auto (io_uring unless it is refused), io_uring, epoll")
      ->check(CLI::IsMember({"auto", "io_uring", "epoll"}).description(""))
      ->type_name("auto|io_uring|epoll")
      ->default_str("auto")
      ->group("Data path");
}

void add_loop_flags(CLI::App& app, ServiceOptions& options) {
  add_loop_flag(app, options);
  options.threads = std::clamp(std::thread::hardware_concurrency(), 1U, kThreadsMax);
  app.add_option("--threads", options.threads, "Event loops, each with a thread of its own")
      ->check(CLI::Range(1U, kThreadsMax).description(""))
      ->type_name("N")
      ->capture_default_str()
      ->group("Data path");
}

void add_max_connections(CLI::App& app, ServiceOptions& options) {
  options.max_connections = kConnectionsDefault;
  app.add_option("--max-connections", options.max_connections,
                 "Connections at once; more wait in the listen queue")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1'000'000}).description(""))
      ->type_name("N")
      ->capture_default_str()
      ->group("Limits");
}

CLI::Validator not_negative() {
  return CLI::Validator(CLI::NonNegativeNumber).description("");
}

void add_max_per_address(CLI::App& app, std::size_t& limit) {
  app.add_option("--max-per-address", limit,
                 "Connections of one address (of one /64 in IPv6); 0: no limit")
      ->check(not_negative())
      ->type_name("N")
      ->capture_default_str()
      ->group("Limits");
}

void add_drain_timeout(CLI::App& app, ServiceOptions& options) {
  add_duration(app,
               {.name = "--drain-timeout",
                .initial = kDrainTimeout,
                .least = std::chrono::milliseconds(0),  // a drain alone may be so short
                .text = "After SIGTERM or SIGINT, let connections go on for this long"},
               options.drain_timeout);
}

void add_metrics_flag(CLI::App& app, ServiceOptions& options) {
  app.add_option_function<std::vector<std::string>>(
         "--metrics",
         [&options](const std::vector<std::string>& given) {
           for (const auto& each : given) options.metrics.push_back(checked_address(each));
         },
         "Answer /metrics (for Prometheus) and /health there, over plain HTTP; may be repeated")
      ->allow_extra_args(false)  // as for --listen
      ->type_name("ADDRESS")
      ->group("Log");
}

void add_ready_flag(CLI::App& app, ServiceOptions& options) {
  app.add_option_function<int>(
         "--ready-fd", [&options](const int& fd) { options.ready_fd = fd; },
         "Write a line to this inherited descriptor, and close it, as soon as connections are "
         "accepted")
      ->check(CLI::Range(kReadyDescriptorLeast, kDescriptorMax).description(""))
      ->type_name("N");
}

void add_log_format(CLI::App& app, ServiceOptions& options) {
  app.add_option_function<std::string>(
         "--log-format",
         [&options](const std::string& text) {
           options.log_format = text == "json" ? LogFormat::kJson : LogFormat::kText;
         },
         "Log lines as text (key=value) or json")
      ->check(CLI::IsMember({"text", "json"}).description(""))
      ->type_name("text|json")
      ->default_str("text")
      ->group("Log");
}

void add_log_flags(CLI::App& app, ServiceOptions& options) {
  add_log_format(app, options);
  auto* quiet = app.add_flag_callback(
      "--quiet", [&options] { options.log_level = LogLevel::kWarning; },
      "Warnings and errors only");
  quiet->group("Log");
  app.add_flag_callback(
         "--verbose", [&options] { options.log_level = LogLevel::kDebug; },
         "Each step of each connection")
      ->excludes(quiet)
      ->group("Log");
}

}  // namespace tools
