// A program, its broker, and who of them outlives whom.

#include "tools/ktls-bridge/run.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>

#include "tools/broker/broker_run.h"
#include "tools/broker/doorbell.h"
#include "tools/broker/requests.h"
#include "tools/common/exit_code.h"
#include "tools/ktls-bridge/announcement.h"
#include "tools/ktls-bridge/certificate_flags.h"
#include "tools/ktls-bridge/complaint.h"
#include "tools/ktls-bridge/program.h"
#include "tools/ktls-bridge/program_inspection.h"
#include "tools/ktls-bridge/run_environment.h"
#include "tools/ktls-bridge/signals.h"

namespace tools {
namespace {

using bridge::Scope;
using bridge::Task;
using ktls::Error;
using ktls::Result;
using ktls::UniqueFd;
using std::chrono::milliseconds;

// As the shell says that there is no such program, or that it cannot be run.
constexpr int kExitNotFound = 127;
constexpr int kExitNotExecutable = 126;
// Programs that use select(2) know no larger descriptors, and large ones make fork slow.
constexpr std::size_t kChannelMax = 1024;
// Between the end of a program and that of its descriptors, as far as nobody else has them.
constexpr milliseconds kMoment{200};

int complain(const Complaint& complaint) {
  return complain("run", complaint);
}

int complain_of_program(const Error& error) {
  static_cast<void>(complain({kExitNoInput, error.message()}));
  return error.sys_errno == ENOENT ? kExitNotFound : kExitNotExecutable;
}

// All that a process sends to another to have it do something, and the terminal's.
std::vector<int> signals_of_programs() {
  std::vector<int> numbers = {SIGTERM, SIGINT,  SIGQUIT, SIGHUP,  SIGUSR1,
                              SIGUSR2, SIGALRM, SIGCONT, SIGWINCH};
  for (int number = SIGRTMIN; number <= SIGRTMAX; ++number) numbers.push_back(number);
  // Of a container's first process, that of everybody who was left there.
  if (::getpid() == 1) numbers.push_back(SIGCHLD);
  return numbers;
}

// High, where no program looks for one of its own. To be asked before there are any of ours.
int channel_number() {
  // The numbers above are for its copy while the program is started.
  const std::size_t top = std::min(Program::open_files_limit(), kChannelMax) - 2;
  for (int number = static_cast<int>(top); number > STDERR_FILENO; --number) {
    if (::fcntl(number, F_GETFD) < 0) return number;
  }
  return STDERR_FILENO + 1;
}

// Everything happens on the broker's loop.
class Run {
 public:
  Run(const RunOptions& options, BrokerRun& broker, Signals& signals, Program program)
      : options_(options),
        broker_(broker),
        state_(broker.state()),
        signals_(signals),
        program_(std::move(program)) {}

  void begin(UniqueFd channel) {
    state_.loop.spawn(serve_channel(std::move(channel)));
    state_.loop.spawn(heed_signals());
    state_.loop.spawn(follow_program());
  }

  // After the loop's end.
  [[nodiscard]] int exit_code() const { return end_ ? end_->exit_code() : int{kExitOsError}; }

  void warn_of_unused_ports() const {
    for (const std::uint16_t port : options_.listen) {
      if (state_.ports_listened.contains(port)) continue;
      state_.log.write(LogLevel::kWarning, "unused",
                       {{"listen", std::uint64_t{port}},
                        {"detail", std::string("the program has not listened on this port, so "
                                               "nothing there was TLS")}});
    }
  }

 private:
  Task<void> serve_channel(UniqueFd channel) {
    co_await private_channel(state_, std::move(channel), program_.pid());
    is_channel_closed_ = true;
    channel_closed_.ring();
    state_.has_programs = false;
    state_.session_ended.ring();  // of those that are left nobody reads anything more
  }

  Task<void> heed_signals() {
    for (;;) {
      const auto ready = co_await state_.loop.readable(state_.running, signals_.fd());
      if (!ready) co_return;
      while (const auto signal = signals_.take()) act_on(*signal);
    }
  }

  void act_on(const Signal& signal) {
    if (signal.number == SIGCHLD) {
      program_.reap_orphans();
      return;
    }
    if (!end_) {
      pass_on(signal);
      return;
    }
    if (signal.number != SIGTERM && signal.number != SIGINT) return;
    if (state_.is_ending()) broker_.exit_at_once(signal.number);
    state_.log.write(LogLevel::kInfo, "draining", {{"signal", name_of_signal(signal.number)}});
    broker_.drain();
  }

