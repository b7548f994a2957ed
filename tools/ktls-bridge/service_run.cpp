#include "tools/ktls-bridge/service_run.h"

#include "tools/ktls-bridge/complaint.h"

namespace tools {

int run_service(const char* command, Service& service, MetricsService& metrics, TlsSetting& tls,
                const std::function<void()>& reload) {
  service.announce_addresses();
  metrics.announce();
  tls.announce_warnings();
  service.announce_ready(tls.capability());
  tls.announce_self_signed();
  if (const auto watched = tls.watch_files(); !watched) {
    return complain(command, {kExitOsError, watched.error().message()});
  }
  if (const auto failed = service.start()) return complain(command, *failed);
  if (const auto failed = metrics.start(service.loop())) return complain(command, *failed);
  service.on_drain([&metrics] { metrics.begin_draining(); });
  service.on_exit([&metrics] { metrics.remove_socket_files(); });
  return service.run([&tls, &reload] {
    tls.reload();
    if (reload) reload();
  });
}

}  // namespace tools
