// What connections, handshakes and reloads tell of themselves to be counted. Each is nothing where
// nobody counts, and `metrics` is null.
#pragma once

#include <chrono>

#include "ktls/base/result.h"
#include "tools/ktls-bridge/connection_log.h"
#include "tools/metrics/metrics.h"
#include "userspace/bridge/connection.h"
#include "userspace/handshake/negotiated.h"
#include "userspace/suite/version.h"

namespace tools {

// A place that a connection takes, from its acceptance until it is gone, on one thread.
class CountedPlace {
 public:
  explicit CountedPlace(metrics::Metrics* metrics);
  CountedPlace(const CountedPlace&) = delete;
  CountedPlace& operator=(const CountedPlace&) = delete;
  ~CountedPlace();

 private:
  metrics::Metrics* metrics_;
};

// One connection that is served, until its end, on one thread.
class CountedConnection {
 public:
  explicit CountedConnection(metrics::Metrics* metrics);
  CountedConnection(const CountedConnection&) = delete;
  CountedConnection& operator=(const CountedConnection&) = delete;

  // With what its line says, once that is whole.
  void end(const ConnectionLog& line) const;

 private:
  metrics::Metrics* metrics_;
};

// One handshake, which fails unless it says otherwise, on one thread.
class CountedHandshake {
 public:
  CountedHandshake(metrics::Metrics* metrics, tls::Role role);
  CountedHandshake(const CountedHandshake&) = delete;
  CountedHandshake& operator=(const CountedHandshake&) = delete;
  ~CountedHandshake();

  void finish(const tls::Negotiated& negotiated) const;
  void fail(const ktls::Error& error) const;

 private:
  metrics::Metrics* metrics_;
  tls::Role role_;
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

// Both directions as they came out, and what is said and heard from now on.
void count_from_now(metrics::Metrics* metrics, bridge::Connection& connection);

void count_refusal(metrics::Metrics* metrics, metrics::Refusal limit);
void count_redirect(metrics::Metrics* metrics);
void count_reload(metrics::Metrics* metrics, tls::Role role, metrics::ReloadResult result);

}  // namespace tools