  // What the kernel sends to our group, as for a terminal, has reached the program as well, and so
  // has what it sent to its group itself.
  void pass_on(const Signal& signal) {
    if (signal.is_from_kernel || signal.sender == program_.pid()) return;
    program_.signal(signal.number);
    const TlsOptions& tls = options_.broker.tls;
    const bool has_files = has_certificates(tls) || !options_.broker.ca_file.empty() ||
                           !tls.client_ca_file.empty() || !tls.ticket_key_files.empty();
    if (signal.number == SIGHUP && has_files) broker_.reload();
  }

  Task<void> follow_program() {
    const auto ready = co_await state_.loop.readable(state_.running, program_.fd());
    const auto end = program_.reap();
    if (ready && end) {
      end_ = *end;
    } else {
      end_ = ProgramEnd{.status = kExitOsError, .signal = 0};
    }
    if (!is_channel_closed_) {
      Scope moment(state_.loop, kMoment);
      const auto closed = co_await channel_closed_.wait(state_.loop, moment);
      static_cast<void>(closed);
    }
    if (!is_channel_closed_) {
      state_.log.write(LogLevel::kInfo, "program_ended",
                       {{"exit", std::int64_t{end_->exit_code()}},
                        {"detail", std::string("its children go on")}});
    }
    while (!is_channel_closed_ && !state_.is_ending()) {
      const auto closed = co_await channel_closed_.wait(state_.loop, state_.open);
      static_cast<void>(closed);
    }
    if (!state_.is_ending()) broker_.drain();
  }

  const RunOptions& options_;
  BrokerRun& broker_;
  BrokerState& state_;
  Signals& signals_;
  Program program_;
  std::optional<ProgramEnd> end_;
  Doorbell channel_closed_;
  bool is_channel_closed_ = false;
};

void announce(const RunOptions& options, const BrokerRun& broker, const Program& program) {
  LogFields fields = {{"program", static_cast<std::uint64_t>(program.pid())}};
  add_loop_fields(fields, broker.loop());
  add_kernel_fields(fields, broker.as_server().capability());
  broker.as_server().log().write(LogLevel::kInfo, "ready", fields);
  if (options.listen.empty()) return;
  broker.as_server().announce_warnings();
  broker.as_server().announce_self_signed();
}

// The program's end, and ours.
Result<std::pair<UniqueFd, UniqueFd>> make_channel() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return ktls::fail(Error::system(errno, "socketpair"));
  }
  return std::pair(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

Result<std::string> find_library() {
  KTLS_TRY(const std::string directory, program_directory());
  return find_preload(preload_places(directory));
}

// Everything is there: starts the program and serves it.
int run_program(const RunOptions& options, BrokerRun& broker, Signals& signals,
                const Launch& prepared, int number) {
  auto channel = make_channel();
  if (!channel) return complain({kExitOsError, channel.error().message()});
  Launch launch = prepared;
  launch.descriptors = {{channel->first.get(), number}};
  auto program = Program::start(launch);
  if (!program) return complain_of_program(program.error());
  channel->first.reset();
  announce(options, broker, *program);
  Run run(options, broker, signals, *std::move(program));
  run.begin(std::move(channel->second));
  const auto ran = broker.run();
  if (!ran) return complain({kExitOsError, ran.error().message()});
  run.warn_of_unused_ports();
  return run.exit_code();
}

}  // namespace

int run_run(const RunOptions& options) {
  const int number = channel_number();
  if (const auto valid = validate(options); !valid) {
    return complain({kExitUsage, valid.error().detail});
  }
  auto path = find_program(options.words.front());
  if (!path) return complain_of_program(path.error());
  auto unfit = inspect_program(*path);
  if (!unfit) unfit = inspect_seccomp();
  if (unfit) return complain({kExitUnavailable, text_of(options.words.front(), *unfit)});
  auto library = find_library();
  if (!library) return complain({kExitUnavailable, library.error().message()});
  auto signals = Signals::hold(signals_of_programs());
  if (!signals) return complain({kExitOsError, signals.error().message()});
  const Log log(options.broker.service.log_format, options.broker.service.log_level);
  BrokerRun broker(options.broker, log);
  if (const auto failed = broker.prepare()) return complain(*failed);
  const Launch launch{
      .path = *std::move(path),
      .arguments = options.words,
      .environment = run_environment(own_environment(), {.library = *std::move(library),
                                                         .listen = options.listen,
                                                         .connect = options.connect,
                                                         .channel = number}),
      .descriptors = {},
      .group = Group::kOurs};
  return run_program(options, broker, *signals, launch, number);
}

}  // namespace tools
