// The making of a broker, and its end.

#include "tools/broker/broker_run.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <utility>

#include "tools/common/exit_code.h"
#include "tools/ktls-bridge/announcement.h"
#include "tools/ktls-bridge/certificate_flags.h"
#include "tools/ktls-bridge/metrics_service.h"
#include "tools/ktls-bridge/signals.h"
#include "userspace/broker/holders.h"

namespace tools {

using bridge::Scope;
using bridge::Task;
using ktls::Result;
using std::chrono::milliseconds;

namespace {

// For programs to read the ends of their streams, and to ask what kind of ends they are.
constexpr milliseconds kLastQuestions{500};
// For what was cut off to tell its peers.
constexpr milliseconds kLastWordsTimeout = std::chrono::seconds(5);
// Between two looks at connections that have nobody but their peers.
constexpr milliseconds kLookPause{50};
constexpr milliseconds kUntilNextSession = std::chrono::hours(1);
// What receives and what is sealed of each relay; and what a ring has on offer.
constexpr std::size_t kBuffersPerConnection = 8;
constexpr std::size_t kBuffersOnOffer = 256;

}  // namespace

BrokerRun::BrokerRun(const BrokerOptions& options, const Log& log)
    : options_(options),
      log_(log),
      client_options_(without_credentials(options.tls)),
      as_server_(options.tls, std::nullopt, log),
      as_client_(client_options_,
                 ClientRole{.ca_file = options.ca_file, .verify = true, .server_name = {}}, log) {}

std::optional<Complaint> BrokerRun::prepare() {
  if (auto failed = as_server_.prepare()) return failed;
  if (auto failed = as_client_.prepare()) return failed;
  const BrokerLimits limits = find_limits();
  auto loop = bridge::Loop::create(
      options_.service.loop,
      {.buffers_max = limits.connections * kBuffersPerConnection + kBuffersOnOffer,
       .pipes_max = limits.connections * 2});
  if (!loop) return Complaint{kExitUnavailable, "--loop: " + loop.error().message()};
  loop_ = *std::move(loop);
  state_.emplace(*loop_, options_, as_server_, as_client_, limits);
  return std::nullopt;
}

BrokerLimits BrokerRun::find_limits() const {
  const std::size_t open_files = raise_descriptor_limit();
  const std::size_t kept = options_.service.metrics.empty() ? 0 : kMetricsDescriptors;
  const BrokerLimits limits =
      limits_of(open_files - std::min(open_files, kept), options_.service.max_connections);
  if (limits.connections < options_.service.max_connections) {
    // Of one program, which may want one connection, it is no news.
    log_.write(options_.is_private() ? LogLevel::kInfo : LogLevel::kWarning, "limits",
               {{"open_files", std::uint64_t{open_files}},
                {"max_connections", std::uint64_t{limits.connections}},
                {"hint", std::string("more wait in the listen queues; raise ulimit -n, or lower "
                                     "--max-connections")}});
  }
  return limits;
}

Result<void> BrokerRun::run() {
  if (auto watched = as_server_.watch_files(); !watched) return watched;
  state_->loop.spawn(state_->handed_out.watch(state_->running));
  auto ran = loop_->run();
  log_.write(LogLevel::kInfo, "stopped",
             {{"cut_off", std::uint64_t{cut_off_}},
              {"handed_out", std::uint64_t{state_->handed_out.size()}}});
  return ran;
}

void BrokerRun::drain() {
  state_->open.cancel();
  state_->loop.spawn(end_sessions());
}

Task<void> BrokerRun::end_sessions() {
  BrokerState& state = *state_;
  const bool was_busy = !state.sessions.empty();
  Scope drained(state.loop, options_.service.drain_timeout);
  co_await await_sessions(drained);
  cut_off_ = state.sessions.size();
  for (const auto& [cancellation, fd] : state.sessions) cancellation->cancel();
  Scope last_words(state.loop, kLastWordsTimeout);
  co_await await_sessions(last_words);
  if (was_busy && state.has_programs) {
    Scope pause(state.loop, kLastQuestions);
    const auto paused = co_await state.loop.sleep(pause, kLastQuestions);
    static_cast<void>(paused);
  }
  state.loop.stop();
}

Task<void> BrokerRun::await_sessions(Scope& scope) {
  BrokerState& state = *state_;
  while (!state.sessions.empty() && !scope.failure()) {
    // Nobody reads any more what the peer may still send.
    for (const auto& [cancellation, fd] : state.sessions) {
      if (!state.has_programs && waits_for_peer_alone(fd)) cancellation->cancel();
    }
    Scope pause(scope, state.has_programs ? kUntilNextSession : kLookPause);
    const auto rung = co_await state.session_ended.wait(state.loop, pause);
    static_cast<void>(rung);
  }
}

void BrokerRun::reload() {
  as_server_.reload();
  as_client_.reload();
}

void BrokerRun::exit_at_once(int signal) const {
  log_.write(LogLevel::kWarning, "exit", {{"signal", name_of_signal(signal)}});
  broker::Holders::resume_all();
  std::_Exit(128 + signal);
}

}  // namespace tools
