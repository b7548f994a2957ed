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
#include "userspace/suite/version.h"

namespace CLI {
class App;
}

namespace tools {

struct TlsOptions {
  std::string certificate_file;  // empty: a self-signed certificate is made
  std::string key_file;          // empty: in certificate_file
  std::vector<tls::Host> hosts;  // with certificates of their own
  std::string client_ca_file;    // empty: clients are asked for no certificate
  tls::ClientAuthentication client_authentication = tls::ClientAuthentication::kRequired;
  std::vector<std::string> alpn;
  tls::ProtocolVersion version_max = tls::ProtocolVersion::kTls13;
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
void add_credential_flags(CLI::App& app, TlsOptions& options);  // --cert --key
void add_client_flags(CLI::App& app, TlsOptions& options);      // --client-ca --client-auth
void add_alpn_flag(CLI::App& app, TlsOptions& options);
void add_protocol_flags(CLI::App& app, TlsOptions& options);     // --max-version --keylog
void add_offload_flag(CLI::App& app, TlsOptions& options);       // --offload
void add_handshake_timeout(CLI::App& app, TlsOptions& options);  // --handshake-timeout
void add_key_flags(CLI::App& app, TlsOptions& options);          // --key-records and the like

// What one flag alone cannot tell. Error: kInvalidArgument naming the flags.
[[nodiscard]] ktls::Result<void> validate(const TlsOptions& options);

}  // namespace tools
