// WrapOptions: the command line of `ktls-bridge wrap`, parsed.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "ktls/base/result.h"
#include "tools/common/address.h"
#include "tools/ktls-bridge/program_flags.h"
#include "tools/ktls-bridge/proxy_flags.h"
#include "tools/ktls-bridge/service_flags.h"
#include "tools/ktls-bridge/tls_flags.h"

namespace CLI {
class App;
}

namespace tools {

struct WrapOptions {
  bool client = false;  // TLS on the side of `to` instead of the side of `listen`
  std::vector<Address> listen;
  Address to;
  bool accept_proxy = false;              // on `listen`
  std::optional<ProxyHeader> send_proxy;  // on connections to `to`

  std::string ca_file;
  std::string crl_file;
  std::vector<std::string> pins;
  std::string name;  // client role: what the peer's certificate must be for; default: host of `to`
  bool insecure = false;
  std::chrono::milliseconds connect_timeout{};
  std::chrono::milliseconds idle_timeout{};
  bool check = false;

  ProgramOptions program;                   // instead of `to`
  std::size_t connections_per_address = 0;  // 0: no limit

  TlsOptions tls;
  ServiceOptions service;
};

// Adds the subcommand `wrap` to `app`; `options` is filled when the command line is parsed, and
// is borrowed for that long. Values that do not parse raise CLI::ValidationError.
void add_wrap_command(CLI::App& app, WrapOptions& options);

// What one flag alone cannot tell. Error: kInvalidArgument naming the flags.
[[nodiscard]] ktls::Result<void> validate(const WrapOptions& options);

}  // namespace tools
