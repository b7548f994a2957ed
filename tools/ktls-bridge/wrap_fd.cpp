// One connection on the main thread.

#include "tools/ktls-bridge/wrap_fd.h"

#include <cerrno>
#include <csignal>
#include <optional>
#include <utility>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/common/exit_code.h"
#include "tools/common/log.h"
#include "tools/hardening/sandbox.h"
#include "tools/ktls-bridge/complaint.h"
#include "tools/ktls-bridge/origin.h"
#include "tools/ktls-bridge/program.h"
#include "tools/ktls-bridge/program_session.h"
#include "tools/ktls-bridge/signals.h"
#include "tools/ktls-bridge/tls_setting.h"
#include "userspace/io/loop.h"

namespace tools {
namespace {

using ktls::Error;
using ktls::Result;
using ktls::UniqueFd;

int complain(const Complaint& complaint) {
  return complain("wrap --fd", complaint);
}

bool is_same_file(int fd, int other) {
  struct stat one {};
  struct stat two {};
  return ::fstat(fd, &one) == 0 && ::fstat(other, &two) == 0 && one.st_dev == two.st_dev &&
         one.st_ino == two.st_ino;
}

// inetd gives a program its connection as 0, 1 and 2. A message of ours would go to the peer, and
// without TLS: so whatever would write there from here on writes nowhere. The descriptor numbers
// stay taken, or the next file that is opened would get one of them.
std::vector<int> take_descriptors(int fd) {
  std::vector<int> taken{fd};
  for (const int other : {STDOUT_FILENO, STDERR_FILENO}) {
    if (other != fd && is_same_file(fd, other)) taken.push_back(other);
  }
  return taken;
}

Result<UniqueFd> move_away(const std::vector<int>& taken) {
  UniqueFd connected(::fcntl(taken.front(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  if (!connected) return ktls::fail(Error::system(errno, "--fd " + std::to_string(taken.front())));
  const UniqueFd nowhere(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!nowhere) return ktls::fail(Error::system(errno, "/dev/null"));
  for (const int number : taken) {
    if (::dup3(nowhere.get(), number, number > STDERR_FILENO ? O_CLOEXEC : 0) < 0) {
      return ktls::fail(Error::system(errno, "dup3"));
    }
  }
  return connected;
}

Result<void> check_connected(int fd) {
  int type = 0;
  socklen_t size = sizeof type;
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM) {
    return ktls::fail(Error::system(errno != 0 ? errno : ENOTSOCK, "not a stream socket"));
  }
  sockaddr_storage peer{};
  size = sizeof peer;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0) {
    return ktls::fail(Error::system(errno, "not a connected socket"));
  }
  return {};
}

// What the two tasks share, on one thread.
struct Run {
  bridge::Loop& loop;
  Signals& signals;
  const ProgramSetting& setting;
  OriginSetting origin;
  Cancellation cancellation;
  const Program* program = nullptr;
  Outcome outcome;
  int signal = 0;  // that ended it before there was a program
};

bridge::Task<void> pass_signals_on(Run& run, bridge::Scope& scope) {
  for (;;) {
    auto ready = co_await run.loop.readable(scope, run.signals.fd());
    if (!ready) co_return;
    const auto signal = run.signals.take();
    if (!signal) continue;
    if (run.program != nullptr) {
      run.program->signal(signal->number);
    } else {
      run.signal = signal->number;
      run.cancellation.cancel();
    }
  }
}

bridge::Task<void> serve(Run& run, bridge::Scope& signals, UniqueFd connected) {
  const auto origin =
      co_await find_origin(run.loop, run.cancellation, run.origin, run.setting.tls, connected);
  if (origin) {
    run.outcome = co_await program_session(
        run.loop, run.cancellation, run.setting, std::move(connected), *origin,
        [&run](const Program* program) { run.program = program; });
  }
  signals.cancel();
  run.loop.stop();
}

int exit_code(const Run& run) {
  if (run.outcome) return run.outcome->exit_code();
  return run.signal != 0 ? 128 + run.signal : int{kExitProtocol};
}

}  // namespace

int run_wrap_fd(const WrapOptions& options) {
  const int fd = *options.program.fd;
  const std::vector<int> taken = take_descriptors(fd);
  if (const auto checked = check_connected(fd); !checked) {
    const Complaint complaint{kExitUsage,
                              "--fd " + std::to_string(fd) + ": " + checked.error().message()};
    return complain(complaint);
  }
  auto connected = move_away(taken);
  if (!connected) return complain({kExitOsError, connected.error().message()});
  auto path = find_program(options.program.words.front());
  if (!path) return complain({kExitNoInput, path.error().message()});
  auto signals = Signals::hold();
  if (!signals) return complain({kExitOsError, signals.error().message()});
  const Log log(options.service.log_format, options.service.log_level);
  TlsSetting tls(options.tls, std::nullopt, log);
  if (const auto failed = tls.prepare()) return complain(*failed);
  Needs needs;
  needs.starts_programs = true;
  if (const auto failed = confine(options.service.hardening, needs, log)) return complain(*failed);
  auto loop = bridge::Loop::create(options.service.loop);
  if (!loop) return complain({kExitUnavailable, "--loop: " + loop.error().message()});

  // Two descriptors of one socket can be two files, one of which is guarded.
  const bool has_two = taken.size() > 1;
  const ReadMode read = options.program.read.value_or(
      has_two && fd == STDIN_FILENO ? ReadMode::kGuarded : ReadMode::kDirect);
  if (read == ReadMode::kGuarded && !has_two) {
    return complain({kExitUsage, "--read guarded needs two descriptors, and there is --fd " +
                                     std::to_string(fd) + " alone"});
  }
  ProgramSetting setting{.tls = tls,
                         .path = *std::move(path),
                         .arguments = options.program.words,
                         .write_fds = taken,
                         .read_fd = std::nullopt,
                         .no_rekey = options.program.no_rekey,
                         .idle_timeout = options.idle_timeout};
  if (read == ReadMode::kGuarded) {
    setting.read_fd = fd;
    std::erase(setting.write_fds, fd);
  }
  Run run{
      .loop = **loop,
      .signals = *signals,
      .setting = setting,
      .origin = {.accept_proxy = options.accept_proxy, .timeout = options.tls.handshake_timeout},
      .cancellation = {},
      .outcome = {}};
  bridge::Scope until_end(**loop);
  (*loop)->spawn(pass_signals_on(run, until_end));
  (*loop)->spawn(serve(run, until_end, *std::move(connected)));
  if (const auto ran = (*loop)->run(); !ran) {
    return complain({kExitOsError, ran.error().message()});
  }
  return exit_code(run);
}

}  // namespace tools
