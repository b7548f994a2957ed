// A broker with a socket of its own: its channels, its signals.

#include "tools/broker/broker.h"

#include <cerrno>
#include <csignal>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <sys/socket.h>
#include <sys/stat.h>

#include "tools/broker/broker_run.h"
#include "tools/broker/broker_state.h"
#include "tools/broker/predecessor.h"
#include "tools/broker/requests.h"
#include "tools/common/address.h"
#include "tools/common/exit_code.h"
#include "tools/ktls-bridge/announcement.h"
#include "tools/ktls-bridge/complaint.h"
#include "tools/ktls-bridge/listeners.h"
#include "tools/ktls-bridge/metrics_service.h"
#include "tools/ktls-bridge/signals.h"
#include "tools/ktls-bridge/supervision.h"

namespace tools {
namespace {

using bridge::Task;
using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using ktls::UniqueFd;
using std::chrono::milliseconds;

constexpr int kBacklog = 4096;
constexpr milliseconds kAcceptPause{50};

int complain(const Complaint& complaint) {
  return complain("broker", complaint);
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

// The one that a service manager has bound.
Result<UniqueFd> take_inherited(const Address& address, InheritedSockets& inherited) {
  KTLS_TRY(std::vector<UniqueFd> sockets, inherited.take(address, SOCK_SEQPACKET));
  if (sockets.size() == 1) return std::move(sockets.front());
  return ktls::fail(
      Error::of(ErrorCode::kUnsupported,
                address.text() +
                    ": several sockets were passed, and one is wanted: name it by systemd:NAME"));
}

// "/run/broker.sock" of a unix socket that is bound to it.
std::string path_of(int fd) {
  const std::string text = local_text(fd);
  constexpr std::string_view kUnix = "unix:";
  return text.starts_with(kUnix) ? text.substr(kUnix.size()) : text;
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

// Its socket and its signals; everything but the making is on the loop's thread.
class Service {
 public:
  Service(BrokerRun& broker, MetricsService& metrics, Signals& signals, Supervisor& supervisor,
          UniqueFd listener, SocketFiles& files)
      : broker_(broker),
        metrics_(metrics),
        state_(broker.state()),
        signals_(signals),
        supervisor_(supervisor),
        listener_(std::move(listener)),
        files_(files) {}

  void begin() {
    supervisor_.ready(serving_on({state_.options.socket}));
    state_.loop.spawn(heed_signals());
    state_.loop.spawn(accept_channels());
    if (supervisor_.watchdog()) state_.loop.spawn(ping());
  }

 private:
  Task<void> heed_signals() {
    for (;;) {
      const auto ready = co_await state_.loop.readable(state_.running, signals_.fd());
      if (!ready) co_return;
      while (const auto signal = signals_.take()) act_on(signal->number);
    }
  }

  void act_on(int signal) {
    if (signal == SIGHUP) {
      reload();
      return;
    }
    if (state_.is_ending()) {
      metrics_.remove_socket_files();
      files_.remove();
      broker_.exit_at_once(signal);
    }
    state_.log.write(LogLevel::kInfo, "draining", {{"signal", name_of_signal(signal)}});
    metrics_.begin_draining();
    supervisor_.stopping(draining_after(name_of_signal(signal)),
                         state_.options.service.drain_timeout);
    files_.rename(kDrainingSuffix);  // the path is free for a successor
    broker_.drain();
  }

  void reload() {
    if (state_.is_ending()) {
      broker_.reload();
      return;
    }
    supervisor_.reloading();
    broker_.reload();
    supervisor_.ready(serving_on({state_.options.socket}));
  }

  // There is one loop, which does everything.
  Task<void> ping() {
    for (;;) {
      const auto slept = co_await state_.loop.sleep(state_.running, supervisor_.ping_interval());
      if (!slept) co_return;
      supervisor_.ping();
    }
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

  BrokerRun& broker_;
  MetricsService& metrics_;
  BrokerState& state_;
  Signals& signals_;
  Supervisor& supervisor_;
  UniqueFd listener_;
  SocketFiles& files_;
  bool is_warned_ = false;  // once for each time that accepting does not work
};

void announce(const BrokerOptions& options, const BrokerRun& broker) {
  LogFields fields = {{"socket", options.socket}};
  add_loop_fields(fields, broker.loop());
  add_kernel_fields(fields, broker.as_server().capability());
  broker.as_server().announce_warnings();
  broker.as_server().log().write(LogLevel::kInfo, "ready", fields);
  broker.as_server().announce_self_signed();
}

}  // namespace

int run_broker(const BrokerOptions& given) {
  if (const auto valid = validate(given); !valid) {
    return complain({kExitUsage, valid.error().detail});
  }
  auto signals = Signals::hold();
  if (!signals) return complain({kExitOsError, signals.error().message()});
  const Log log(given.service.log_format, given.service.log_level);
  Supervisor supervisor = supervisor_of(log);
  if (const auto failed = take_ready_descriptor(given.service, supervisor)) {
    return complain(*failed);
  }
  InheritedSockets inherited = InheritedSockets::from_environment();
  BrokerOptions options = given;
  UniqueFd listener;
  if (const auto address = given.inherited_socket()) {
    auto taken = take_inherited(*address, inherited);
    if (!taken) return complain({kExitUnavailable, "--socket: " + taken.error().detail});
    options.socket = path_of(taken->get());
    listener = *std::move(taken);
  }
  BrokerRun broker(options, log);
  if (const auto failed = broker.prepare()) return complain(*failed);
  MetricsService metrics("broker", options.service, broker.as_server());
  broker.count_in(metrics.counts());
  if (const auto failed = metrics.open()) return complain(*failed);
  SocketFiles files;  // an inherited one is not ours to remove
  if (!listener) {
    auto made = listen_at(options);
    if (!made) return complain({kExitOsError, "--socket: " + made.error().message()});
    files.add(options.socket);
    listener = *std::move(made);
  }
  warn_of_inherited(inherited, log);
  metrics.announce();
  announce(options, broker);
  if (const auto failed = metrics.start(broker.loop())) return complain(*failed);
  Service service(broker, metrics, *signals, supervisor, std::move(listener), files);
  service.begin();
  const auto ran = broker.run();
  return ran ? kExitOk : complain({kExitOsError, ran.error().message()});
}

}  // namespace tools
