// WrapWorker: one thread of `wrap`: a loop, its listeners, and the connections it accepted.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "ktls/base/result.h"
#include "ktls/base/unique_fd.h"
#include "tools/ktls-bridge/wrap_session.h"
#include "userspace/io/loop.h"
#include "userspace/io/scope.h"
#include "userspace/io/task.h"

namespace tools {

// Made and joined by the main thread; everything between happens on its own.
class WrapWorker {
 public:
  // `setting` is borrowed until join(). `max_connections` is this worker's own share.
  // `on_stopped` is called on the worker's thread when its last connection has ended.
  WrapWorker(const WrapSetting& setting, std::unique_ptr<bridge::Loop> loop,
             std::vector<ktls::UniqueFd> listeners, std::size_t max_connections,
             std::function<void()> on_stopped);
  ~WrapWorker();

  // Error: kSystem when no thread can be had.
  [[nodiscard]] ktls::Result<void> start();

  // Thread-safe: accepts no more, lets connections go on until `drain_timeout`, then ends them.
  void drain();

  void join();

  [[nodiscard]] const bridge::Loop& loop() const { return *loop_; }
  // Connections that had to be ended at the deadline; after join().
  [[nodiscard]] std::size_t cut_off() const { return cut_off_; }
  // Whether the loop itself gave up; after join().
  [[nodiscard]] bool failed() const { return failed_; }

 private:
  [[nodiscard]] bridge::Task<void> accept_from(ktls::UniqueFd& listener);
  [[nodiscard]] bridge::Task<void> wait_for_room();
  [[nodiscard]] bridge::Task<void> run_session(ktls::UniqueFd accepted);
  [[nodiscard]] bridge::Task<void> end_at_deadline();
  void warn(const ktls::Error& error) const;
  void begin_drain();
  void stop_when_idle();

  const WrapSetting& setting_;
  std::unique_ptr<bridge::Loop> loop_;
  std::vector<ktls::UniqueFd> listeners_;
  std::size_t max_connections_;
  std::function<void()> on_stopped_;
  bridge::Scope accepting_;
  bridge::Scope draining_;
  std::set<Cancellation*> sessions_;
  std::size_t connections_ = 0;                // sessions, and those that are about to begin
  std::set<bridge::Scope*> waiting_for_room_;  // acceptors asleep until a connection ends
  bool is_draining_ = false;
  std::size_t cut_off_ = 0;
  bool failed_ = false;
  std::thread thread_;
};

}  // namespace tools
