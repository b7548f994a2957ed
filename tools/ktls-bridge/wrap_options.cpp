// The flags of `ktls-bridge wrap`.

#include "tools/ktls-bridge/wrap_options.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <thread>
#include <utility>

#include <CLI/CLI.hpp>

namespace tools {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLeastTimeout{1};
constexpr milliseconds kHandshakeTimeout = std::chrono::seconds(10);
constexpr milliseconds kConnectTimeout = std::chrono::seconds(5);
constexpr milliseconds kIdleTimeout = std::chrono::minutes(10);
constexpr milliseconds kDrainTimeout = std::chrono::seconds(30);
// A key needs one record for data, and one for the KeyUpdate that ends it.
constexpr std::uint64_t kKeyRecordsLeast = 2;
constexpr std::size_t kConnectionsDefault = 4096;
constexpr unsigned kThreadsMax = 256;
// RFC 7301 section 3.1: a protocol name is 1 to 255 bytes.
constexpr std::size_t kAlpnNameMax = 255;

constexpr const char* kExamples = R"(Examples:
  # TLS in front of a plaintext service
  ktls-bridge wrap --listen 0.0.0.0:8443 --cert chain.pem --key key.pem --to 127.0.0.1:8080

  # A first try, with a certificate made on the spot (its fingerprint is printed)
  ktls-bridge wrap --listen localhost:8443 --to 127.0.0.1:8080

  # A plaintext client speaks to a remote TLS service, whose certificate is verified
  ktls-bridge wrap --client --listen 127.0.0.1:8080 --to example.org:443

  # Only if the kernel encrypts both ways; refuse the connection otherwise
  ktls-bridge wrap --listen [::]:8443 --cert chain.pem --key key.pem \
      --to unix:/run/app.sock --offload kernel

Each connection ends with one line on standard error that says where each direction ran and why.
See ktls-bridge-wrap(1) for reason codes, exit codes and signals.)";

// "500ms", "10s", "5m", "2h"; a bare number is seconds.
milliseconds parse_duration(const std::string& flag, const std::string& text) {
  static const std::map<std::string, std::int64_t> kUnits = {
      {"ms", 1}, {"", 1000}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}};
  constexpr std::int64_t kLargest = 1'000'000'000;  // far from overflow in any unit
  std::int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const auto unit = kUnits.find(std::string(end, text.data() + text.size()));
  if (error != std::errc() || unit == kUnits.end() || count < 0 || count > kLargest) {
    throw CLI::ValidationError(flag,
                               "'" + text + "' is not a duration such as 500ms, 10s, 5m or 2h");
  }
  return milliseconds(count * unit->second);
}

// `least`: a timeout of nothing would end every connection at once; only a drain may be so short.
void add_duration(CLI::App& app, const std::string& flag, milliseconds& value, milliseconds initial,
                  milliseconds least, const std::string& text) {
  value = initial;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(initial);
  const bool is_whole = initial == seconds;
  const auto parse = [&value, flag, least](const std::string& given) {
    value = parse_duration(flag, given);
    if (value < least) throw CLI::ValidationError(flag, "must be longer than 0");
  };
  app.add_option_function<std::string>(flag, parse, text)
      ->type_name("DURATION")
      ->default_str(is_whole ? std::to_string(seconds.count()) + "s"
                             : std::to_string(initial.count()) + "ms")
      ->group("Limits");
}

Address checked_address(const std::string& text) {
  auto address = parse_address(text);
  if (!address) throw CLI::ValidationError(address.error().detail);
  return *std::move(address);
}

void add_addresses(CLI::App& app, WrapOptions& options) {
  app.add_option_function<std::vector<std::string>>(
         "--listen",
         [&options](const std::vector<std::string>& texts) {
           for (const auto& text : texts) options.listen.push_back(checked_address(text));
         },
         "Where to accept connections; may be repeated")
      ->allow_extra_args(false)  // otherwise CLI11 takes [::1] for a list and its brackets away
      ->type_name("ADDRESS")
      ->required();
  app.add_option_function<std::string>(
         "--to", [&options](const std::string& text) { options.to = checked_address(text); },
         "Where each connection goes on to")
      ->type_name("ADDRESS")
      ->required();
  app.add_flag("--client", options.client,
               "Speak TLS to --to, plaintext to whoever connects to --listen");
}

