// `ktls-bridge serve`: sets everything up on one thread, so that each mistake gets its one line and
// exit code before anything is served; then serves until a signal.

#include "tools/ktls-bridge/serve.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tools/common/exit_code.h"
#include "tools/common/log.h"
#include "tools/hardening/sandbox.h"
#include "tools/http/field_value.h"
#include "tools/ktls-bridge/complaint.h"
#include "tools/ktls-bridge/metrics_service.h"
#include "tools/ktls-bridge/redirect_session.h"
#include "tools/ktls-bridge/reload_files.h"
#include "tools/ktls-bridge/serve_session.h"
#include "tools/ktls-bridge/service.h"
#include "tools/ktls-bridge/service_run.h"
#include "tools/ktls-bridge/signals.h"
#include "tools/ktls-bridge/tls_setting.h"

namespace tools {
namespace {

int complain(const Complaint& complaint) {
  return complain("serve", complaint);
}

std::optional<Complaint> load_media_types(const ServeOptions& options, const Log& log,
                                          http::SitePolicy& policy) {
  policy.media_types = http::MediaTypes::load();
  if (const auto& reason = policy.media_types.fallback_reason()) {
    log.write(LogLevel::kInfo, "media_types",
              {{"detail", reason->message()},
               {"hint", std::string("a built-in table is used: install media-types")}});
  }
  for (const std::string& rule : options.media_types) {
    if (auto added = policy.media_types.add(rule); !added) {
      return Complaint{kExitUsage, "--type: " + added.error().message()};
    }
  }
  return std::nullopt;
}

std::optional<Complaint> open_sites(const ServeOptions& options, const http::SitePolicy& policy,
                                    std::vector<http::Site>& sites) {
  std::vector<std::string> directories = {options.directory};
  directories.insert(directories.end(), options.host_directories.begin(),
                     options.host_directories.end());
  for (const std::string& directory : directories) {
    auto site = http::Site::open(directory, policy);
    if (!site) {
      const bool is_lacking = site.error().code == ktls::ErrorCode::kUnsupported;
      return Complaint{is_lacking ? kExitUnavailable : kExitNoInput, site.error().message()};
    }
    sites.push_back(*std::move(site));
  }
  return std::nullopt;
}

// Over plain HTTP all is the same but one field, which must not be said there (RFC 6797
// section 7.2).
http::SitePolicy redirect_policy_of(const http::SitePolicy& policy) {
  http::SitePolicy plain;
  for (const http::OwnHeader& header : policy.headers) {
    if (!http::equals_ignoring_case(header.name, "Strict-Transport-Security")) {
      plain.headers.push_back(header);
    }
  }
  return plain;
}

// Null without --access-log.
ktls::Result<std::unique_ptr<http::AccessLog>> open_access_log(const ServeOptions& options,
                                                               const Log& log) {
  if (options.access_log.empty()) return std::unique_ptr<http::AccessLog>();
  return http::AccessLog::open(options.access_log, [&log](const ktls::Error& error) {
    log.write(
        LogLevel::kError, "access_log",
        {{"error", error.message()},
         {"hint", std::string("serving goes on; lines wait, and are lost when too many do")}});
  });
}

// What is used after the start.
Needs needs_of(const ServeOptions& options) {
  Needs needs;
  needs.reload_files = reload_files(options.tls);
  needs.link_directories = reload_directories(options.tls);
  needs.directories = options.host_directories;
  needs.directories.push_back(options.directory);
  if (!options.access_log.empty() && options.access_log != "-") {
    needs.logs.push_back(options.access_log);
  }
  for (const auto* addresses :
       {&options.listen, &options.redirect_from, &options.service.metrics}) {
    for (std::string& each : socket_paths(*addresses)) {
      needs.socket_files.push_back(std::move(each));
    }
  }
  return needs;
}

// Gives away what is not needed any more, and then begins the one thread that is there before the
// connections': it is to be as confined as they are.
std::optional<Complaint> confine_and_log(const ServeOptions& options, const Log& log,
                                         http::AccessLog* access_log) {
  if (auto failed = confine(options.service.hardening, needs_of(options), log)) return failed;
  if (access_log == nullptr) return std::nullopt;
  const auto started = access_log->start();
  if (started) return std::nullopt;
  return Complaint{kExitOsError, started.error().message()};
}

// The port of "127.0.0.1:8443", the first that is one of TCP; 0 if none is.
std::uint16_t https_port(std::span<const std::string> addresses) {
  for (const std::string& address : addresses) {
    if (address.starts_with("unix:")) continue;
    std::uint16_t port = 0;
    const char* const digits = address.data() + address.rfind(':') + 1;
    std::from_chars(digits, address.data() + address.size(), port);
    return port;
  }
  return 0;
}

Complaint nowhere_to_redirect() {
  return {kExitUsage, "--http needs a --listen with a port to redirect to"};
}

std::optional<Complaint> check(const ServeOptions& options, Service& service,
                               const MetricsService& metrics) {
  auto failed = service.check("serve", {{.addresses = options.listen, .serve = {}},
                                        {.addresses = options.redirect_from, .serve = {}}});
  if (failed) return failed;
  if (failed = metrics.check(); failed) return failed;
  const bool has_no_port = std::ranges::all_of(
      options.listen, [](const Address& each) { return each.kind == Address::Kind::kUnix; });
  if (has_no_port && !options.redirect_from.empty()) return nowhere_to_redirect();
  return std::nullopt;
}

}  // namespace

int run_serve(const ServeOptions& options) {
  auto signals = Signals::hold();
  if (!signals) return complain({kExitOsError, signals.error().message()});
  if (const auto valid = validate(options); !valid) {
    return complain({kExitUsage, valid.error().message()});
  }
  const Log log(options.service.log_format, options.service.log_level);
  http::SitePolicy policy = options.policy;
  if (const auto failed = load_media_types(options, log, policy)) return complain(*failed);
  std::vector<http::Site> sites;
  if (const auto failed = open_sites(options, policy, sites)) return complain(*failed);
  auto access_log = open_access_log(options, log);
  if (!access_log) {
    return complain({kExitCannotCreate, "--access-log " + access_log.error().message()});
  }
  TlsSetting tls(options.tls, std::nullopt, log);
  if (const auto failed = tls.prepare()) return complain(*failed);

  AddressLimit addresses(options.connections_per_address);
  const http::SitePolicy redirect_policy = redirect_policy_of(policy);
  ServeSetting setting{.options = options,
                       .tls = tls,
                       .policy = policy,
                       .redirect_policy = redirect_policy,
                       .sites = sites,
                       .names = options.host_names,
                       .addresses = addresses,
                       .access_log = access_log->get()};
  const auto secure = [&setting](bridge::Loop& loop, Cancellation& cancellation,
                                 ktls::UniqueFd accepted) {
    return serve_session(loop, cancellation, setting, std::move(accepted));
  };
  const auto plain = [&setting](bridge::Loop& loop, Cancellation& cancellation,
                                ktls::UniqueFd accepted) {
    return redirect_session(loop, cancellation, setting, std::move(accepted));
  };
  MetricsService metrics("serve", options.service, tls);
  tls.count_in(metrics.counts());
  Service service(options.service, log, *std::move(signals));
  if (options.check) {
    if (const auto failed = check(options, service, metrics)) return complain(*failed);
    std::fprintf(stderr, "ktls-bridge serve: the configuration is good\n");
    return kExitOk;
  }
  if (const auto failed = service.open({{.addresses = options.listen, .serve = secure},
                                        {.addresses = options.redirect_from, .serve = plain}})) {
    return complain(*failed);
  }
  if (const auto failed = metrics.open()) return complain(*failed);
  setting.https_port = https_port(service.addresses_of(0));
  if (setting.https_port == 0 && !options.redirect_from.empty()) {
    return complain(nowhere_to_redirect());
  }
  if (const auto failed = confine_and_log(options, log, access_log->get())) {
    return complain(*failed);
  }
  return run_service("serve", service, metrics, tls, [log_file = access_log->get()] {
    if (log_file != nullptr) log_file->reopen();
  });
}

}  // namespace tools
