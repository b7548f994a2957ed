// fork(2) without exec: each child goes on with what was parsed here.

#include "tools/ktls-bridge/service_group.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <utility>

#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/common/exit_code.h"
#include "tools/common/service_name.h"
#include "tools/ktls-bridge/complaint.h"
#include "tools/ktls-bridge/start_gate.h"
#include "tools/ktls-bridge/supervision.h"
#include "tools/supervision/inherited_descriptor.h"
#include "tools/supervision/ticker.h"

namespace tools {
namespace {

using ktls::Error;
using ktls::Result;
using ktls::UniqueFd;

// Of those that were told to end at once: more than the system takes to free what they have.
constexpr int kEndTimeoutMs = 5000;
constexpr int kEndStepMs = 10;
constexpr std::size_t kBeatsAtOnce = 64;
// What a service manager is asked for while services drain, each by its own --drain-timeout.
constexpr std::chrono::milliseconds kStopTimeout = std::chrono::minutes(10);

// Sockets that a service manager passes on are for the process that it has started, by number.
void inherit_sockets(pid_t supervisor) {
  const char* const listen_pid = std::getenv("LISTEN_PID");  // NOLINT(concurrency-mt-unsafe)
  if (listen_pid == nullptr || std::to_string(supervisor) != listen_pid) return;
  // NOLINTNEXTLINE(concurrency-mt-unsafe)
  ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
}

int code_of(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : int{kExitOsError};
}

}  // namespace

ServiceGroup::ServiceGroup(std::vector<GroupedService> services, const Log& log)
    : services_(std::move(services)), log_(log), supervisor_(supervisor_of(log)) {}

void ServiceGroup::close_ready_descriptors(std::optional<int> but) const {
  for (const GroupedService& each : services_) {
    // What a file calls so may be one of our own, or none.
    const bool is_others = each.ready_fd && each.ready_fd != but;
    if (is_others && claim_inherited(*each.ready_fd)) ::close(*each.ready_fd);
  }
}

std::string ServiceGroup::status() const {
  return "serving by " + std::to_string(services_.size()) + " services";
}

Result<ServiceGroup::Child> ServiceGroup::start(const GroupedService& service, bool has_gate) {
  int ends[2] = {-1, -1};
  if (has_gate && ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return ktls::fail(Error::system(errno, "socketpair"));
  }
  Child child{.name = service.name, .gate = UniqueFd(ends[0]), .beats = {}};
  UniqueFd gate(ends[1]);
  Heartbeat heartbeat;
  if (has_gate && supervisor_.watchdog()) {
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
      return ktls::fail(Error::system(errno, "socketpair"));
    }
    child.beats.reset(ends[0]);
    heartbeat = {.to = UniqueFd(ends[1]), .interval = supervisor_.ping_interval()};
  }
  const pid_t supervisor = ::getpid();
  child.pid = ::fork();
  if (child.pid < 0) return ktls::fail(Error::system(errno, "fork"));
  if (child.pid > 0) return child;
  child.gate.reset();
  child.beats.reset();
  children_.clear();  // and with them our copies of the others' gates
  sigset_t child_ended;
  ::sigemptyset(&child_ended);
  ::sigaddset(&child_ended, SIGCHLD);
  ::pthread_sigmask(SIG_UNBLOCK, &child_ended, nullptr);
  inherit_sockets(supervisor);
  close_ready_descriptors(service.ready_fd);
  if (has_gate) StartGate::stand_at(std::move(gate), std::move(heartbeat));
  name_service(service.name);
  std::exit(service.run());  // NOLINT(concurrency-mt-unsafe)
}

int ServiceGroup::run_in_turn() {
  for (const GroupedService& service : services_) {
    auto child = start(service, false);
    if (!child) return complain("", {kExitOsError, child.error().message()});
    int status = 0;
    while (::waitpid(child->pid, &status, 0) < 0 && errno == EINTR) {
    }
    worst_code_ = worst_code_ != 0 ? worst_code_ : code_of(status);
  }
  return worst_code_;
}

int ServiceGroup::run() {
  auto signals = Signals::hold(std::array{SIGTERM, SIGINT, SIGHUP, SIGCHLD});
  if (!signals) return complain("", {kExitOsError, signals.error().message()});
  for (const GroupedService& service : services_) {
    auto child = start(service, true);
    if (!child) {
      abandon();
      return complain("", {kExitOsError, child.error().message()});
    }
    children_.push_back(*std::move(child));
  }
  close_ready_descriptors(std::nullopt);
  if (!await_readiness(*signals)) {
    abandon();
    return failed_code_;
  }
  open_gates();
  Ticker ping;
  if (supervisor_.watchdog()) {
    if (const auto ticks = ping.start(supervisor_.ping_interval()); !ticks) {
      log_.write(LogLevel::kWarning, "supervisor", {{"error", ticks.error().message()}});
    }
  }
  while (is_running()) {
    pollfd waits[2] = {{signals->fd(), POLLIN, 0}, {ping.fd(), POLLIN, 0}};
    if (::poll(waits, 2, -1) < 0) continue;
    if (ping.take() && have_all_beaten()) supervisor_.ping();
    while (const auto signal = signals->take()) act_on(*signal);
  }
  log_.write(LogLevel::kInfo, "stopped", {{"services", std::uint64_t{services_.size()}}});
  if (ending_signal_ != 0) return 128 + ending_signal_;
  return failed_code_ != 0 ? failed_code_ : worst_code_;
}

