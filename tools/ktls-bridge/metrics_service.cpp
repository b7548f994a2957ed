// The listener of metrics and health.

#include "tools/ktls-bridge/metrics_service.h"

#include <chrono>
#include <utility>

#include "tools/ktls-bridge/version.h"

namespace tools {
namespace {

// Monitoring systems ask one after the other; whoever comes beyond waits in the listen queue.
constexpr std::size_t kConnectionsMax = 16;
static_assert(kConnectionsMax > SilentClients::kMax);
constexpr std::size_t kBuffersPerConnection = 2;  // for its request, and for its answer
// For an answer that is on its way when the service has ended.
constexpr std::chrono::milliseconds kDrainTimeout = std::chrono::seconds(1);

Complaint complaint_of_listening(const ktls::Error& error) {
  const bool is_unknown = error.code == ktls::ErrorCode::kInvalidArgument;
  return {is_unknown ? kExitNoHost : kExitOsError, "--metrics: " + error.message()};
}

}  // namespace

MetricsService::MetricsService(std::string command, const ServiceOptions& options,
                               const TlsSetting& tls)
    : options_(options), tls_(tls) {
  facts_.command = std::move(command);
  facts_.version = kVersion;
  facts_.connections_max = options.max_connections;
  pages_ = {.metrics = [this] { return page(); },
            .is_serving = [this] { return !metrics_.is_draining(); }};
}

MetricsService::~MetricsService() {
  if (worker_ == nullptr) return;
  socket_files_.remove();
  worker_->drain();
  worker_->join();
}

std::optional<Complaint> MetricsService::check() const {
  const auto in_use = check_addresses(options_.metrics);
  if (!in_use) return complaint_of_listening(in_use.error());
  remark_in_use(facts_.command, *in_use);
  return std::nullopt;
}

std::optional<Complaint> MetricsService::open() {
  if (!is_wanted()) return std::nullopt;
  InheritedSockets none;  // those are for --listen
  auto sockets = make_listeners(options_.metrics, 1, socket_files_, none);
  if (!sockets) return complaint_of_listening(sockets.error());
  // Of epoll, of which no kernel has too little for one more.
  auto loop = bridge::Loop::create(
      bridge::LoopKind::kEpoll,
      {.buffers_max = kConnectionsMax * kBuffersPerConnection, .pipes_max = 1});
  if (!loop) return Complaint{kExitOsError, "--metrics: " + loop.error().message()};
  std::vector<Listener> listeners;
  for (ktls::UniqueFd& socket : sockets->front()) {
    addresses_.push_back(local_text(socket.get()));
    listeners.push_back(
        {.socket = std::move(socket),
         .serve = [this](bridge::Loop& own, Cancellation& cancellation, ktls::UniqueFd accepted) {
           return metrics_session(own, cancellation, silent_, pages_, std::move(accepted));
         }});
  }
  const WorkerLimits limits{.max_connections = kConnectionsMax, .drain_timeout = kDrainTimeout};
  worker_ =
      std::make_unique<Worker>(tls_.log(), *std::move(loop), std::move(listeners), limits, [] {});
  return std::nullopt;
}

void MetricsService::announce() const {
  for (const std::string& address : addresses_) {
    tls_.log().write(LogLevel::kInfo, "metrics", {{"address", address}});
  }
}

std::optional<Complaint> MetricsService::start(const bridge::Loop& loop) {
  if (worker_ == nullptr) return std::nullopt;
  facts_.loop = bridge::name_of(loop.kind());
  facts_.kernel_tls = tls_.capability().attach_errno == 0;
  facts_.rekey = tls_.capability().rekey;
  if (auto started = worker_->start(); !started) {
    return Complaint{kExitOsError, "--metrics: " + started.error().message()};
  }
  return std::nullopt;
}

std::string MetricsService::page() const {
  std::vector<metrics::Certificate> certificates;
  for (const tls::ServedCertificate& each : tls_.context()->certificates()) {
    certificates.push_back(
        {.host = each.host, .sha256 = each.fingerprint, .not_after = each.not_after});
  }
  return metrics::metrics_page(metrics_, facts_, certificates);
}

}  // namespace tools
