// WrapOptions: the command line of `ktls-bridge wrap`, parsed.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "tools/common/address.h"
#include "tools/common/log.h"
#include "userspace/bridge/key_budget.h"
#include "userspace/bridge/plan.h"
#include "userspace/io/loop.h"
#include "userspace/suite/version.h"

namespace CLI {
class App;
}

namespace tools {

struct WrapOptions {
  bool client = false;  // TLS on the side of `to` instead of the side of `listen`
  std::vector<Address> listen;
  Address to;

  std::string certificate_file;
  std::string key_file;
  std::string ca_file;
  std::string name;  // client role: what the peer's certificate must be for; default: host of `to`
  bool insecure = false;
  std::vector<std::string> alpn;
  tls::ProtocolVersion version_max = tls::ProtocolVersion::kTls13;

  bridge::KeyPolicy keys;
  bridge::OffloadPolicy offload = bridge::OffloadPolicy::kAuto;
  std::optional<bridge::LoopKind> loop;  // none: io_uring if it is not refused
  unsigned threads = 1;
  std::size_t max_connections = 0;
  std::chrono::milliseconds handshake_timeout{};
  std::chrono::milliseconds connect_timeout{};
  std::chrono::milliseconds idle_timeout{};
  std::chrono::milliseconds drain_timeout{};

  std::string keylog_file;
  LogFormat log_format = LogFormat::kText;
  LogLevel log_level = LogLevel::kInfo;
  bool check = false;
};

// Adds the subcommand `wrap` to `app`; `options` is filled when the command line is parsed, and
// is borrowed for that long. Values that do not parse raise CLI::ValidationError.
void add_wrap_command(CLI::App& app, WrapOptions& options);

// What one flag alone cannot tell. Error: kInvalidArgument naming the flags.
[[nodiscard]] ktls::Result<void> validate(const WrapOptions& options);

}  // namespace tools
