// A page: what is on it, and how it is written.
#include "tools/metrics/page.h"

#include <string>

#include <gtest/gtest.h>

#include "ktls/core/reason.h"
#include "tools/metrics/exposition.h"

namespace metrics {
namespace {

using namespace std::chrono_literals;

bool has_line(const std::string& page, const std::string& line) {
  return page.starts_with(line + "\n") || page.find("\n" + line + "\n") != std::string::npos;
}

std::string page_of(const Metrics& metrics, const std::vector<Certificate>& certificates = {}) {
  return metrics_page(metrics,
                      {.command = "wrap",
                       .version = "1.2",
                       .loop = "epoll",
                       .kernel_tls = true,
                       .rekey = false,
                       .connections_max = 7},
                      certificates);
}

TEST(Exposition, WritesAFamilyWithItsSamples) {
  Exposition page;
  page.begin_family("a_total", "counter", "What it is.");
  page.add_sample({}, std::uint64_t{18'446'744'073'709'551'615U});
  page.add_sample({{"x", "1"}, {"y", "2"}}, 0.25, "_sum");
  EXPECT_EQ(page.take(),
            "# HELP a_total What it is.\n# TYPE a_total counter\n"
            "a_total 18446744073709551615\na_total_sum{x=\"1\",y=\"2\"} 0.25\n");
}

TEST(Exposition, EscapesWhatWouldEndAValue) {
  Exposition page;
  page.add_sample({{"x", "a\"b\\c\nd"}}, std::uint64_t{1});
  EXPECT_EQ(page.take(), "{x=\"a\\\"b\\\\c\\nd\"} 1\n");
}

TEST(Exposition, ReplacesWhatIsNotUtf8) {
  const std::string kReplaced = "\xef\xbf\xbd";
  const auto written = [](const std::string& value) {
    Exposition page;
    page.add_sample({{"x", value}}, std::uint64_t{1});
    const std::string text = page.take();
    return text.substr(4, text.size() - 4 - 5);
  };
  for (const std::string good :
       {"\x7f", "\u00e9", "\u20ac", "\U0001f512", "\ud7ff", "\U0010ffff"}) {
    EXPECT_EQ(written(good), good);
  }
  EXPECT_EQ(written("\xff"), kReplaced);
  EXPECT_EQ(written("a\xc3"), "a" + kReplaced);
  EXPECT_EQ(written("\xc3z"), kReplaced + "z");
  EXPECT_EQ(written("\xc0\xaf"), kReplaced + kReplaced);                  // too long
  EXPECT_EQ(written("\xe0\x80\x80"), kReplaced + kReplaced + kReplaced);  // likewise
  EXPECT_EQ(written("\xed\xa0\x80"), kReplaced + kReplaced + kReplaced);  // surrogate
  EXPECT_EQ(written("\xf4\x90\x80\x80"), kReplaced + kReplaced + kReplaced + kReplaced);  // beyond
}

TEST(MetricsPage, HasZeroForWhatMayOccurAndNothingForWhatHardlyEverDoes) {
  const Metrics metrics;
  const std::string page = page_of(metrics);
  EXPECT_TRUE(has_line(page, "ktls_bridge_connections_accepted_total 0"));
  EXPECT_TRUE(has_line(page, "ktls_bridge_connections_ended_total{ended=\"reset\"} 0"));
  EXPECT_TRUE(has_line(page, "# TYPE ktls_bridge_alerts_total counter"));
  EXPECT_EQ(page.find("ktls_bridge_alerts_total{"), std::string::npos);
}

TEST(MetricsPage, PutsACountUnderItsLabels) {
  Metrics metrics;
  metrics.add(Series::kHandshakes,
              {index_of(tls::Role::kServer), version_index(tls::ProtocolVersion::kTls13), 1});
  metrics.add(Series::kDirections, {index_of(Direction::kSent), index_of(ktls::Placement::kKernel),
                                    index_of(ktls::Reason::kNone)});
  const std::string page = page_of(metrics);
  EXPECT_TRUE(has_line(
      page, R"(ktls_bridge_handshakes_total{role="server",version="TLSv1.3",resumed="yes"} 1)"));
  EXPECT_TRUE(has_line(
      page, R"(ktls_bridge_directions_total{direction="tx",placement="kernel",reason="none"} 1)"));
}

TEST(MetricsPage, AddsBucketsUp) {
  Metrics metrics;
  metrics.add_duration(500us);
  metrics.add_duration(3ms);
  metrics.add_duration(1min);
  const std::string page = page_of(metrics);
  const std::string name = "ktls_bridge_handshake_duration_seconds";
  EXPECT_TRUE(has_line(page, name + "_bucket{le=\"0.001\"} 1"));
  EXPECT_TRUE(has_line(page, name + "_bucket{le=\"0.0025\"} 1"));
  EXPECT_TRUE(has_line(page, name + "_bucket{le=\"0.005\"} 2"));
  EXPECT_TRUE(has_line(page, name + "_bucket{le=\"10\"} 2"));
  EXPECT_TRUE(has_line(page, name + "_bucket{le=\"+Inf\"} 3"));
  EXPECT_TRUE(has_line(page, name + "_count 3"));
  EXPECT_TRUE(has_line(page, name + "_sum 60.0035"));
}

TEST(MetricsPage, TellsOfCertificatesThatAreAlikeOnce) {
  const Metrics metrics;
  const std::string name = "ktls_bridge_certificate_expiry_timestamp_seconds";
  EXPECT_EQ(page_of(metrics).find(name), std::string::npos);
  const std::string page = page_of(
      metrics,
      {{"", "aa", 1'800'000'000}, {"b.test", "bb", -5}, {"", "aa", 1'800'000'000}, {"", "cc", 1}});
  EXPECT_TRUE(has_line(page, name + R"({host="-",sha256="aa"} 1800000000)"));
  EXPECT_TRUE(has_line(page, name + R"({host="b.test",sha256="bb"} 0)"));
  EXPECT_TRUE(has_line(page, name + R"({host="-",sha256="cc"} 1)"));
  EXPECT_EQ(page.find(R"(sha256="aa")"), page.rfind(R"(sha256="aa")"));
}

TEST(MetricsPage, SaysWhatRunsAndWhetherItIsAboutToEnd) {
  Metrics metrics;
  const std::string before = page_of(metrics);
  EXPECT_TRUE(has_line(before,
                       "ktls_bridge_build_info{version=\"1.2\",command=\"wrap\",loop=\"epoll\","
                       "kernel_tls=\"yes\",rekey=\"no\"} 1"));
  EXPECT_TRUE(has_line(before, "ktls_bridge_connections_limit 7"));
  EXPECT_TRUE(has_line(before, "ktls_bridge_draining 0"));
  metrics.begin_draining();
  EXPECT_TRUE(has_line(page_of(metrics), "ktls_bridge_draining 1"));
}

}  // namespace
}  // namespace metrics
