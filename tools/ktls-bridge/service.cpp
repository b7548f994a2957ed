// The life of a service: bind, announce, serve, drain.

#include "tools/ktls-bridge/service.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <utility>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tools/ktls-bridge/announcement.h"
#include "tools/ktls-bridge/start_gate.h"
#include "tools/ktls-bridge/supervision.h"
#include "userspace/broker/holders.h"

namespace tools {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::UniqueFd;

constexpr std::size_t kDescriptorsBesides = 64;
// Wire that was received and plaintext that is going out, what is read ahead of it, and the records
// that it goes out in. With as many as that for each, and what a ring has on offer to the kernel
// besides, nobody who holds a buffer waits for one that another holds.
constexpr std::size_t kBuffersPerConnection = 4;
constexpr std::size_t kBuffersOnOffer = 16;

Complaint complaint_of_listening(const Error& error) {
  switch (error.code) {
    case ErrorCode::kInvalidArgument:
      return {kExitNoHost, error.message()};
    case ErrorCode::kUnsupported:
      return {kExitUnavailable, "--listen: " + error.detail};
    default:
      return {kExitOsError, error.message()};
  }
}

}  // namespace

Service::Service(const ServiceOptions& options, const Log& log, Signals signals)
    : options_(options),
      log_(log),
      signals_(std::move(signals)),
      stopped_(::eventfd(0, EFD_CLOEXEC)),
      supervisor_(supervisor_of(log)),
      inherited_(InheritedSockets::from_environment()) {
  raise_descriptor_limit();
}

Service::~Service() {
  for (const auto& worker : workers_) worker->drain();
}

std::optional<Complaint> Service::open(const std::vector<Endpoint>& endpoints) {
  if (!stopped_) return Complaint{kExitOsError, Error::system(errno, "eventfd").message()};
  if (auto failed = take_ready_descriptor(options_, supervisor_)) return failed;
  std::vector<std::vector<Listener>> per_thread(options_.threads);
  for (const Endpoint& endpoint : endpoints) {
    auto made = make_listeners(endpoint.addresses, options_.threads, socket_files_, inherited_);
    if (!made) return complaint_of_listening(made.error());
    for (const UniqueFd& each : made->front()) listening_.push_back(local_text(each.get()));
    endpoint_ends_.push_back(listening_.size());
    for (std::size_t i = 0; i < per_thread.size(); ++i) {
      for (UniqueFd& socket : (*made)[i]) {
        per_thread[i].push_back({.socket = std::move(socket), .serve = endpoint.serve});
      }
    }
  }
  for (auto& listeners : per_thread) {
    if (auto failed = add_worker(std::move(listeners))) return failed;
  }
  return std::nullopt;
}

std::optional<Complaint> Service::check(std::string_view command,
                                        const std::vector<Endpoint>& endpoints) {
  for (const Endpoint& endpoint : endpoints) {
    const auto in_use = check_addresses(endpoint.addresses);
    if (!in_use) return complaint_of_listening(in_use.error());
    remark_in_use(command, *in_use);
  }
  return add_worker({});
}

std::span<const std::string> Service::addresses_of(std::size_t endpoint) const {
  const std::size_t begin = endpoint == 0 ? 0 : endpoint_ends_.at(endpoint - 1);
  return std::span(listening_).subspan(begin, endpoint_ends_.at(endpoint) - begin);
}

std::optional<Complaint> Service::add_worker(std::vector<Listener> listeners) {
  const std::size_t share =
      std::max<std::size_t>((options_.max_connections + workers_.size()) / options_.threads, 1);
  auto loop = bridge::Loop::create(
      options_.loop,
      {.buffers_max = share * kBuffersPerConnection + kBuffersOnOffer, .pipes_max = share * 2});
  if (!loop) {
    const bool is_demanded = options_.loop == bridge::LoopKind::kIoUring;
    return Complaint{is_demanded ? kExitUnavailable : kExitOsError,
                     "--loop: " + loop.error().message()};
  }
  const WorkerLimits limits{.max_connections = share, .drain_timeout = options_.drain_timeout};
  workers_.push_back(std::make_unique<Worker>(
      log_, *std::move(loop), std::move(listeners), limits, [stopped = stopped_.get()] {
        const std::uint64_t one = 1;
        static_cast<void>(!::write(stopped, &one, sizeof one));
      }));
  return std::nullopt;
}

