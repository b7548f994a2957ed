// Lists of names, looked up as the command line is read: whatever is wrong is said before anything
// starts.

#include "tools/ktls-bridge/suite_flags.h"

#include <map>
#include <string>

#include <CLI/CLI.hpp>

#include "userspace/handshake/openssl/group_list.h"
#include "userspace/handshake/openssl/suite_list.h"

namespace tools {
namespace {

using tls::ProtocolVersion;

void add_version_flag(CLI::App& app, const char* flag, const char* text, const char* initial,
                      ProtocolVersion& version) {
  static const std::map<std::string, ProtocolVersion> kVersions = {
      {"1.2", ProtocolVersion::kTls12}, {"1.3", ProtocolVersion::kTls13}};
  app.add_option_function<std::string>(
         flag, [&version](const std::string& name) { version = kVersions.at(name); }, text)
      ->check(CLI::IsMember({"1.2", "1.3"}).description(""))
      ->type_name("1.2|1.3")
      ->default_str(initial)
      ->group("TLS");
}

template <typename Check>
void add_list(CLI::App& app, const std::string& flag, const std::string& text, std::string& list,
              Check check) {
  app.add_option_function<std::string>(
         flag,
         [flag, &list, check](const std::string& names) {
           if (const auto parsed = check(names); !parsed) {
             throw CLI::ValidationError(flag, parsed.error().detail);
           }
           list = names;
         },
         text)
      ->type_name("LIST")
      ->group("TLS");
}

ktls::Result<void> refuse(const std::string& detail) {
  return ktls::fail(ktls::Error::of(ktls::ErrorCode::kInvalidArgument, detail));
}

}  // namespace

void add_suite_flags(CLI::App& app, TlsOptions& options) {
  add_version_flag(app, "--max-version", "The newest version of TLS to agree on", "1.3",
                   options.version_max);
  add_version_flag(app, "--min-version", "The oldest version of TLS to agree on", "1.2",
                   options.version_min);
  add_list(app, "--ciphers",
           "AEAD suites for TLS 1.2 by name, in order; default: those that are forward-secret and "
           "that the kernel knows",
           options.ciphers, [](const std::string& names) {
             return tls::parse_suite_list(names, ProtocolVersion::kTls12);
           });
  add_list(app, "--ciphersuites", "Suites for TLS 1.3 by name, in order", options.ciphersuites,
           [](const std::string& names) {
             return tls::parse_suite_list(names, ProtocolVersion::kTls13);
           });
  add_list(app, "--groups", "Groups for the key exchange by name, in order: X25519,P-256",
           options.groups, [](const std::string& names) { return tls::parse_group_list(names); });
}

void add_psk_flag(CLI::App& app, TlsOptions& options) {
  app.add_option("--psk", options.psk_file,
                 "Pre-shared keys, lines IDENTITY:HEXKEY, for who has one and needs no "
                 "certificate; a client is the first")
      ->type_name("FILE")
      ->group("TLS");
}

ktls::Result<void> validate_suites(const TlsOptions& options) {
  if (options.version_min > options.version_max) {
    return refuse("--min-version 1.3 and --max-version 1.2 leave no version");
  }
  if (options.version_min == ProtocolVersion::kTls13 && options.tls12_without_rekey) {
    return refuse("--min-version 1.3 and --no-rekey tls12 exclude each other");
  }
  const tls::SuiteChoice choice = suite_choice_of(options);
  if (auto suites = tls::offered_suites(choice, ProtocolVersion::kTls12); !suites) {
    return refuse("--ciphers: " + suites.error().detail + ": --psk FILE");
  }
  if (choice.with_psk && options.version_max >= ProtocolVersion::kTls13) {
    if (auto fit = tls::check_psk_suites(choice); !fit) {
      return refuse("--ciphersuites: " + fit.error().detail);
    }
  }
  // Who has a pre-shared key is asked for no certificate, in either version.
  if (choice.with_psk && !options.client_ca_file.empty()) {
    return refuse("--psk and --client-ca exclude each other: who has a key shows no certificate");
  }
  return {};
}

}  // namespace tools
