// TlsOptions: the flags of whatever speaks TLS: credentials, protocol, data path and keys.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "ktls/base/result.h"
#include "userspace/bridge/key_budget.h"
#include "userspace/bridge/plan.h"
#include "userspace/handshake/openssl/context.h"
#include "userspace/handshake/openssl/suite_list.h"
#include "userspace/suite/version.h"

namespace CLI {
class App;
}

namespace tools {

// Without certificate_files and certificate_directory a self-signed certificate is made.
struct TlsOptions {
  std::vector<std::string> certificate_files;  // of no host, the default one first
  std::vector<std::string> key_files;          // one for each, or none: in the certificate's file
  std::string certificate_directory;           // of more such certificates
  std::vector<std::string> ocsp_files;         // each for one of all certificates
  std::vector<tls::Host> hosts;                // with certificates of their own
  std::string client_ca_file;                  // empty: clients are asked for no certificate
  std::string client_crl_file;
  tls::ClientAuthentication client_authentication = tls::ClientAuthentication::kRequired;
  std::vector<std::string> alpn;
  tls::ProtocolVersion version_min = tls::ProtocolVersion::kTls12;
  tls::ProtocolVersion version_max = tls::ProtocolVersion::kTls13;
  std::string ciphers;       // of TLS 1.2; empty, as for the next two: those of tls::Context
  std::string ciphersuites;  // of TLS 1.3
  std::string groups;
  std::string psk_file;              // empty: no pre-shared keys
  bool tls12_without_rekey = false;  // 1.2 is the newest version where the kernel changes no keys
  std::string keylog_file;
  std::vector<std::string> ticket_key_files;  // none: keys of our own; the first one seals
  std::optional<unsigned> tickets;            // none: tls::kTicketsDefault

  bridge::OffloadPolicy offload = bridge::OffloadPolicy::kAuto;
  bridge::KeyPolicy keys;
  std::chrono::milliseconds handshake_timeout{};
};

// Each adds one or a few flags to `app`, in the order in which --help shows them; `options` is
// borrowed until the command line is parsed. Values that do not parse raise CLI::ValidationError.
void add_alpn_flag(CLI::App& app, TlsOptions& options);
void add_protocol_flags(CLI::App& app, TlsOptions& options);     // --max-version … --keylog
void add_offload_flag(CLI::App& app, TlsOptions& options);       // --offload
void add_handshake_timeout(CLI::App& app, TlsOptions& options);  // --handshake-timeout
void add_key_flags(CLI::App& app, TlsOptions& options);          // --key-records and the like

[[nodiscard]] tls::SuiteChoice suite_choice_of(const TlsOptions& options);

// What one flag alone cannot tell. Error: kInvalidArgument naming the flags.
[[nodiscard]] ktls::Result<void> validate(const TlsOptions& options);

}  // namespace tools
