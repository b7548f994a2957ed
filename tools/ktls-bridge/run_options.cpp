// The flags of `ktls-bridge run`.

#include "tools/ktls-bridge/run_options.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include <CLI/CLI.hpp>

#include "tools/ktls-bridge/certificate_flags.h"
#include "tools/ktls-bridge/duration_flag.h"
#include "tools/ktls-bridge/ticket_flags.h"
#include "tools/preload/host_text.h"
#include "tools/preload/setting_limits.h"

namespace tools {
namespace {

// Programs have their own ideas of how long is too long.
constexpr std::chrono::milliseconds kIdleTimeout = std::chrono::hours(24);
constexpr std::chrono::milliseconds kDrainTimeout = std::chrono::seconds(10);
constexpr std::size_t kHandshakesMax = 1024;
constexpr const char* kGroup = "Program";

constexpr const char* kExamples = R"(Examples:
  # A server that speaks plain TCP becomes a TLS server
  ktls-bridge run --listen 6379 --cert chain.pem --key key.pem -- redis-server --port 6379

  # A client that speaks plain TCP becomes a TLS client; --ca trusts a private authority
  ktls-bridge run --connect db.example:5432 --ca ca.pem -- psql -h db.example

  # Both: a proxy that speaks TLS to its clients and to its backends
  ktls-bridge run --listen 8443 --cert chain.pem --connect '*.internal:443' -- \
      haproxy -f haproxy.cfg

The program is not changed: a library is loaded into it (LD_PRELOAD), and this process does its
handshakes. What cannot be run this way is refused, with what can be done instead.
See ktls-bridge-run(1).)";

ktls::Result<void> refuse(const std::string& detail) {
  return ktls::fail(ktls::Error::of(ktls::ErrorCode::kInvalidArgument, detail));
}

// 1 to 65535.
std::optional<std::uint16_t> port_of(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

bool is_in_name(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte > ' ' && byte != 0x7f && c != ',' && c != '[' && c != ']' && c != '/';
}

void take_ports(const std::vector<std::string>& given, std::vector<std::uint16_t>& ports) {
  for (const std::string& each : given) {
    const auto port = port_of(each);
    if (!port) throw CLI::ValidationError("--listen: '" + each + "' is no port from 1 to 65535");
    if (std::ranges::find(ports, *port) == ports.end()) ports.push_back(*port);
  }
}

void take_patterns(const std::vector<std::string>& given, std::vector<std::string>& patterns) {
  for (const std::string& each : given) {
    if (const std::string fault = fault_of_pattern(each); !fault.empty()) {
      throw CLI::ValidationError("--connect: '" + each + "' " + fault);
    }
    patterns.push_back(each);
  }
}

// The library remembers no more.
ktls::Result<void> check_amounts(const RunOptions& options) {
  if (options.listen.size() > preload::kPortsMax) {
    return refuse("--listen: at most " + std::to_string(preload::kPortsMax) + " ports");
  }
  if (options.connect.size() > preload::kPatternsMax) {
    return refuse("--connect: at most " + std::to_string(preload::kPatternsMax) + " patterns");
  }
  std::size_t size = 0;
  for (const std::string& each : options.connect) size += each.size() + 1;
  if (size > preload::kPatternsTextMax + 1) {
    return refuse("--connect: the patterns have more than " +
                  std::to_string(preload::kPatternsTextMax) + " characters, with their commas");
  }
  return {};
}

void add_roles(CLI::App& app, RunOptions& options) {
  app.add_option_function<std::vector<std::string>>(
         "--listen",
         [&options](const std::vector<std::string>& given) { take_ports(given, options.listen); },
         "Where the program listens on these ports, be its TLS server")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("PORT[,PORT]");
  app.add_option_function<std::vector<std::string>>(
         "--connect",
         [&options](const std::vector<std::string>& given) {
           take_patterns(given, options.connect);
         },
         "Where the program connects to these, be its TLS client: HOST:PORT, HOST or :PORT, with * "
         "and ? in HOST")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("PATTERN[,PATTERN]");
}

void add_limits(CLI::App& app, BrokerOptions& options) {
  add_max_connections(app, options.service);
  add_handshake_timeout(app, options.tls);
  add_duration(app,
               {.name = "--idle-timeout",
                .initial = kIdleTimeout,
                .least = kLeastTimeout,
                .text = "End what is relayed when nothing has moved for this long"},
               options.idle_timeout);
  add_duration(app,
               {.name = "--drain-timeout",
                .initial = kDrainTimeout,
                .least = std::chrono::milliseconds(0),
                .text = "When the program has ended, let its last bytes go out for this long"},
               options.service.drain_timeout);
}

void add_log_level(CLI::App& app, ServiceOptions& options) {
  static const std::map<std::string, LogLevel> kLevels = {{"debug", LogLevel::kDebug},
                                                          {"info", LogLevel::kInfo},
                                                          {"warning", LogLevel::kWarning},
                                                          {"error", LogLevel::kError}};
  options.log_level = LogLevel::kWarning;
  app.add_option_function<std::string>(
         "--log-level",
         [&options](const std::string& text) { options.log_level = kLevels.at(text); },
         "What is logged: error, warning, info (a line for each connection) or debug")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}).description(""))
      ->type_name("error|warning|info|debug")
      ->default_str("warning")
      ->group("Log");
}

}  // namespace

