// The flags of TLS, and what they exclude.

#include "tools/ktls-bridge/tls_flags.h"

#include <algorithm>
#include <cstdint>
#include <map>

#include <CLI/CLI.hpp>

#include "tools/ktls-bridge/duration_flag.h"
#include "tools/ktls-bridge/ticket_flags.h"
#include "userspace/suite/cipher_suite.h"

namespace tools {
namespace {

constexpr std::chrono::milliseconds kHandshakeTimeout = std::chrono::seconds(10);
// A key needs one record for data, and one for the KeyUpdate that ends it.
constexpr std::uint64_t kKeyRecordsLeast = 2;
// RFC 7301 section 3.1: a protocol name is 1 to 255 bytes.
constexpr std::size_t kAlpnNameMax = 255;

}  // namespace

void add_credential_flags(CLI::App& app, TlsOptions& options) {
  app.add_option("--cert", options.certificate_file,
                 "Certificate chain, PEM, leaf first; without --cert and --key a self-signed "
                 "certificate is made")
      ->type_name("FILE")
      ->group("TLS");
  app.add_option("--key", options.key_file, "Private key, PEM; default: in the file of --cert")
      ->type_name("FILE")
      ->group("TLS");
}

void add_client_flags(CLI::App& app, TlsOptions& options) {
  static const std::map<std::string, tls::ClientAuthentication> kAnswers = {
      {"required", tls::ClientAuthentication::kRequired},
      {"optional", tls::ClientAuthentication::kOptional}};
  CLI::Option* const authority =
      app.add_option("--client-ca", options.client_ca_file,
                     "Ask clients for a certificate, and accept those that these, PEM, vouch for")
          ->type_name("FILE")
          ->group("TLS");
  app.add_option_function<std::string>(
         "--client-auth",
         [&options](const std::string& text) { options.client_authentication = kAnswers.at(text); },
         "With --client-ca: required (refuse clients without a certificate) or optional")
      ->check(CLI::IsMember({"required", "optional"}).description(""))
      ->type_name("required|optional")
      ->default_str("required")
      ->needs(authority)
      ->group("TLS");
}

void add_alpn_flag(CLI::App& app, TlsOptions& options) {
  app.add_option("--alpn", options.alpn, "Protocols to offer or accept, in order: h2,http/1.1")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("LIST")
      ->group("TLS");
}

void add_protocol_flags(CLI::App& app, TlsOptions& options) {
  static const std::map<std::string, tls::ProtocolVersion> kVersions = {
      {"1.2", tls::ProtocolVersion::kTls12}, {"1.3", tls::ProtocolVersion::kTls13}};
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

void add_offload_flag(CLI::App& app, TlsOptions& options) {
  static const std::map<std::string, bridge::OffloadPolicy> kPolicies = {
      {"auto", bridge::OffloadPolicy::kAuto},
      {"never", bridge::OffloadPolicy::kNever},
      {"kernel", bridge::OffloadPolicy::kRequireKernel}};
  app.add_option_function<std::string>(
         "--offload", [&options](const std::string& text) { options.offload = kPolicies.at(text); },
         "Where records are encrypted: auto (the kernel where it can), never, or kernel (refuse "
         "the connection unless both directions are there)")
      ->check(CLI::IsMember({"auto", "never", "kernel"}).description(""))
      ->type_name("auto|never|kernel")
      ->default_str("auto")
      ->group("Data path");
}

void add_handshake_timeout(CLI::App& app, TlsOptions& options) {
  add_duration(app,
               {.name = "--handshake-timeout",
                .initial = kHandshakeTimeout,
                .least = kLeastTimeout,
                .text = "For a whole handshake"},
               options.handshake_timeout);
}

void add_key_flags(CLI::App& app, TlsOptions& options) {
  app.add_option("--key-records", options.keys.records_max,
                 "Seal at most this many records with one key, then change it (TLS 1.3) or end the "
                 "connection; default: what the cipher allows")
      ->check(CLI::Range(kKeyRecordsLeast, tls::kNoRecordLimit).description(""))
      ->type_name("N")
      ->group("Keys");
  add_duration(app,
               {.name = "--key-interval",
                .initial = options.keys.update_interval,
                .least = std::chrono::milliseconds(0),
                .text = "Between two changes of our key that this asks for, at least"},
               options.keys.update_interval)
      ->group("Keys");
  app.add_option("--key-updates", options.keys.peer_updates_a_second,
                 "Changes of the peer's key in one second; one more ends the connection")
      ->check(CLI::Range(1U, 1'000'000U).description(""))
      ->type_name("N")
      ->capture_default_str()
      ->group("Keys");
}

ktls::Result<void> validate(const TlsOptions& options) {
  const auto refuse = [](const char* detail) {
    return ktls::fail(ktls::Error::of(ktls::ErrorCode::kInvalidArgument, detail));
  };
  if (options.certificate_file.empty() && !options.key_file.empty()) {
    return refuse("--key needs --cert");
  }
  const auto is_no_name = [](const std::string& name) {
    return name.empty() || name.size() > kAlpnNameMax;
  };
  if (std::any_of(options.alpn.begin(), options.alpn.end(), is_no_name)) {
    return refuse("--alpn: a protocol name has 1 to 255 bytes");
  }
  return validate_tickets(options);
}

}  // namespace tools
