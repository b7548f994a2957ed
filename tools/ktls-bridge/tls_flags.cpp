// The flags of TLS, and what they exclude.

#include "tools/ktls-bridge/tls_flags.h"

#include <algorithm>
#include <cstdint>
#include <map>

#include <CLI/CLI.hpp>

#include "tools/ktls-bridge/certificate_flags.h"
#include "tools/ktls-bridge/duration_flag.h"
#include "tools/ktls-bridge/suite_flags.h"
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

void add_alpn_flag(CLI::App& app, TlsOptions& options) {
  app.add_option("--alpn", options.alpn, "Protocols to offer or accept, in order: h2,http/1.1")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("LIST")
      ->group("TLS");
}

void add_protocol_flags(CLI::App& app, TlsOptions& options) {
  add_suite_flags(app, options);
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

tls::SuiteChoice suite_choice_of(const TlsOptions& options) {
  return {.ciphers = options.ciphers,
          .ciphersuites = options.ciphersuites,
          .with_psk = !options.psk_file.empty()};
}

ktls::Result<void> validate(const TlsOptions& options) {
  const auto refuse = [](const char* detail) {
    return ktls::fail(ktls::Error::of(ktls::ErrorCode::kInvalidArgument, detail));
  };
  if (auto valid = validate_certificates(options); !valid) return valid;
  const auto is_no_name = [](const std::string& name) {
    return name.empty() || name.size() > kAlpnNameMax;
  };
  if (std::any_of(options.alpn.begin(), options.alpn.end(), is_no_name)) {
    return refuse("--alpn: a protocol name has 1 to 255 bytes");
  }
  if (auto good = validate_suites(options); !good) return good;
  return validate_tickets(options);
}

}  // namespace tools