std::string fault_of_pattern(std::string_view pattern) {
  std::string_view host = pattern;
  std::optional<std::string_view> port;
  if (pattern.starts_with('[')) {
    const std::size_t end = pattern.find(']');
    if (end == std::string_view::npos) return "has no ] after the IPv6 address";
    host = pattern.substr(1, end - 1);
    const std::string_view rest = pattern.substr(end + 1);
    if (host.empty()) return "has nothing in its brackets";
    if (!rest.empty() && rest.front() != ':') return "has something else than :PORT after its ]";
    if (!rest.empty()) port = rest.substr(1);
  } else if (const std::size_t colon = pattern.find(':'); colon != std::string_view::npos) {
    host = pattern.substr(0, colon);
    port = pattern.substr(colon + 1);
    if (port->find(':') != std::string_view::npos) return "needs [] around the IPv6 address";
  }
  if (host.empty() && !port) return "is empty";
  if (port && !port_of(*port)) return "has no port from 1 to 65535 after its last colon";
  if (!std::ranges::all_of(host, is_in_name)) return "has a character that no host name has";
  if (host == ".") return "has no host before its port";
  preload::AddressText text;
  if (preload::form_of(host, text) == preload::HostForm::kOtherAddress) {
    return "has an address in a form that no connection has";
  }
  return {};
}

void add_run_command(CLI::App& app, RunOptions& options) {
  CLI::App* run = app.add_subcommand(
      "run", "Run a program whose TCP connections become TLS, without changing it");
  run->footer(kExamples);
  BrokerOptions& broker = options.broker;
  add_roles(*run, options);
  add_credential_flags(*run, broker.tls);
  run->add_option("--ca", broker.ca_file,
                  "With --connect: trust these certificates, PEM, instead of the system's")
      ->type_name("FILE")
      ->group("TLS");
  add_client_flags(*run, broker.tls);
  add_alpn_flag(*run, broker.tls);
  add_protocol_flags(*run, broker.tls);
  add_ticket_flags(*run, broker.tls);
  add_offload_flag(*run, broker.tls);
  add_loop_flag(*run, broker.service);
  add_no_rekey_flag(*run, broker.no_rekey);
  run->add_option("PROGRAM", options.words, "After --: the program and its arguments")
      ->expected(-1)
      ->type_name("[ARG]");
  add_limits(*run, broker);
  add_key_flags(*run, broker.tls);
  add_log_format(*run, broker.service);
  add_log_level(*run, broker.service);
  add_core_flag(*run, broker.service.hardening);
  run->parse_complete_callback([&broker] {
    broker.tls.tls12_without_rekey = broker.no_rekey == NoRekey::kTls12;
    broker.max_handshakes = kHandshakesMax;
    broker.max_per_client = broker.service.max_connections;
  });
}

ktls::Result<void> validate(const RunOptions& options) {
  const BrokerOptions& broker = options.broker;
  if (options.words.empty() || options.words.front().empty()) {
    return refuse("a program is needed: -- PROGRAM [ARG...]");
  }
  if (options.listen.empty() && options.connect.empty()) {
    return refuse("one of --listen and --connect says which connections become TLS");
  }
  if (auto checked = check_amounts(options); !checked) return checked;
  const bool has_credentials = has_certificates(broker.tls) || !broker.tls.key_files.empty() ||
                               !broker.tls.client_ca_file.empty();
  if (options.listen.empty() && has_credentials) {
    return refuse("--cert, --key and --client-ca need --listen");
  }
  if (options.listen.empty() && has_ticket_flags(broker.tls)) {
    return refuse("--ticket-keys and --tickets need --listen");
  }
  if (options.connect.empty() && !broker.ca_file.empty()) return refuse("--ca needs --connect");
  return validate(broker.tls);
}

}  // namespace tools
