// Metrics: the counts of one service, each thread's in cells of its own.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "tools/metrics/series.h"
#include "userspace/bridge/connection_observer.h"

namespace metrics {

// From a local connection that resumes a session, to a peer that is about to be given up.
inline constexpr std::array kDurationBounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                               0.25,  0.5,    1.0,   2.5,  5.0,   10.0};

// What all threads came to.
//   buckets  handshakes that took as long as a bound, and longer than the one before; those that
//            took longer than all of them are the last
struct Totals {
  std::vector<std::uint64_t> cells;  // see Row::first
  std::array<std::uint64_t, kDurationBounds.size() + 1> buckets{};
  double seconds = 0;  // of all handshakes that are in the buckets

  [[nodiscard]] std::uint64_t of(Series series, std::initializer_list<std::size_t> labels) const;
};

// Whoever counts takes no lock and shares no cache line: its thread's cells are written by nobody
// else, and added up when somebody asks. Only its first count takes a lock, to be given them.
class Metrics final : public bridge::ConnectionObserver {
 public:
  Metrics();
  ~Metrics() override;
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // `labels`: the index of a value for each label of the row.
  void add(Series series, std::initializer_list<std::size_t> labels = {}, std::uint64_t count = 1);
  // Of a gauge, on the thread that added it.
  void subtract(Series series, std::initializer_list<std::size_t> labels = {});
  // Of a handshake that was finished.
  void add_duration(std::chrono::nanoseconds duration);

  // Anything that other threads count meanwhile may be in it or not.
  [[nodiscard]] Totals totals() const;

  // Nothing new is accepted from now on.
  void begin_draining() { is_draining_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool is_draining() const { return is_draining_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::chrono::system_clock::time_point started() const { return started_; }

  void alert_sent(tls::AlertDescription alert) override;
  void alert_received(tls::AlertDescription alert) override;
  void key_update_sent() override;
  void key_update_received() override;

 private:
  class Cells;

  [[nodiscard]] Cells& here();

  const std::uint64_t number_;  // no other has it, so that a thread knows whose its cells are
  const std::chrono::system_clock::time_point started_ = std::chrono::system_clock::now();
  std::atomic<bool> is_draining_{false};
  mutable std::mutex mutex_;
  std::map<std::thread::id, std::unique_ptr<Cells>> cells_;
};

}  // namespace metrics