void Service::warn_of_descriptor_limit() const {
  const std::size_t wanted =
      options_.max_connections * options_.descriptors_per_connection + kDescriptorsBesides;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= wanted) return;
  log_.write(LogLevel::kWarning, "limits",
             {{"open_files", std::uint64_t{limit.rlim_cur}},
              {"wanted", std::uint64_t{wanted}},
              {"hint", std::string("raise ulimit -n or lower --max-connections")}});
}

void Service::announce_addresses() const {
  warn_of_descriptor_limit();
  // Those that this service leaves may be another's.
  if (!StartGate::is_supervised()) warn_of_inherited(inherited_, log_);
  for (const std::string& address : listening_) {
    log_.write(LogLevel::kInfo, "listening", {{"address", address}});
  }
}

void Service::announce_ready(const ktls::Capability& capability) const {
  LogFields fields;
  add_loop_fields(fields, workers_.front()->loop());
  fields.emplace_back("threads", std::uint64_t{options_.threads});
  add_kernel_fields(fields, capability);
  log_.write(LogLevel::kInfo, "ready", fields);
}

std::optional<Complaint> Service::start() {
  if (!StartGate::pass()) return Complaint{kExitOsError, ""};  // another one has complained
  for (const auto& worker : workers_) {
    if (auto started = worker->start(); !started) {
      for (const auto& each : workers_) each->drain();
      return Complaint{kExitOsError, started.error().message()};
    }
  }
  // One of several services tells their supervisor, and that one whoever has started it.
  const auto interval = supervisor_.watchdog() ? std::optional(supervisor_.ping_interval())
                                               : StartGate::beat_interval();
  if (interval) {
    if (auto started = ping_.start(*interval); !started) {
      for (const auto& each : workers_) each->drain();
      return Complaint{kExitOsError, started.error().message()};
    }
  }
  supervisor_.ready(serving_on(listening_));
  return std::nullopt;
}

// A ping says that every loop has come round since the one before it, and so has this thread. Of a
// loop that has ended nothing is expected while we drain; otherwise it has given up.
void Service::take_turns() {
  bool all_turn = true;
  for (const auto& worker : workers_) {
    const bool has_turned = worker->take_turn() || (is_draining_ && worker->has_ended());
    all_turn = all_turn && has_turned;
  }
  if (!all_turn) return;
  supervisor_.ping();
  StartGate::beat();
}

int Service::run(const std::function<void()>& reload) {
  std::size_t running = workers_.size();
  while (running != 0) {
    pollfd waits[3] = {
        {signals_.fd(), POLLIN, 0}, {stopped_.get(), POLLIN, 0}, {ping_.fd(), POLLIN, 0}};
    if (::poll(waits, 3, -1) < 0) continue;  // EINTR: a signal that is not ours
    if (waits[1].revents != 0) {
      std::uint64_t count = 0;
      if (::read(stopped_.get(), &count, sizeof count) == sizeof count) running -= count;
    }
    if (waits[2].revents != 0 && ping_.take()) take_turns();
    if (const auto signal = signals_.take()) act_on(signal->number, reload);
  }
  return join();
}

void Service::act_on(int signal, const std::function<void()>& reload) {
  if (signal == SIGHUP) {
    if (is_draining_) return;  // who would see what is new? nobody is accepted any more
    supervisor_.reloading();
    reload();
    supervisor_.ready(serving_on(listening_));
    return;
  }
  const std::string name = name_of_signal(signal);
  if (std::exchange(is_draining_, true)) {
    log_.write(LogLevel::kWarning, "exit", {{"signal", name}});
    on_exit_();
    broker::Holders::resume_all();
    std::_Exit(128 + signal);
  }
  log_.write(LogLevel::kInfo, "draining", {{"signal", name}});
  supervisor_.stopping(draining_after(name), options_.drain_timeout);
  drain();
}

void Service::drain() {
  on_drain_();
  // Before the listeners are closed: from then on the path is free for a successor.
  socket_files_.remove();
  for (const auto& worker : workers_) worker->drain();
}

int Service::join() {
  std::uint64_t cut_off = 0;
  bool failed = false;
  for (const auto& worker : workers_) {
    worker->join();
    cut_off += worker->cut_off();
    failed = failed || worker->failed();
  }
  log_.write(LogLevel::kInfo, "stopped", {{"cut_off", cut_off}});
  return failed ? kExitOsError : kExitOk;
}

}  // namespace tools
