// The life of a broker: its socket, its channels, its signals and its end.

#include "tools/broker/broker.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include <sys/socket.h>
#include <sys/stat.h>

#include "tools/broker/broker_state.h"
#include "tools/broker/predecessor.h"
#include "tools/broker/requests.h"
#include "tools/common/address.h"
#include "tools/common/exit_code.h"
#include "tools/ktls-bridge/announcement.h"
#include "tools/ktls-bridge/complaint.h"
#include "tools/ktls-bridge/listeners.h"
#include "tools/ktls-bridge/signals.h"
#include "userspace/broker/holders.h"

namespace tools {
namespace {

using bridge::Scope;
using bridge::Task;
using ktls::Error;
using ktls::Result;
using ktls::UniqueFd;
using std::chrono::milliseconds;

constexpr int kBacklog = 4096;
constexpr milliseconds kAcceptPause{50};
// For programs to read the ends of their streams, and to ask what kind of ends they are.
constexpr milliseconds kLastQuestions{500};
// For what was cut off to tell its peers.
constexpr milliseconds kLastWordsTimeout = std::chrono::seconds(5);
// What receives and what is sealed of each relay; and what a ring has on offer.
constexpr std::size_t kBuffersPerConnection = 8;
constexpr std::size_t kBuffersOnOffer = 256;

int complain(const Complaint& complaint) {
  return complain("broker", complaint);
}

BrokerLimits limits_for(const BrokerOptions& options, const Log& log) {
  const std::size_t open_files = raise_descriptor_limit();
  const BrokerLimits limits = limits_of(open_files, options.service.max_connections);
  if (limits.connections < options.service.max_connections) {
    log.write(LogLevel::kWarning, "limits",
              {{"open_files", std::uint64_t{open_files}},
               {"max_connections", std::uint64_t{limits.connections}},
               {"hint", std::string("more wait in the listen queues; raise ulimit -n, or lower "
                                    "--max-connections")}});
  }
  return limits;
}

// The kernel takes the ring of a broker that was killed apart after its end, and its socket with
// it: until then somebody seems to listen there.
Result<UniqueFd> bind_patiently(const SocketAddress& address) {
  constexpr int kAttempts = 40;
  constexpr milliseconds kPause{50};
  for (int attempt = 1;; ++attempt) {
    auto bound = bind_to(address, false, SOCK_SEQPACKET);
    const bool is_taken = !bound && bound.error().sys_errno == EADDRINUSE;
    if (!is_taken || attempt == kAttempts) return bound;
    std::this_thread::sleep_for(kPause);
  }
}

// Whoever connects is judged by who they are; but the file keeps others from trying.
Result<UniqueFd> listen_at(const BrokerOptions& options) {
  const Address address{
      .kind = Address::Kind::kUnix, .host = {}, .port = 0, .path = options.socket};
  KTLS_TRY(const auto found, resolve(address, true));
  // By the mask, not by chmod(2), which goes by the name: another file may have it by then.
  const bool is_shared = !options.users.empty() || !options.groups.empty();
  const mode_t mask = ::umask(is_shared ? 0111 : 0177);
  auto bound = bind_patiently(found.front());
  ::umask(mask);
  KTLS_TRY(UniqueFd fd, std::move(bound));
  if (::listen(fd.get(), kBacklog) != 0) {
    return ktls::fail(Error::system(errno, "cannot listen on " + address.text()));
  }
  return fd;
}

// One broker at work; everything but its making is on the loop's thread.
class BrokerRun {
 public:
  BrokerRun(BrokerState& state, Signals& signals, TlsSetting& as_server, TlsSetting& as_client,
            UniqueFd listener, SocketFiles& files)
      : state_(state),
        signals_(signals),
        as_server_(as_server),
        as_client_(as_client),
        listener_(std::move(listener)),
        files_(files) {}

  void begin() {
    state_.loop.spawn(heed_signals());
    state_.loop.spawn(accept_channels());
    state_.loop.spawn(state_.handed_out.watch(state_.running));
  }
  [[nodiscard]] std::size_t cut_off() const { return cut_off_; }

 private:
  Task<void> heed_signals() {
    for (;;) {
      const auto ready = co_await state_.loop.readable(state_.running, signals_.fd());
      if (!ready) co_return;
      while (const auto signal = signals_.take()) act_on(*signal);
    }
  }

