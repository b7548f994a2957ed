// Worker: one thread of a service: a loop, its listeners, and the connections it accepted.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "ktls/base/result.h"
#include "ktls/base/unique_fd.h"
#include "tools/common/log.h"
#include "tools/ktls-bridge/phase.h"
#include "userspace/io/loop.h"
#include "userspace/io/scope.h"
#include "userspace/io/task.h"

namespace tools {

// The story of one connection, from the accepted descriptor to its end; called and run on the
// loop's thread. The callable lives as long as the tasks that it made.
using Serve =
    std::function<bridge::Task<void>(bridge::Loop&, Cancellation&, ktls::UniqueFd accepted)>;

struct Listener {
  ktls::UniqueFd socket;
  Serve serve;
};

// What holds for all connections of one worker.
//   max_connections  this worker's own share; more wait in the listen queue
//   drain_timeout    how long connections may go on after drain()
struct WorkerLimits {
  std::size_t max_connections;
  std::chrono::milliseconds drain_timeout;
};

// Made and joined by the main thread; everything between happens on its own.
class Worker {
 public:
  // `log` is borrowed until join(). `on_stopped` is called on the worker's thread when its last
  // connection has ended.
  Worker(const Log& log, std::unique_ptr<bridge::Loop> loop, std::vector<Listener> listeners,
         const WorkerLimits& limits, std::function<void()> on_stopped);
  ~Worker();

  // Error: kSystem when no thread can be had.
  [[nodiscard]] ktls::Result<void> start();

  // Thread-safe: accepts no more, lets connections go on until the drain timeout, then ends them.
  void drain();

  // Whether the loop has come round since the last call, which asked it to say so; the first one
  // answers false. By one thread.
  [[nodiscard]] bool take_turn();
  // Whether its last connection has ended, or the loop itself has. Thread-safe.
  [[nodiscard]] bool has_ended() const { return has_ended_; }

  void join();

  [[nodiscard]] const bridge::Loop& loop() const { return *loop_; }
  // Connections that had to be ended at the deadline; after join().
  [[nodiscard]] std::size_t cut_off() const { return cut_off_; }
  // Whether the loop itself gave up; after join().
  [[nodiscard]] bool failed() const { return failed_; }

 private:
  [[nodiscard]] bridge::Task<void> accept_from(Listener& listener);
  [[nodiscard]] bridge::Task<void> wait_for_room();
  [[nodiscard]] bridge::Task<void> run_session(const Serve& serve, ktls::UniqueFd accepted);
  [[nodiscard]] bridge::Task<void> end_at_deadline();
  void warn(const ktls::Error& error) const;
  void begin_drain();
  void stop_when_idle();

  const Log& log_;
  std::unique_ptr<bridge::Loop> loop_;
  std::vector<Listener> listeners_;
  WorkerLimits limits_;
  std::function<void()> on_stopped_;
  bridge::Scope accepting_;
  bridge::Scope draining_;
  std::set<Cancellation*> sessions_;
  std::size_t connections_ = 0;                // sessions, and those that are about to begin
  std::set<bridge::Scope*> waiting_for_room_;  // acceptors asleep until a connection ends
  bool is_draining_ = false;
  std::size_t cut_off_ = 0;
  bool failed_ = false;
  bool is_turn_asked_ = false;  // the caller of take_turn() alone
  std::atomic<bool> has_turned_ = false;
  std::atomic<bool> has_ended_ = false;
  std::thread thread_;
};

}  // namespace tools