void add_tls(CLI::App& app, WrapOptions& options) {
  static const std::map<std::string, tls::ProtocolVersion> kVersions = {
      {"1.2", tls::ProtocolVersion::kTls12}, {"1.3", tls::ProtocolVersion::kTls13}};
  app.add_option("--cert", options.certificate_file,
                 "Certificate chain, PEM, leaf first; without --cert and --key a self-signed "
                 "certificate is made")
      ->type_name("FILE")
      ->group("TLS");
  app.add_option("--key", options.key_file, "Private key, PEM; default: in the file of --cert")
      ->type_name("FILE")
      ->group("TLS");
  app.add_option("--ca", options.ca_file,
                 "With --client: trust these certificates, PEM, instead of the system's")
      ->type_name("FILE")
      ->group("TLS");
  app.add_option("--name", options.name,
                 "With --client: name or IP address that the peer's certificate must be for "
                 "(default: the host of --to)")
      ->type_name("NAME")
      ->group("TLS");
  app.add_flag("--insecure", options.insecure, "With --client: accept any certificate")
      ->group("TLS");
  app.add_option("--alpn", options.alpn, "Protocols to offer or accept, in order: h2,http/1.1")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("LIST")
      ->group("TLS");
  app.add_option_function<std::string>(
         "--max-version",
         [&options](const std::string& text) { options.version_max = kVersions.at(text); },
         "The newest version of TLS to agree on")
      ->check(CLI::IsMember({"1.2", "1.3"}).description(""))
      ->type_name("1.2|1.3")
      ->default_str("1.3")
      ->group("TLS");
  app.add_option("--keylog", options.keylog_file,
                 "Append the secrets of every connection (NSS key log format) to FILE, for "
                 "debugging: whoever reads it reads the traffic")
      ->type_name("FILE")
      ->group("TLS");
}

void add_data_path(CLI::App& app, WrapOptions& options) {
  static const std::map<std::string, bridge::OffloadPolicy> kPolicies = {
      {"auto", bridge::OffloadPolicy::kAuto},
      {"never", bridge::OffloadPolicy::kNever},
      {"kernel", bridge::OffloadPolicy::kRequireKernel}};
  static const std::map<std::string, std::optional<bridge::LoopKind>> kLoops = {
      {"auto", std::nullopt},
      {"io_uring", bridge::LoopKind::kIoUring},
      {"epoll", bridge::LoopKind::kEpoll}};
  app.add_option_function<std::string>(
         "--offload", [&options](const std::string& text) { options.offload = kPolicies.at(text); },
         "Where records are encrypted: auto (the kernel where it can), never, or kernel (refuse "
         "the connection unless both directions are there)")
      ->check(CLI::IsMember({"auto", "never", "kernel"}).description(""))
      ->type_name("auto|never|kernel")
      ->default_str("auto")
      ->group("Data path");
  app.add_option_function<std::string>(
         "--loop", [&options](const std::string& text) { options.loop = kLoops.at(text); },
         "Event loop: auto (io_uring unless it is refused), io_uring, epoll")
      ->check(CLI::IsMember({"auto", "io_uring", "epoll"}).description(""))
      ->type_name("auto|io_uring|epoll")
      ->default_str("auto")
      ->group("Data path");
  options.threads = std::clamp(std::thread::hardware_concurrency(), 1U, kThreadsMax);
  app.add_option("--threads", options.threads, "Event loops, each with a thread of its own")
      ->check(CLI::Range(1U, kThreadsMax).description(""))
      ->type_name("N")
      ->capture_default_str()
      ->group("Data path");
}

