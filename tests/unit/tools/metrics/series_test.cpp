// The table of what is counted: its rows stand by themselves, and every value has a place.
#include "tools/metrics/series.h"

#include <algorithm>
#include <cerrno>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "ktls/core/reason.h"
#include "userspace/bridge/relay.h"

namespace metrics {
namespace {

using ktls::Error;
using ktls::ErrorCode;

const std::vector<std::string_view>& values_of(Series series, std::string_view label) {
  const Row& row = row_of(series);
  const auto found = std::ranges::find(row.labels, label, &Label::name);
  return found->values;
}

TEST(Series, HaveARowEachInTheirOrder) {
  ASSERT_EQ(rows().size(), kSeriesCount);
  for (std::size_t i = 0; i < rows().size(); ++i) EXPECT_EQ(index_of(rows()[i].series), i);
}

TEST(Series, HaveCellsOfTheirOwn) {
  std::size_t next = 0;
  for (const Row& row : rows()) {
    EXPECT_EQ(row.first, next) << row.name;
    next += row.size();
  }
  EXPECT_EQ(next, cell_count());
}

// What `promtool check metrics` asks of names, and that no label has a value twice.
TEST(Series, AreNamedAsTheirReadersExpect) {
  std::set<std::string_view> names;
  for (const Row& row : rows()) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_TRUE(row.name.starts_with("ktls_bridge_")) << row.name;
    EXPECT_EQ(row.name.ends_with("_total"), row.kind == Kind::kCounter) << row.name;
    EXPECT_TRUE(row.help.ends_with(".")) << row.name;
    for (const Label& label : row.labels) {
      const std::set<std::string_view> values(label.values.begin(), label.values.end());
      EXPECT_EQ(values.size(), label.values.size()) << row.name << " " << label.name;
      EXPECT_FALSE(values.contains("")) << row.name << " " << label.name;
    }
  }
}

TEST(Series, KnowEveryEndingReasonAlertVersionAndSuite) {
  const auto& endings = values_of(Series::kConnectionsEnded, "ended");
  for (int i = 0; i <= static_cast<int>(bridge::Ending::kError); ++i) {
    const auto word = bridge::name_of(static_cast<bridge::Ending>(i));
    EXPECT_EQ(endings[ended_index(word)], word);
  }
  const auto& reasons = values_of(Series::kDirections, "reason");
  for (const ktls::ReasonText& text : ktls::reason_texts()) {
    EXPECT_EQ(reasons[reason_index(text.code)], text.code);
    EXPECT_EQ(reason_index(text.code), index_of(text.reason)) << text.code;
  }
  const auto& alerts = values_of(Series::kAlerts, "alert");
  for (int code = 0; code < 256; ++code) {
    const auto alert = static_cast<tls::AlertDescription>(code);
    EXPECT_EQ(alerts[alert_index(alert)], tls::name_of(alert)) << code;
  }
  const auto& versions = values_of(Series::kHandshakes, "version");
  for (const auto version : {tls::ProtocolVersion::kTls12, tls::ProtocolVersion::kTls13}) {
    EXPECT_EQ(versions[version_index(version)], tls::name_of(version));
  }
  const auto& suites = values_of(Series::kHandshakeSuites, "suite");
  for (const tls::CipherSuite& suite : tls::cipher_suites()) {
    EXPECT_EQ(suites[suite_index(suite)], suite.name);
  }
  EXPECT_EQ(values_of(Series::kDirections, "placement")[index_of(ktls::Placement::kNic)], "nic");
  EXPECT_EQ(values_of(Series::kReloads, "role")[index_of(tls::Role::kServer)], "server");
}

TEST(Series, HaveOnePlaceForAllThatTheyDoNotKnow) {
  const auto& endings = values_of(Series::kConnectionsEnded, "ended");
  EXPECT_EQ(endings[ended_index("a word that a peer chose")], "other");
  EXPECT_EQ(ended_index(""), endings.size() - 1);
  EXPECT_EQ(values_of(Series::kHandshakes, "version")[version_index(tls::ProtocolVersion::kSsl3)],
            "other");
  EXPECT_EQ(values_of(Series::kHandshakeSuites, "suite")[suite_index(tls::null_cipher_suite())],
            "other");
  EXPECT_EQ(reason_index(""), index_of(ktls::Reason::kNone));
}

TEST(Series, TellHowAHandshakeFailed) {
  const auto& names = values_of(Series::kHandshakeFailures, "reason");
  const auto name = [&names](const Error& error) { return names[index_of(failure_of(error))]; };
  constexpr std::uint8_t kAlert = 40;
  EXPECT_EQ(name(Error::alerting(ErrorCode::kPeerAlert, kAlert, "")), "alert_received");
  EXPECT_EQ(name(Error::alerting(ErrorCode::kVerifyFailed, kAlert, "")), "verify_failed");
  EXPECT_EQ(name(Error::alerting(ErrorCode::kHandshakeFailed, kAlert, "")), "alert_sent");
  EXPECT_EQ(name(Error::of(ErrorCode::kHandshakeFailed, "")), "error");
  EXPECT_EQ(name(Error::of(ErrorCode::kEndOfStream, "")), "closed");
  EXPECT_EQ(name(Error::of(ErrorCode::kTimeout, "")), "timeout");
  EXPECT_EQ(name(Error::of(ErrorCode::kCancelled, "")), "cancelled");
  EXPECT_EQ(name(Error::system(ECONNRESET, "")), "reset");
  EXPECT_EQ(name(Error::system(EPIPE, "")), "reset");
  EXPECT_EQ(name(Error::system(EMFILE, "")), "error");
}

}  // namespace
}  // namespace metrics
