// Counting by many threads, and adding up meanwhile.
#include "tools/metrics/metrics.h"

#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace metrics {
namespace {

using namespace std::chrono_literals;

TEST(Metrics, LoseNothingThatManyThreadsCountAtOnce) {
  constexpr int kThreads = 4;
  constexpr std::uint64_t kEach = 20'000;
  Metrics metrics;
  std::atomic<bool> is_over{false};
  std::thread reader([&] {
    std::uint64_t before = 0;
    while (!is_over) {
      const std::uint64_t now = metrics.totals().of(Series::kConnectionsAccepted, {});
      EXPECT_GE(now, before);
      EXPECT_LE(now, kThreads * kEach);
      before = now;
    }
  });
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&metrics] {
      for (std::uint64_t n = 0; n < kEach; ++n) {
        metrics.add(Series::kConnectionsAccepted);
        metrics.add(Series::kConnections);
        metrics.add(Series::kPlaintextBytes, {index_of(Direction::kSent)}, n);
        metrics.subtract(Series::kConnections);
      }
    });
  }
  for (std::thread& each : threads) each.join();
  is_over = true;
  reader.join();
  const Totals totals = metrics.totals();
  EXPECT_EQ(totals.of(Series::kConnectionsAccepted, {}), kThreads * kEach);
  EXPECT_EQ(totals.of(Series::kConnections, {}), 0U);
  EXPECT_EQ(totals.of(Series::kPlaintextBytes, {index_of(Direction::kSent)}),
            kThreads * (kEach * (kEach - 1) / 2));
  EXPECT_EQ(totals.of(Series::kPlaintextBytes, {index_of(Direction::kReceived)}), 0U);
}

TEST(Metrics, OfTwoServicesAreKeptApartOnOneThread) {
  Metrics one;
  Metrics two;
  for (int i = 0; i < 3; ++i) {
    one.add(Series::kHttpRequests);
    two.add(Series::kHttpRequests, {}, 10);
  }
  EXPECT_EQ(one.totals().of(Series::kHttpRequests, {}), 3U);
  EXPECT_EQ(two.totals().of(Series::kHttpRequests, {}), 30U);
}

TEST(Metrics, DoNotTakeTheCountsOfAServiceThatIsGone) {
  { Metrics().add(Series::kHttpRequests); }
  Metrics next;
  EXPECT_EQ(next.totals().of(Series::kHttpRequests, {}), 0U);
  next.add(Series::kHttpRequests);
  EXPECT_EQ(next.totals().of(Series::kHttpRequests, {}), 1U);
}

TEST(Metrics, HaveAPlaceForEveryCombinationOfLabels) {
  Metrics metrics;
  std::uint64_t count = 0;
  for (std::size_t direction = 0; direction < 2; ++direction) {
    for (std::size_t placement = 0; placement < 3; ++placement) {
      for (std::size_t reason = 0; reason < 3; ++reason) {
        metrics.add(Series::kDirections, {direction, placement, reason}, ++count);
      }
    }
  }
  const Totals totals = metrics.totals();
  count = 0;
  for (std::size_t direction = 0; direction < 2; ++direction) {
    for (std::size_t placement = 0; placement < 3; ++placement) {
      for (std::size_t reason = 0; reason < 3; ++reason) {
        EXPECT_EQ(totals.of(Series::kDirections, {direction, placement, reason}), ++count);
      }
    }
  }
}

TEST(Metrics, PutADurationInTheBucketOfTheFirstBoundThatItDoesNotExceed) {
  Metrics metrics;
  metrics.add_duration(0ns);
  metrics.add_duration(1ms);
  metrics.add_duration(1001us);
  metrics.add_duration(10s);
  metrics.add_duration(1h);
  const Totals totals = metrics.totals();
  EXPECT_EQ(totals.buckets[0], 2U);
  EXPECT_EQ(totals.buckets[1], 1U);
  EXPECT_EQ(totals.buckets[kDurationBounds.size() - 1], 1U);
  EXPECT_EQ(totals.buckets.back(), 1U);
  EXPECT_NEAR(totals.seconds, 3610.002001, 1e-6);
}

TEST(Metrics, HearWhatAConnectionTells) {
  Metrics metrics;
  constexpr auto kAlert = tls::AlertDescription::kUnknownCa;
  metrics.alert_sent(kAlert);
  metrics.alert_received(kAlert);
  metrics.alert_received(kAlert);
  metrics.alert_received(static_cast<tls::AlertDescription>(255));
  metrics.key_update_sent();
  metrics.key_update_received();
  metrics.key_update_received();
  const Totals totals = metrics.totals();
  EXPECT_EQ(totals.of(Series::kAlerts, {index_of(Direction::kSent), alert_index(kAlert)}), 1U);
  EXPECT_EQ(totals.of(Series::kAlerts, {index_of(Direction::kReceived), alert_index(kAlert)}), 2U);
  const std::size_t unknown = row_of(Series::kAlerts).labels[1].values.size() - 1;
  EXPECT_EQ(totals.of(Series::kAlerts, {index_of(Direction::kReceived), unknown}), 1U);
  EXPECT_EQ(totals.of(Series::kKeyUpdates, {index_of(Direction::kSent)}), 1U);
  EXPECT_EQ(totals.of(Series::kKeyUpdates, {index_of(Direction::kReceived)}), 2U);
}

}  // namespace
}  // namespace metrics
