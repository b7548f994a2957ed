// The flags of `ktls-bridge broker`.

#include "tools/broker/broker_options.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include <CLI/CLI.hpp>
#include <grp.h>
#include <pwd.h>
#include <sys/un.h>

#include "tools/ktls-bridge/certificate_flags.h"
#include "tools/ktls-bridge/duration_flag.h"
#include "tools/ktls-bridge/ticket_flags.h"
#include "userspace/broker/protocol.h"

namespace tools {
namespace {

constexpr std::chrono::milliseconds kIdleTimeout = std::chrono::minutes(10);
constexpr std::size_t kHandshakesDefault = 1024;
constexpr std::size_t kHandshakesPerAddressDefault = 512;
constexpr std::size_t kPerClientDefault = 1024;
constexpr std::size_t kCountMax = 1'000'000;

constexpr const char* kExamples = R"(Examples:
  # TLS for the programs of this user, which use libktls-bridge-client
  ktls-bridge broker --socket $XDG_RUNTIME_DIR/ktls-bridge.sock --cert chain.pem --key key.pem

  # For the members of a group, who never see the key
  ktls-bridge broker --socket /run/ktls-bridge/broker.sock --allow-group www-data \
      --cert chain.pem --key key.pem

  # For programs that only connect, to servers of a private authority
  ktls-bridge broker --socket /run/ktls-bridge/broker.sock --ca ca.pem

Programs find it by the environment variable KTLS_BRIDGE_BROKER.
See ktls-bridge-broker(1) for limits, restarts and what a program is trusted with.)";

template <class Id>
bool parse_number(const std::string& text, Id& id) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  return error == std::errc() && end == text.data() + text.size();
}

uid_t user_of(const std::string& text) {
  uid_t id = 0;
  if (parse_number(text, id)) return id;
  const passwd* const entry = ::getpwnam(text.c_str());  // NOLINT(concurrency-mt-unsafe)
  if (entry == nullptr) throw CLI::ValidationError("--allow-user: there is no user " + text);
  return entry->pw_uid;
}

gid_t group_of(const std::string& text) {
  gid_t id = 0;
  if (parse_number(text, id)) return id;
  const group* const entry = ::getgrnam(text.c_str());  // NOLINT(concurrency-mt-unsafe)
  if (entry == nullptr) throw CLI::ValidationError("--allow-group: there is no group " + text);
  return entry->gr_gid;
}

template <class Id>
void add_names(CLI::App& app, const std::string& flag, const std::string& text, const char* type,
               Id (*id_of)(const std::string&), std::vector<Id>& ids) {
  app.add_option_function<std::vector<std::string>>(
         flag,
         [&ids, id_of](const std::vector<std::string>& names) {
           for (const std::string& each : names) ids.push_back(id_of(each));
         },
         text)
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name(type)
      ->group("Access");
}

void add_count(CLI::App& app, const std::string& flag, const std::string& text, std::size_t initial,
               std::size_t least, std::size_t& count) {
  count = initial;
  app.add_option(flag, count, text)
      ->check(CLI::Range(least, kCountMax).description(""))
      ->type_name("N")
      ->capture_default_str()
      ->group("Limits");
}

void add_limits(CLI::App& app, BrokerOptions& options) {
  add_max_connections(app, options.service);
  add_count(app, "--max-per-client", "Connections of the programs of one user", kPerClientDefault,
            1, options.max_per_client);
  add_count(app, "--max-handshakes",
            "Handshakes under way; for one more the oldest whose peer is silent is dropped",
            kHandshakesDefault, 1, options.max_handshakes);
  add_count(app, "--max-handshakes-per-address",
            "Of them from one address (IPv6: a /64); 0: no limit", kHandshakesPerAddressDefault, 0,
            options.max_handshakes_per_address);
  add_handshake_timeout(app, options.tls);
  add_duration(app,
               {.name = "--idle-timeout",
                .initial = kIdleTimeout,
                .least = kLeastTimeout,
                .text = "End what is relayed when nothing has moved for this long"},
               options.idle_timeout);
  add_drain_timeout(app, options.service);
}

}  // namespace

void add_broker_command(CLI::App& app, BrokerOptions& options) {
  CLI::App* broker = app.add_subcommand(
      "broker",
      "Do handshakes for other programs, and hand them sockets on which the kernel "
      "does TLS");
  broker->footer(kExamples);
  broker
      ->add_option(
          "--socket", options.socket,
          "Where programs find it (a unix socket); fd:N, systemd and systemd:NAME are sockets "
          "that were inherited")
      ->type_name("PATH")
      ->default_str(broker::kDefaultPath);
  options.socket = broker::kDefaultPath;
  add_names(*broker, "--allow-user", "Who may connect besides this user and root; names or numbers",
            "USER[,USER]", &user_of, options.users);
  add_names(*broker, "--allow-group", "Whose members may connect", "GROUP[,GROUP]", &group_of,
            options.groups);
  add_credential_flags(*broker, options.tls);
  broker
      ->add_option("--ca", options.ca_file,
                   "For programs that connect: trust these certificates, PEM, instead of the "
                   "system's")
      ->type_name("FILE")
      ->group("TLS");
  add_client_flags(*broker, options.tls);
  add_alpn_flag(*broker, options.tls);
  add_protocol_flags(*broker, options.tls);
  add_ticket_flags(*broker, options.tls);
  add_offload_flag(*broker, options.tls);
  add_no_rekey_flag(*broker, options.no_rekey);
  add_loop_flag(*broker, options.service);
  add_limits(*broker, options);
  add_key_flags(*broker, options.tls);
  add_metrics_flag(*broker, options.service);
  add_ready_flag(*broker, options.service);
  add_log_flags(*broker, options.service);
  add_core_flag(*broker, options.service.hardening);
  broker->parse_complete_callback(
      [&options] { options.tls.tls12_without_rekey = options.no_rekey == NoRekey::kTls12; });
}

std::optional<Address> BrokerOptions::inherited_socket() const {
  auto address = parse_listen_address(socket);
  if (address && address->is_inherited()) return *std::move(address);
  return std::nullopt;
}

ktls::Result<void> validate(const BrokerOptions& options) {
  if (options.socket.empty() || options.socket.size() >= sizeof(sockaddr_un::sun_path)) {
    return ktls::fail(
        ktls::Error::of(ktls::ErrorCode::kInvalidArgument, "--socket: a path of 1 to 107 bytes"));
  }
  const auto address = parse_listen_address(options.socket);
  const bool means_inherited =
      options.socket.starts_with("fd:") || options.socket.starts_with("systemd:");
  if (means_inherited && !address) {
    return ktls::fail(
        ktls::Error::of(ktls::ErrorCode::kInvalidArgument, "--socket: " + address.error().detail));
  }
  return validate(options.tls);
}

}  // namespace tools