void add_limits(CLI::App& app, WrapOptions& options) {
  options.max_connections = kConnectionsDefault;
  app.add_option("--max-connections", options.max_connections,
                 "Connections at once; more wait in the listen queue")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1'000'000}).description(""))
      ->type_name("N")
      ->capture_default_str()
      ->group("Limits");
  add_duration(app, "--handshake-timeout", options.handshake_timeout, kHandshakeTimeout,
               kLeastTimeout, "For a whole handshake");
  add_duration(app, "--connect-timeout", options.connect_timeout, kConnectTimeout, kLeastTimeout,
               "For each attempt to connect to --to");
  add_duration(app, "--idle-timeout", options.idle_timeout, kIdleTimeout, kLeastTimeout,
               "End a connection on which nothing has moved for this long");
  add_duration(app, "--drain-timeout", options.drain_timeout, kDrainTimeout, milliseconds(0),
               "After SIGTERM or SIGINT, let connections go on for this long");
}

void add_keys(CLI::App& app, WrapOptions& options) {
  app.add_option("--key-records", options.keys.records_max,
                 "Seal at most this many records with one key, then change it (TLS 1.3) or end the "
                 "connection; default: what the cipher allows")
      ->check(CLI::Range(kKeyRecordsLeast, tls::kNoRecordLimit).description(""))
      ->type_name("N")
      ->group("Keys");
  add_duration(app, "--key-interval", options.keys.update_interval, options.keys.update_interval,
               milliseconds(0), "Between two changes of our key that this asks for, at least");
  app.get_option("--key-interval")->group("Keys");
  app.add_option("--key-updates", options.keys.peer_updates_a_second,
                 "Changes of the peer's key in one second; one more ends the connection")
      ->check(CLI::Range(1U, 1'000'000U).description(""))
      ->type_name("N")
      ->capture_default_str()
      ->group("Keys");
}

void add_log(CLI::App& app, WrapOptions& options) {
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

ktls::Result<void> refuse(const std::string& detail) {
  return ktls::fail(ktls::Error::of(ktls::ErrorCode::kInvalidArgument, detail));
}

}  // namespace

void add_wrap_command(CLI::App& app, WrapOptions& options) {
  CLI::App* wrap = app.add_subcommand(
      "wrap", "Put a TCP or unix service behind TLS, or speak TLS for a plaintext client");
  wrap->footer(kExamples);
  add_addresses(*wrap, options);
  add_tls(*wrap, options);
  add_data_path(*wrap, options);
  add_limits(*wrap, options);
  add_keys(*wrap, options);
  add_log(*wrap, options);
  wrap->add_flag("--check", options.check,
                 "Check files, addresses and that --to can be reached, then exit");
}

ktls::Result<void> validate(const WrapOptions& options) {
  if (options.client) {
    if (!options.certificate_file.empty() || !options.key_file.empty()) {
      return refuse("--cert and --key are for the server role: leave them out with --client");
    }
    if (options.insecure && !options.ca_file.empty()) {
      return refuse("--insecure and --ca exclude each other");
    }
    if (options.name.empty() && options.to.host.empty() && !options.insecure) {
      return refuse("--to has no host to verify: give --name NAME");
    }
  } else {
    if (!options.ca_file.empty() || !options.name.empty() || options.insecure) {
      return refuse("--ca, --name and --insecure need --client");
    }
    if (options.certificate_file.empty() && !options.key_file.empty()) {
      return refuse("--key needs --cert");
    }
  }
  if (options.to.kind == Address::Kind::kTcp && options.to.port == 0) {
    return refuse("--to " + options.to.text() + ": port 0 cannot be connected to");
  }
  const auto too_long = [](const std::string& name) {
    return name.empty() || name.size() > kAlpnNameMax;
  };
  if (std::any_of(options.alpn.begin(), options.alpn.end(), too_long)) {
    return refuse("--alpn: a protocol name has 1 to 255 bytes");
  }
  return {};
}

}  // namespace tools
