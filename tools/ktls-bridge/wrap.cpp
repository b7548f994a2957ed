// `ktls-bridge wrap`: sets everything up on one thread, so that each mistake gets its one line and
// exit code before anything is served; then serves until a signal.

#include "tools/ktls-bridge/wrap.h"

#include <cstdio>
#include <filesystem>
#include <functional>
#include <optional>
#include <system_error>
#include <utility>

#include <sys/socket.h>
#include <unistd.h>

#include "tools/common/exit_code.h"
#include "tools/common/log.h"
#include "tools/hardening/sandbox.h"
#include "tools/ktls-bridge/address_limit.h"
#include "tools/ktls-bridge/admission.h"
#include "tools/ktls-bridge/complaint.h"
#include "tools/ktls-bridge/connection_metrics.h"
#include "tools/ktls-bridge/metrics_service.h"
#include "tools/ktls-bridge/origin.h"
#include "tools/ktls-bridge/program.h"
#include "tools/ktls-bridge/program_session.h"
#include "tools/ktls-bridge/reload_files.h"
#include "tools/ktls-bridge/service.h"
#include "tools/ktls-bridge/service_run.h"
#include "tools/ktls-bridge/signals.h"
#include "tools/ktls-bridge/tls_setting.h"
#include "tools/ktls-bridge/wrap_fd.h"
#include "tools/ktls-bridge/wrap_session.h"
#include "userspace/handshake/openssl/trust_places.h"

