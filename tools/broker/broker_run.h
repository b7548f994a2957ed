// BrokerRun: one broker at work, but for how programs find it and what signals do.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "ktls/base/result.h"
#include "tools/broker/broker_options.h"
#include "tools/broker/broker_state.h"
#include "tools/common/log.h"
#include "tools/ktls-bridge/complaint.h"
#include "tools/ktls-bridge/tls_setting.h"
#include "userspace/io/loop.h"
#include "userspace/io/task.h"

namespace tools {

// Made on the thread that calls run(), on which everything happens.
class BrokerRun {
 public:
  // `options` and `log` are borrowed.
  BrokerRun(const BrokerOptions& options, const Log& log);
  BrokerRun(const BrokerRun&) = delete;
  BrokerRun& operator=(const BrokerRun&) = delete;

  // First of all: reads certificates, tries what the kernel can do, and makes the loop.
  [[nodiscard]] std::optional<Complaint> prepare();

  // As TlsSetting::count_in(), for both roles.
  void count_in(metrics::Metrics* counts) {
    as_server_.count_in(counts);
    as_client_.count_in(counts);
  }

  [[nodiscard]] const bridge::Loop& loop() const { return *loop_; }
  [[nodiscard]] BrokerState& state() { return *state_; }
  [[nodiscard]] const TlsSetting& as_server() const { return as_server_; }
  [[nodiscard]] const TlsSetting& as_client() const { return as_client_; }

  // Until drain() has come to its end; what state().loop was given is run meanwhile. Error:
  // kSystem.
  [[nodiscard]] ktls::Result<void> run();
  // Takes on nothing new, and ends when what it has to do has ended, or --drain-timeout is over.
  void drain();
  // Reads the files of certificates again.
  void reload();
  // Somebody cannot wait for the end.
  [[noreturn]] void exit_at_once(int signal) const;

 private:
  [[nodiscard]] BrokerLimits find_limits() const;
  [[nodiscard]] bridge::Task<void> end_sessions();
  // Until there are none, or `scope` ends.
  [[nodiscard]] bridge::Task<void> await_sessions(bridge::Scope& scope);

  const BrokerOptions& options_;
  const Log& log_;
  TlsOptions client_options_;  // without what is for servers
  TlsSetting as_server_;
  TlsSetting as_client_;
  std::unique_ptr<bridge::Loop> loop_;
  std::optional<BrokerState> state_;
  std::size_t cut_off_ = 0;
};

}  // namespace tools
