// `ktls-bridge wrap`: sets everything up on one thread, so that each mistake gets its one line and
// exit code before anything is served; then serves until a signal.

#include "tools/ktls-bridge/wrap.h"

#include <cstdio>
#include <optional>
#include <utility>

#include "tools/common/exit_code.h"
#include "tools/common/log.h"
#include "tools/ktls-bridge/complaint.h"
#include "tools/ktls-bridge/service.h"
#include "tools/ktls-bridge/signals.h"
#include "tools/ktls-bridge/tls_setting.h"
#include "tools/ktls-bridge/wrap_session.h"

namespace tools {
namespace {

int complain(const Complaint& complaint) {
  return complain("wrap", complaint);
}

std::optional<ClientRole> client_role(const WrapOptions& options) {
  if (!options.client) return std::nullopt;
  return ClientRole{.ca_file = options.ca_file,
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

}  // namespace

int run_wrap(const WrapOptions& options) {
  auto signals = Signals::hold();
  if (!signals) return complain({kExitOsError, signals.error().message()});
  if (const auto valid = validate(options); !valid) {
    return complain({kExitUsage, valid.error().message()});
  }
  const Log log(options.service.log_format, options.service.log_level);
  TlsSetting tls(options.tls, client_role(options), log);
  if (const auto failed = tls.prepare()) return complain(*failed);
  auto to = resolve(options.to, false);
  if (!to) return complain({kExitNoHost, "--to: " + to.error().message()});

  const WrapSetting setting{.options = options, .tls = tls, .to = *std::move(to)};
  const auto serve = [&setting](bridge::Loop& loop, Cancellation& cancellation,
                                ktls::UniqueFd accepted) {
    return wrap_session(loop, cancellation, setting, std::move(accepted));
  };
  Service service(options.service, log, *std::move(signals));
  if (const auto failed = service.open({{.addresses = options.listen, .serve = serve}})) {
    return complain(*failed);
  }
  if (options.check) return check_destination(setting);
  service.announce_addresses();
  tls.announce_warnings();
  service.announce_ready(tls.capability());
  tls.announce_self_signed();
  if (const auto failed = service.start()) return complain(*failed);
  return service.run([&tls] { tls.reload(); });
}

}  // namespace tools
