// MetricsService: --metrics: what is counted, and a thread that tells whoever asks.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tools/common/log.h"
#include "tools/ktls-bridge/complaint.h"
#include "tools/ktls-bridge/listeners.h"
#include "tools/ktls-bridge/metrics_session.h"
#include "tools/ktls-bridge/service_flags.h"
#include "tools/ktls-bridge/tls_setting.h"
#include "tools/ktls-bridge/worker.h"
#include "tools/metrics/metrics.h"
#include "tools/metrics/page.h"
#include "userspace/io/loop.h"

namespace tools {

// Descriptors that it has at most: of its connections, of its loop, and of some addresses.
inline constexpr std::size_t kMetricsDescriptors = 24;

// Nothing without --metrics. A thread of its own, so that a scrape waits for no connection and no
// connection for a scrape, and so that it still answers while the service drains. Used on the main
// thread, its functions in the order in which they stand here; outlives all that counts.
class MetricsService {
 public:
  // `command` as in ServiceFacts. The others are borrowed.
  MetricsService(std::string command, const ServiceOptions& options, const TlsSetting& tls);
  MetricsService(const MetricsService&) = delete;
  MetricsService& operator=(const MetricsService&) = delete;
  ~MetricsService();

  // Whoever counts does it here. Null: nobody wants to know.
  [[nodiscard]] metrics::Metrics* counts() { return is_wanted() ? &metrics_ : nullptr; }

  // For --check, in place of open(): whether that could do its work, beside a service that runs.
  [[nodiscard]] std::optional<Complaint> check() const;
  // Binds the addresses; nothing is accepted yet.
  [[nodiscard]] std::optional<Complaint> open();
  // Line `metrics` for each address.
  void announce() const;
  // `loop`: a loop of the connections, for its kind.
  [[nodiscard]] std::optional<Complaint> start(const bridge::Loop& loop);
  void begin_draining() { metrics_.begin_draining(); }
  // Before an end that destroys nothing.
  void remove_socket_files() { socket_files_.remove(); }

 private:
  [[nodiscard]] bool is_wanted() const { return !options_.metrics.empty(); }
  [[nodiscard]] std::string page() const;

  const ServiceOptions& options_;
  const TlsSetting& tls_;
  metrics::Metrics metrics_;
  metrics::ServiceFacts facts_;
  MetricsPages pages_;
  SilentClients silent_;  // on the worker's thread
  SocketFiles socket_files_;
  std::vector<std::string> addresses_;
  std::unique_ptr<Worker> worker_;
};

}  // namespace tools
