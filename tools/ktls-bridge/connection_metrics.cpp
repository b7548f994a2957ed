// From what connections are to the rows of the table.

#include "tools/ktls-bridge/connection_metrics.h"

#include "ktls/core/reason.h"

namespace tools {

using metrics::Direction;
using metrics::index_of;
using metrics::Metrics;
using metrics::Series;

CountedPlace::CountedPlace(Metrics* metrics) : metrics_(metrics) {
  if (metrics_ != nullptr) metrics_->add(Series::kConnections);
}

CountedPlace::~CountedPlace() {
  if (metrics_ != nullptr) metrics_->subtract(Series::kConnections);
}

CountedConnection::CountedConnection(Metrics* metrics) : metrics_(metrics) {
  if (metrics_ != nullptr) metrics_->add(Series::kConnectionsAccepted);
}

void CountedConnection::end(const ConnectionLog& line) const {
  if (metrics_ == nullptr) return;
  metrics_->add(Series::kConnectionsEnded, {metrics::ended_index(line.ended)});
  if (!line.reason.empty()) {
    metrics_->add(Series::kConnectionsEndedBy, {metrics::reason_index(line.reason)});
  }
  metrics_->add(Series::kPlaintextBytes, {index_of(Direction::kReceived)}, line.received);
  metrics_->add(Series::kPlaintextBytes, {index_of(Direction::kSent)}, line.sent);
  metrics_->add(Series::kKeyUpdateWaits, {}, line.key_update_waits);
  metrics_->add(Series::kHttpRequests, {}, line.requests.value_or(0));
}

CountedHandshake::CountedHandshake(Metrics* metrics, tls::Role role)
    : metrics_(metrics), role_(role) {
  if (metrics_ != nullptr) metrics_->add(Series::kHandshakesUnderWay, {index_of(role_)});
}

CountedHandshake::~CountedHandshake() {
  if (metrics_ != nullptr) metrics_->subtract(Series::kHandshakesUnderWay, {index_of(role_)});
}

void CountedHandshake::finish(const tls::Negotiated& negotiated) const {
  if (metrics_ == nullptr) return;
  metrics_->add(Series::kHandshakes, {index_of(role_), metrics::version_index(negotiated.version),
                                      negotiated.resumed ? 1U : 0U});
  metrics_->add(Series::kHandshakeSuites, {metrics::suite_index(*negotiated.suite)});
  metrics_->add_duration(std::chrono::steady_clock::now() - begun_);
}

void CountedHandshake::fail(const ktls::Error& error) const {
  if (metrics_ == nullptr) return;
  std::size_t alert = metrics::kNoAlertIndex;
  if (error.alert != ktls::Error::kNoAlert) {
    const auto description = static_cast<tls::AlertDescription>(error.alert);
    alert = metrics::alert_index(description);
    // What libssl says and hears no observer of a connection does: there is none yet.
    if (error.code == ktls::ErrorCode::kPeerAlert) {
      metrics_->alert_received(description);
    } else {
      metrics_->alert_sent(description);
    }
  }
  metrics_->add(Series::kHandshakeFailures,
                {index_of(role_), index_of(metrics::failure_of(error)), alert});
}

void count_from_now(Metrics* metrics, bridge::Connection& connection) {
  if (metrics == nullptr) return;
  const auto add = [metrics](Direction direction, const bridge::DirectionPlan& plan) {
    metrics->add(Series::kDirections,
                 {index_of(direction), index_of(plan.placement), index_of(plan.reason)});
  };
  add(Direction::kReceived, connection.plan().receive);
  add(Direction::kSent, connection.plan().transmit);
  connection.observe(*metrics);
}

void count_refusal(Metrics* metrics, metrics::Refusal limit) {
  if (metrics != nullptr) metrics->add(Series::kConnectionsRefused, {index_of(limit)});
}

void count_redirect(Metrics* metrics) {
  if (metrics != nullptr) metrics->add(Series::kHttpRedirects);
}

void count_reload(Metrics* metrics, tls::Role role, metrics::ReloadResult result) {
  if (metrics != nullptr) metrics->add(Series::kReloads, {index_of(role), index_of(result)});
}

}  // namespace tools