namespace tools {
namespace {

int complain(const Complaint& complaint) {
  return complain("wrap", complaint);
}

std::optional<ClientRole> client_role(const WrapOptions& options) {
  if (!options.client) return std::nullopt;
  return ClientRole{.ca_file = options.ca_file,
                    .crl_file = options.crl_file,
                    .pins = options.pins,
                    .verify = !options.insecure,
                    .server_name = options.name.empty() ? options.to.host : options.name};
}

// What --check adds to the set-up: one connection to --to, closed at once.
int check_destination(const WrapSetting& setting) {
  const auto reached = connect_within(setting.to, setting.options.connect_timeout);
  if (!reached) return complain({kExitUnavailable, reached.error().message()});
  std::fprintf(stderr, "ktls-bridge wrap: the configuration is good\n");
  return kExitOk;
}

// Serves a connection until its end, for which the Origin is borrowed.
using ServeOrigin = std::function<bridge::Task<void>(bridge::Loop&, Cancellation&,
                                                     ktls::UniqueFd accepted, const Origin&)>;

OriginSetting origin_setting(const WrapOptions& options) {
  return {.accept_proxy = options.accept_proxy, .timeout = options.tls.handshake_timeout};
}

// As long as its address has a place.
bridge::Task<void> serve_admitted(bridge::Loop& loop, Cancellation& cancellation,
                                  AddressLimit& addresses, const WrapOptions& options,
                                  const TlsSetting& tls, const ServeOrigin& serve,
                                  ktls::UniqueFd accepted) {
  const CountedPlace counted(tls.counts());
  const auto origin =
      co_await find_origin(loop, cancellation, origin_setting(options), tls, accepted);
  if (!origin) co_return;
  const AddressLimit::Place place = admit(addresses, tls, accepted, origin->peer);
  if (place) co_await serve(loop, cancellation, std::move(accepted), *origin);
}

// What is used after the start, but for the destination.
Needs needs_of(const WrapOptions& options) {
  Needs needs;
  needs.reload_files = reload_files(options.tls);
  for (const std::string* file : {&options.ca_file, &options.crl_file}) {
    if (!file->empty()) needs.reload_files.push_back(*file);
  }
  needs.link_directories = reload_directories(options.tls);
  if (options.client && options.ca_file.empty()) {
    for (std::string& each : tls::system_trust_places()) {
      // Of a file its directory: it is replaced by another of its name.
      std::error_code error;
      const bool is_file = std::filesystem::is_regular_file(each, error);
      (is_file ? needs.reload_files : needs.link_directories).push_back(std::move(each));
    }
  }
  needs.socket_files = socket_paths(options.listen);
  for (std::string& each : socket_paths(options.service.metrics)) {
    needs.socket_files.push_back(std::move(each));
  }
  needs.starts_programs = options.program.wanted();
  return needs;
}

// What all connections of --listen go through, until a signal. `checked` is what --check adds.
int serve_until_signal(const WrapOptions& options, TlsSetting& tls, Signals signals,
                       const Needs& needs, const ServeOrigin& serve,
                       const std::function<int()>& checked) {
  AddressLimit addresses(options.connections_per_address);
  const auto admitted = [&](bridge::Loop& loop, Cancellation& cancellation,
                            ktls::UniqueFd accepted) {
    return serve_admitted(loop, cancellation, addresses, options, tls, serve, std::move(accepted));
  };
  MetricsService metrics("wrap", options.service, tls);
  tls.count_in(metrics.counts());
  Service service(options.service, tls.log(), std::move(signals));
  if (options.check) {
    if (const auto failed = service.check("wrap", {{.addresses = options.listen, .serve = {}}})) {
      return complain(*failed);
    }
    if (const auto failed = metrics.check()) return complain(*failed);
    return checked();
  }
  if (const auto failed = service.open({{.addresses = options.listen, .serve = admitted}})) {
    return complain(*failed);
  }
  if (const auto failed = metrics.open()) return complain(*failed);
  if (const auto failed = confine(options.service.hardening, needs, tls.log())) {
    return complain(*failed);
  }
  return run_service("wrap", service, metrics, tls, {});
}

int serve_to(const WrapOptions& options, TlsSetting& tls, Signals signals) {
  auto to = resolve(options.to, false);
  if (!to) return complain({kExitNoHost, "--to: " + to.error().message()});
  const WrapSetting setting{.options = options, .tls = tls, .to = *std::move(to)};
  const auto serve = [&setting](bridge::Loop& loop, Cancellation& cancellation,
                                ktls::UniqueFd accepted, const Origin& origin) {
    return wrap_session(loop, cancellation, setting, std::move(accepted), origin);
  };
  Needs needs = needs_of(options);
  for (const SocketAddress& each : setting.to) {
    if (each.family() != AF_UNIX) needs.connect_ports.push_back(each.port());
  }
  return serve_until_signal(options, tls, std::move(signals), needs, serve,
                            [&setting] { return check_destination(setting); });
}

// UCSPI: descriptor 0 is for reading and 1 for writing.
bridge::Task<void> serve_program(bridge::Loop& loop, Cancellation& cancellation,
                                 const ProgramSetting& setting, ktls::UniqueFd accepted,
                                 const Origin& origin) {
  static_cast<void>(
      co_await program_session(loop, cancellation, setting, std::move(accepted), origin));
}

int serve_programs(const WrapOptions& options, TlsSetting& tls, Signals signals) {
  const ProgramOptions& program = options.program;
  auto path = find_program(program.words.front());
  if (!path) return complain({kExitNoInput, "--exec: " + path.error().message()});
  const bool is_guarded = program.read != ReadMode::kDirect;
  ProgramSetting setting{.tls = tls,
                         .path = *std::move(path),
                         .arguments = program.words,
                         .write_fds = {STDOUT_FILENO},
                         .read_fd = std::nullopt,
                         .no_rekey = program.no_rekey,
                         .idle_timeout = options.idle_timeout};
  if (is_guarded) {
    setting.read_fd = STDIN_FILENO;
  } else {
    setting.write_fds.push_back(STDIN_FILENO);
  }
  const auto serve = [&setting](bridge::Loop& loop, Cancellation& cancellation,
                                ktls::UniqueFd accepted, const Origin& origin) {
    return serve_program(loop, cancellation, setting, std::move(accepted), origin);
  };
  return serve_until_signal(options, tls, std::move(signals), needs_of(options), serve, [] {
    std::fprintf(stderr, "ktls-bridge wrap: the configuration is good\n");
    return int{kExitOk};
  });
}

}  // namespace

int run_wrap(const WrapOptions& options) {
  if (const auto valid = validate(options); !valid) {
    return complain({kExitUsage, valid.error().message()});
  }
  if (options.program.fd) return run_wrap_fd(options);
  auto signals = Signals::hold();
  if (!signals) return complain({kExitOsError, signals.error().message()});
  const Log log(options.service.log_format, options.service.log_level);
  TlsSetting tls(options.tls, client_role(options), log);
  if (const auto failed = tls.prepare()) return complain(*failed);
  return options.program.exec ? serve_programs(options, tls, *std::move(signals))
                              : serve_to(options, tls, *std::move(signals));
}

}  // namespace tools
