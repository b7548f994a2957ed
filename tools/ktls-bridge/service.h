// Service: what every subcommand that listens has in common: sockets, workers, signals, and the
// lines that say so.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ktls/base/unique_fd.h"
#include "ktls/core/capability.h"
#include "tools/common/log.h"
#include "tools/ktls-bridge/complaint.h"
#include "tools/ktls-bridge/listeners.h"
#include "tools/ktls-bridge/service_flags.h"
#include "tools/ktls-bridge/signals.h"
#include "tools/ktls-bridge/worker.h"
#include "tools/supervision/inherited_sockets.h"
#include "tools/supervision/supervisor.h"
#include "tools/supervision/ticker.h"

namespace tools {

// Addresses whose connections are served alike.
struct Endpoint {
  std::vector<Address> addresses;
  Serve serve;
};

// Used on the main thread, its functions in the order in which they stand here. What `serve`
// borrows must outlive it.
class Service {
 public:
  // `options` and `log` are borrowed. Takes what is for this process out of the environment: the
  // variables of sd_listen_fds(3) and sd_notify(3).
  Service(const ServiceOptions& options, const Log& log, Signals signals);
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;
  // What was started and not run to its end is ended.
  ~Service();

  // For --check, in place of all that follows: whether open() could do its work, beside a service
  // that runs; a line says which addresses are in use.
  [[nodiscard]] std::optional<Complaint> check(std::string_view command,
                                               const std::vector<Endpoint>& endpoints);

  // Binds all addresses and makes the workers; nothing is accepted yet.
  [[nodiscard]] std::optional<Complaint> open(const std::vector<Endpoint>& endpoints);

  // "127.0.0.1:8443": each address of the endpoint of that number once, with the port that it got,
  // in the order given.
  [[nodiscard]] std::span<const std::string> addresses_of(std::size_t endpoint) const;

  // Lines `limits`, if there are too few descriptors, `inherited`, if nobody listens on a socket
  // that was, and `listening`.
  void announce_addresses() const;
  // Line `ready`.
  void announce_ready(const ktls::Capability& capability) const;

  // Of its connections: each worker has one of this kind.
  [[nodiscard]] const bridge::Loop& loop() const { return workers_.front()->loop(); }

  // From here on whoever has started us knows that we are ready.
  [[nodiscard]] std::optional<Complaint> start();

  // Has `tell` called when a signal begins the end, before anything is closed.
  void on_drain(std::function<void()> tell) { on_drain_ = std::move(tell); }
  // And when a second one ends it at once: what would be left behind is to go.
  void on_exit(std::function<void()> tell) { on_exit_ = std::move(tell); }

  // Until a signal ends it and every connection has ended; answers the exit code. SIGTERM and
  // SIGINT drain, a second one exits at once; for SIGHUP, also for one that came before,
  // `reload` is called.
  [[nodiscard]] int run(const std::function<void()>& reload);

 private:
  [[nodiscard]] std::optional<Complaint> add_worker(std::vector<Listener> listeners);
  void warn_of_descriptor_limit() const;
  void act_on(int signal, const std::function<void()>& reload);
  void take_turns();
  void drain();
  [[nodiscard]] int join();

  const ServiceOptions& options_;
  const Log& log_;
  Signals signals_;
  ktls::UniqueFd stopped_;  // eventfd: workers that have ended since it was read
  Supervisor supervisor_;
  Ticker ping_;
  InheritedSockets inherited_;
  SocketFiles socket_files_;
  std::vector<std::string> listening_;
  std::vector<std::size_t> endpoint_ends_;  // in `listening_`
  bool is_draining_ = false;
  std::function<void()> on_drain_ = [] {};
  std::function<void()> on_exit_ = [] {};
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace tools
