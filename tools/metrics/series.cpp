// The table of what is counted.

#include "tools/metrics/series.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "ktls/core/reason.h"

namespace metrics {
namespace {

using Values = std::vector<std::string_view>;

constexpr std::array kVersions = {tls::ProtocolVersion::kTls12, tls::ProtocolVersion::kTls13};
constexpr std::string_view kOther = "other";
constexpr std::size_t kAlertCodes = 256;

Values alert_values() {
  Values values = {"none"};
  for (std::size_t code = 0; code < kAlertCodes; ++code) {
    const auto name = tls::name_of(static_cast<tls::AlertDescription>(code));
    if (name != "unknown") values.push_back(name);
  }
  values.emplace_back("unknown");
  return values;
}

Values reason_values() {
  Values values;
  for (const ktls::ReasonText& text : ktls::reason_texts()) values.push_back(text.code);
  return values;
}

Values version_values() {
  Values values;
  for (const tls::ProtocolVersion version : kVersions) values.push_back(tls::name_of(version));
  values.push_back(kOther);
  return values;
}

Values suite_values() {
  Values values;
  for (const tls::CipherSuite& suite : tls::cipher_suites()) values.push_back(suite.name);
  values.push_back(kOther);
  return values;
}

Values placement_values() {
  return {name_of(ktls::Placement::kUserspace), name_of(ktls::Placement::kKernel),
          name_of(ktls::Placement::kNic)};
}

const Values& ended_values() {
  static const Values values = {"clean",     "truncated",  "reset",     "timeout", "alert",
                                "cancelled", "error",      "handshake", "refused", "unreachable",
                                "unclaimed", "handed_out", kOther};
  return values;
}

Label role() {
  return {"role", {"client", "server"}};
}
Label directions() {
  return {"direction", {"received", "sent"}};
}

std::vector<Row> connection_rows() {
  return {
      {Series::kConnectionsAccepted,
       "ktls_bridge_connections_accepted_total",
       Kind::kCounter,
       "Connections that were accepted and had a place.",
       {}},
      {Series::kConnectionsRefused,
       "ktls_bridge_connections_refused_total",
       Kind::kCounter,
       "Connections that were turned away before their handshake.",
       {{"reason", {"max_per_address", "max_handshakes_per_address", "proxy_header"}}}},
      {Series::kConnections,
       "ktls_bridge_connections",
       Kind::kGauge,
       "Connections at present, from the moment that they are accepted.",
       {}},
      {Series::kConnectionsEnded,
       "ktls_bridge_connections_ended_total",
       Kind::kCounter,
       "Connections that ended, by the word that their line in the log has for it.",
       {{"ended", ended_values()}}},
      {Series::kConnectionsEndedBy,
       "ktls_bridge_connections_ended_by_reason_total",
       Kind::kCounter,
       "Connections that a reason code ended.",
       {{"reason", reason_values()}},
       true},
  };
}

std::vector<Row> handshake_rows() {
  return {
      {Series::kHandshakesUnderWay,
       "ktls_bridge_handshakes_under_way",
       Kind::kGauge,
       "Handshakes that have begun and not ended.",
       {role()}},
      {Series::kHandshakes,
       "ktls_bridge_handshakes_total",
       Kind::kCounter,
       "Handshakes that were finished.",
       {role(), {"version", version_values()}, {"resumed", {"no", "yes"}}}},
      {Series::kHandshakeSuites,
       "ktls_bridge_handshakes_by_suite_total",
       Kind::kCounter,
       "Handshakes that were finished, by cipher suite.",
       {{"suite", suite_values()}},
       true},
      {Series::kHandshakeFailures,
       "ktls_bridge_handshake_failures_total",
       Kind::kCounter,
       "Handshakes that failed, and the alert that was sent or received.",
       {role(),
        {"reason",
         {"alert_sent", "alert_received", "verify_failed", "closed", "reset", "timeout",
          "cancelled", "error"}},
        {"alert", alert_values()}},
       true},
      {Series::kDirections,
       "ktls_bridge_directions_total",
       Kind::kCounter,
       "Directions of connections by where they were placed, and why not in the kernel.",
       {{"direction", {"rx", "tx"}},
        {"placement", placement_values()},
        {"reason", reason_values()}},
       true},
  };
}

std::vector<Row> traffic_rows() {
  return {
      {Series::kPlaintextBytes,
       "ktls_bridge_plaintext_bytes_total",
       Kind::kCounter,
       "Bytes of plaintext from and to TLS peers, added when a connection ends.",
       {directions()}},
      {Series::kAlerts,
       "ktls_bridge_alerts_total",
       Kind::kCounter,
       "Alerts, close_notify among them.",
       {directions(), {"alert", alert_values()}},
       true},
      {Series::kKeyUpdates,
       "ktls_bridge_key_updates_total",
       Kind::kCounter,
       "KeyUpdates that were sent, and those of peers that were followed.",
       {directions()}},
      {Series::kKeyUpdateWaits,
       "ktls_bridge_key_update_waits_total",
       Kind::kCounter,
       "KeyUpdates before which sending had to wait, added when a connection ends.",
       {}},
      {Series::kHttpRequests,
       "ktls_bridge_http_requests_total",
       Kind::kCounter,
       "Requests that serve was sent over TLS, added when a connection ends.",
       {}},
      {Series::kHttpRedirects,
       "ktls_bridge_http_redirects_total",
       Kind::kCounter,
       "Connections of plain HTTP that serve had a place for.",
       {}},
      {Series::kReloads,
       "ktls_bridge_reloads_total",
       Kind::kCounter,
       "Times that files were to be read again; nothing: there were none.",
       {role(), {"result", {"ok", "failed", "nothing"}}}},
  };
}

std::vector<Row> make_rows() {
  std::vector<Row> all;
  for (auto* const part : {&connection_rows, &handshake_rows, &traffic_rows}) {
    for (Row& row : (*part)()) {
      row.first = all.empty() ? 0 : all.back().first + all.back().size();
      all.push_back(std::move(row));
    }
  }
  return all;
}

const std::vector<Row>& table() {
  static const std::vector<Row> rows = make_rows();
  return rows;
}

// The index of `value` among the values of a label, or that of the last one.
std::size_t place_of(std::string_view value, const Values& values) {
  const auto found = std::ranges::find(values, value);
  const auto index = static_cast<std::size_t>(found - values.begin());
  return std::min(index, values.size() - 1);
}

std::array<std::uint8_t, kAlertCodes> make_alert_indices() {
  const Values values = alert_values();
  std::array<std::uint8_t, kAlertCodes> indices{};
  for (std::size_t code = 0; code < kAlertCodes; ++code) {
    const auto name = tls::name_of(static_cast<tls::AlertDescription>(code));
    indices[code] = static_cast<std::uint8_t>(place_of(name, values));
  }
  return indices;
}

bool has_alert(const ktls::Error& error) {
  return error.alert != ktls::Error::kNoAlert;
}

}  // namespace

std::size_t Row::size() const {
  std::size_t size = 1;
  for (const Label& label : labels) size *= label.values.size();
  return size;
}

std::span<const Row> rows() {
  return table();
}

const Row& row_of(Series series) {
  return table()[index_of(series)];
}

std::size_t cell_count() {
  const Row& last = table().back();
  return last.first + last.size();
}

std::size_t ended_index(std::string_view ended) {
  return place_of(ended, ended_values());
}

std::size_t reason_index(std::string_view code) {
  if (code.empty()) return index_of(ktls::Reason::kNone);
  static const Values values = reason_values();
  return place_of(code, values);
}

std::size_t alert_index(tls::AlertDescription alert) {
  static const std::array<std::uint8_t, kAlertCodes> indices = make_alert_indices();
  return indices[tls::code_of(alert)];
}

std::size_t version_index(tls::ProtocolVersion version) {
  return static_cast<std::size_t>(std::ranges::find(kVersions, version) - kVersions.begin());
}

std::size_t suite_index(const tls::CipherSuite& suite) {
  const auto suites = tls::cipher_suites();
  const auto found = std::ranges::lower_bound(suites, suite.id, {}, &tls::CipherSuite::id);
  const bool is_there = found != suites.end() && found->id == suite.id;
  return is_there ? static_cast<std::size_t>(found - suites.begin()) : suites.size();
}

Failure failure_of(const ktls::Error& error) {
  switch (error.code) {
    case ktls::ErrorCode::kPeerAlert:
      return Failure::kAlertReceived;
    case ktls::ErrorCode::kVerifyFailed:
      return Failure::kVerifyFailed;
    case ktls::ErrorCode::kEndOfStream:
      return Failure::kClosed;
    case ktls::ErrorCode::kTimeout:
      return Failure::kTimeout;
    case ktls::ErrorCode::kCancelled:
      return Failure::kCancelled;
    case ktls::ErrorCode::kSystem:
      return error.sys_errno == ECONNRESET || error.sys_errno == EPIPE ? Failure::kReset
                                                                       : Failure::kError;
    default:
      return has_alert(error) ? Failure::kAlertSent : Failure::kError;
  }
}

}  // namespace metrics