// False: one has ended, or all are to.
bool ServiceGroup::await_readiness(Signals& signals) {
  const auto is_ready = [](const Child& child) { return child.is_ready; };
  while (!std::ranges::all_of(children_, is_ready)) {
    std::vector<pollfd> waits = {{signals.fd(), POLLIN, 0}};
    for (const Child& child : children_) {
      waits.push_back({child.is_ready ? -1 : child.gate.get(), POLLIN, 0});
    }
    if (::poll(waits.data(), waits.size(), -1) < 0) continue;
    for (std::size_t i = 0; i < children_.size(); ++i) {
      char byte = 0;
      if (waits[i + 1].revents == 0) continue;
      if (::recv(children_[i].gate.get(), &byte, 1, 0) == 1) {
        children_[i].is_ready = true;
      } else {
        children_[i].gate.reset();  // its process is ending: SIGCHLD has the rest
      }
    }
    while (const auto signal = signals.take()) act_on(*signal);
    if (is_ending_) return false;
  }
  return true;
}

void ServiceGroup::open_gates() {
  are_started_ = true;
  for (const Child& child : children_) {
    const char byte = 1;
    static_cast<void>(!::send(child.gate.get(), &byte, 1, MSG_NOSIGNAL));
  }
  log_.write(LogLevel::kInfo, "started", {{"services", std::uint64_t{services_.size()}}});
  supervisor_.ready(status());
}

// Those that wait at their gate take its end for a no; others are still reading files.
void ServiceGroup::abandon() {
  for (Child& child : children_) child.gate.reset();
  send_all(SIGQUIT);
  for (int waited = 0; is_running() && waited < kEndTimeoutMs; waited += kEndStepMs) {
    static_cast<void>(::poll(nullptr, 0, kEndStepMs));
    reap();
  }
  send_all(SIGKILL);
  for (Child& child : children_) {
    if (child.pid > 0) ::waitpid(child.pid, nullptr, 0);
  }
}

void ServiceGroup::act_on(const Signal& signal) {
  if (signal.number == SIGCHLD) {
    reap();
  } else if (signal.number == SIGHUP) {
    supervisor_.reloading();
    send_all(SIGHUP);
    supervisor_.ready(status());
  } else if (!std::exchange(is_ending_, true)) {
    log_.write(LogLevel::kInfo, "draining", {{"signal", name_of_signal(signal.number)}});
    supervisor_.stopping(draining_after(name_of_signal(signal.number)), kStopTimeout);
    if (are_started_) send_all(SIGTERM);
  } else if (are_started_) {
    ending_signal_ = signal.number;
    log_.write(LogLevel::kWarning, "exit", {{"signal", name_of_signal(signal.number)}});
    send_all(SIGQUIT);
  }
}

// All that have ended; also those that are nobody's, of the first process of a container.
void ServiceGroup::reap() {
  int status = 0;
  for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
    for (Child& child : children_) {
      if (child.pid == pid) note_end(child, status);
    }
  }
}

void ServiceGroup::note_end(Child& child, int status) {
  child.pid = -1;
  const int code = code_of(status);
  worst_code_ = std::max(worst_code_, code);
  if (is_ending_) return;
  is_ending_ = true;
  failed_code_ = code != 0 ? code : int{kExitOsError};
  const bool has_said_why = !are_started_ && WIFEXITED(status) && code != 0;
  if (!has_said_why) {
    LogFields fields = {{"service", child.name}};
    if (WIFSIGNALED(status)) {
      fields.emplace_back("signal", name_of_signal(WTERMSIG(status)));
    } else {
      fields.emplace_back("exit", std::int64_t{code});
    }
    fields.emplace_back("hint", std::string("the other services are ended as well"));
    log_.write(LogLevel::kError, "service_ended", fields);
  }
  if (are_started_) send_all(SIGTERM);
}

void ServiceGroup::send_all(int number) const {
  for (const Child& child : children_) {
    if (child.pid > 0) ::kill(child.pid, number);
  }
}

bool ServiceGroup::have_all_beaten() const {
  bool all = true;
  for (const Child& child : children_) {
    if (child.pid <= 0) continue;
    bool has_beaten = false;
    std::array<char, kBeatsAtOnce> beats{};
    while (::recv(child.beats.get(), beats.data(), beats.size(), 0) > 0) has_beaten = true;
    all = all && has_beaten;
  }
  return all;
}

bool ServiceGroup::is_running() const {
  return std::ranges::any_of(children_, [](const Child& child) { return child.pid > 0; });
}

}  // namespace tools