  void act_on(int signal) {
    if (signal == SIGHUP) {
      as_server_.reload();
      as_client_.reload();
      return;
    }
    const std::string name = std::string("SIG") + ::sigabbrev_np(signal);
    if (state_.is_ending()) {
      state_.log.write(LogLevel::kWarning, "exit", {{"signal", name}});
      broker::Holders::resume_all();
      std::_Exit(128 + signal);
    }
    state_.log.write(LogLevel::kInfo, "draining", {{"signal", name}});
    files_.rename(kDrainingSuffix);  // the path is free for a successor
    state_.open.cancel();
    state_.loop.spawn(drain());
  }

  Task<void> drain() {
    const bool was_busy = !state_.sessions.empty();
    Scope drained(state_.loop, state_.options.service.drain_timeout);
    while (!state_.sessions.empty()) {
      const auto rung = co_await state_.session_ended.wait(state_.loop, drained);
      if (!rung) break;
    }
    cut_off_ = state_.sessions.size();
    for (Cancellation* each : state_.sessions) each->cancel();
    Scope last_words(state_.loop, kLastWordsTimeout);
    while (!state_.sessions.empty()) {
      const auto rung = co_await state_.session_ended.wait(state_.loop, last_words);
      if (!rung) break;
    }
    if (was_busy) {
      Scope pause(state_.loop, kLastQuestions);
      const auto paused = co_await state_.loop.sleep(pause, kLastQuestions);
      static_cast<void>(paused);
    }
    state_.loop.stop();
  }

  Task<void> accept_channels() {
    for (;;) {
      auto accepted = co_await state_.loop.accept(state_.running, listener_.get());
      if (accepted) {
        is_warned_ = false;
        state_.loop.spawn(channel_session(state_, *std::move(accepted)));
        continue;
      }
      if (state_.running.failure()) co_return;
      if (!std::exchange(is_warned_, true)) {
        state_.log.write(
            LogLevel::kWarning, "accept",
            {{"address", state_.options.socket}, {"error", accepted.error().message()}});
      }
      const auto paused = co_await state_.loop.sleep(state_.running, kAcceptPause);
      if (!paused) co_return;
    }
  }

  BrokerState& state_;
  Signals& signals_;
  TlsSetting& as_server_;
  TlsSetting& as_client_;
  UniqueFd listener_;
  SocketFiles& files_;
  std::size_t cut_off_ = 0;
  bool is_warned_ = false;  // once for each time that accepting does not work
};

void announce(const BrokerOptions& options, const bridge::Loop& loop, const TlsSetting& tls) {
  LogFields fields = {{"socket", options.socket}};
  add_loop_fields(fields, loop);
  add_kernel_fields(fields, tls.capability());
  tls.log().write(LogLevel::kInfo, "ready", fields);
}

}  // namespace

int run_broker(const BrokerOptions& options) {
  if (const auto valid = validate(options); !valid) {
    return complain({kExitUsage, valid.error().detail});
  }
  auto signals = Signals::hold();
  if (!signals) return complain({kExitOsError, signals.error().message()});
  const Log log(options.service.log_format, options.service.log_level);
  TlsSetting as_server(options.tls, std::nullopt, log);
  if (const auto failed = as_server.prepare()) return complain(*failed);
  TlsOptions client_options = options.tls;
  client_options.certificate_file.clear();
  client_options.key_file.clear();
  client_options.client_ca_file.clear();
  const ClientRole role{.ca_file = options.ca_file, .verify = true, .server_name = {}};
  TlsSetting as_client(client_options, role, log);
  if (const auto failed = as_client.prepare()) return complain(*failed);

  const BrokerLimits limits = limits_for(options, log);
  auto loop = bridge::Loop::create(
      options.service.loop,
      {.buffers_max = limits.connections * kBuffersPerConnection + kBuffersOnOffer,
       .pipes_max = limits.connections * 2});
  if (!loop) return complain({kExitUnavailable, "--loop: " + loop.error().message()});
  auto listener = listen_at(options);
  if (!listener) return complain({kExitOsError, "--socket: " + listener.error().message()});
  SocketFiles files;
  files.add(options.socket);
  as_server.announce_warnings();
  announce(options, **loop, as_server);
  as_server.announce_self_signed();

  BrokerState state(**loop, options, as_server, as_client, limits);
  BrokerRun run(state, *signals, as_server, as_client, *std::move(listener), files);
  run.begin();
  const auto ran = (*loop)->run();
  log.write(LogLevel::kInfo, "stopped",
            {{"cut_off", std::uint64_t{run.cut_off()}},
             {"handed_out", std::uint64_t{state.handed_out.size()}}});
  return ran ? kExitOk : complain({kExitOsError, ran.error().message()});
}

}  // namespace tools
