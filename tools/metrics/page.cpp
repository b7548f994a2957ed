// From the table of series, and what is no row of it, to a page.

#include "tools/metrics/page.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "tools/metrics/exposition.h"

namespace metrics {
namespace {

constexpr std::string_view kDuration = "ktls_bridge_handshake_duration_seconds";

// The labels of the cell at `place` of a row.
LabelPairs labels_at(const Row& row, std::size_t place) {
  LabelPairs pairs(row.labels.size());
  for (std::size_t i = row.labels.size(); i-- > 0;) {
    const Label& label = row.labels[i];
    pairs[i] = {label.name, label.values[place % label.values.size()]};
    place /= label.values.size();
  }
  return pairs;
}

void add_row(Exposition& page, const Row& row, const Totals& totals) {
  page.begin_family(row.name, row.kind == Kind::kGauge ? "gauge" : "counter", row.help);
  for (std::size_t place = 0; place < row.size(); ++place) {
    const std::uint64_t count = totals.cells[row.first + place];
    if (count == 0 && row.is_sparse) continue;
    page.add_sample(labels_at(row, place), count);
  }
}

void add_durations(Exposition& page, const Totals& totals) {
  page.begin_family(kDuration, "histogram",
                    "How long handshakes took that were finished, with all waiting for the peer.");
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < totals.buckets.size(); ++i) {
    count += totals.buckets[i];
    const std::string bound =
        i < kDurationBounds.size() ? number_text(kDurationBounds[i]) : std::string("+Inf");
    page.add_sample({{"le", bound}}, count, "_bucket");
  }
  page.add_sample({}, totals.seconds, "_sum");
  page.add_sample({}, count, "_count");
}

void add_certificates(Exposition& page, const std::vector<Certificate>& certificates) {
  if (certificates.empty()) return;
  page.begin_family("ktls_bridge_certificate_expiry_timestamp_seconds", "gauge",
                    "Until when a certificate that is shown is valid, in seconds since 1970.");
  std::set<std::pair<std::string_view, std::string_view>> told;
  for (const Certificate& each : certificates) {
    const std::string_view host = each.host.empty() ? "-" : std::string_view(each.host);
    if (!told.emplace(host, each.sha256).second) continue;
    page.add_sample({{"host", host}, {"sha256", each.sha256}},
                    static_cast<std::uint64_t>(std::max<std::int64_t>(each.not_after, 0)));
  }
}

void add_facts(Exposition& page, const Metrics& metrics, const ServiceFacts& facts) {
  const auto yes_no = [](bool yes) { return yes ? std::string_view("yes") : "no"; };
  page.begin_family("ktls_bridge_build_info", "gauge",
                    "Always 1: what runs, and what this kernel does for it.");
  page.add_sample({{"version", facts.version},
                   {"command", facts.command},
                   {"loop", facts.loop},
                   {"kernel_tls", yes_no(facts.kernel_tls)},
                   {"rekey", yes_no(facts.rekey)}},
                  std::uint64_t{1});
  page.begin_family("ktls_bridge_connections_limit", "gauge",
                    "Connections that there may be at once: --max-connections.");
  page.add_sample({}, std::uint64_t{facts.connections_max});
  page.begin_family("ktls_bridge_draining", "gauge",
                    "1 from the signal on after which nothing new is accepted.");
  page.add_sample({}, std::uint64_t{metrics.is_draining() ? 1U : 0U});
  page.begin_family("process_start_time_seconds", "gauge",
                    "When the service began, in seconds since 1970.");
  const std::chrono::duration<double> started = metrics.started().time_since_epoch();
  page.add_sample({}, started.count());
}

}  // namespace

std::string metrics_page(const Metrics& metrics, const ServiceFacts& facts,
                         const std::vector<Certificate>& certificates) {
  Exposition page;
  const Totals totals = metrics.totals();
  for (const Row& row : rows()) add_row(page, row, totals);
  add_durations(page, totals);
  add_certificates(page, certificates);
  add_facts(page, metrics, facts);
  return page.take();
}

}  // namespace metrics
