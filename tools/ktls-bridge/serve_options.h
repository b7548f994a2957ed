// ServeOptions: the command line of `ktls-bridge serve`, parsed.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ktls/base/result.h"
#include "tools/common/address.h"
#include "tools/http/access_record.h"
#include "tools/http/request.h"
#include "tools/http/site.h"
#include "tools/ktls-bridge/response_sender.h"
#include "tools/ktls-bridge/service_flags.h"
#include "tools/ktls-bridge/tls_flags.h"
#include "userspace/handshake/host_names.h"

namespace CLI {
class App;
}

namespace tools {

// For each of `host_names` there is a directory, and a certificate in TlsOptions::hosts, at the
// same place.
struct ServeOptions {
  std::string directory;
  std::vector<Address> listen;
  std::vector<Address> redirect_from;  // plain HTTP
  bool accept_proxy = false;           // on both
  tls::HostNames host_names;
  std::vector<std::string> host_directories;
  TlsOptions tls;
  ServiceOptions service;
  http::SitePolicy policy;               // but for the media types
  std::vector<std::string> media_types;  // EXT=TYPE, on top of the system's
  bridge::Content content = bridge::Content::kMayChange;

  http::RequestLimits request;
  std::chrono::milliseconds request_timeout{};  // for a whole head
  std::chrono::milliseconds keep_alive{};       // between two requests
  std::uint64_t requests_max = 0;               // of one connection
  SendPace pace;
  std::size_t connections_per_address = 0;  // 0: no limit

  std::string access_log;  // empty: none; "-": standard output
  http::AccessLogFormat access_log_format;
  bool check = false;
};

// Adds the subcommand `serve` to `app`; `options` is filled when the command line is parsed, and is
// borrowed for that long. Values that do not parse raise CLI::ValidationError.
void add_serve_command(CLI::App& app, ServeOptions& options);

// What one flag alone cannot tell. Error: kInvalidArgument naming the flags.
[[nodiscard]] ktls::Result<void> validate(const ServeOptions& options);

}  // namespace tools
