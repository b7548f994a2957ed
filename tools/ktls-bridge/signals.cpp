// signalfd(2) around the signals of a service.

#include "tools/ktls-bridge/signals.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <sys/signalfd.h>
#include <unistd.h>

#include "tools/ktls-bridge/start_gate.h"

namespace tools {

using ktls::Error;
using ktls::Result;
using ktls::UniqueFd;

namespace {

std::optional<Signal> read_one(int fd) {
  signalfd_siginfo info{};
  if (::read(fd, &info, sizeof info) != sizeof info) return std::nullopt;
  return Signal{.number = static_cast<int>(info.ssi_signo),
                .is_from_kernel = info.ssi_code == SI_KERNEL,
                .sender = static_cast<pid_t>(info.ssi_pid)};
}

// A terminal, or a service manager, sends SIGINT or SIGTERM to the whole group, and the supervisor
// sends it again: only the first counts, and it is SIGQUIT that stands for the second.
bool is_repeated(Signal& signal) {
  static bool has_ended = false;
  if (signal.number == SIGQUIT) {
    signal.number = SIGTERM;
    return false;
  }
  return signal.number != SIGHUP && std::exchange(has_ended, true);
}

}  // namespace

std::string name_of_signal(int number) {
  if (number >= SIGRTMIN && number <= SIGRTMAX) {
    return "SIGRTMIN+" + std::to_string(number - SIGRTMIN);
  }
  const char* const name = ::sigabbrev_np(number);
  return name != nullptr ? std::string("SIG") + name : std::to_string(number);
}

Result<Signals> Signals::hold() {
  if (StartGate::is_supervised()) return hold(std::array{SIGTERM, SIGINT, SIGHUP, SIGQUIT});
  return hold(std::array{SIGTERM, SIGINT, SIGHUP});
}

Result<Signals> Signals::hold(std::span<const int> numbers) {
  sigset_t held;
  ::sigemptyset(&held);
  for (const int number : numbers) ::sigaddset(&held, number);
  ::pthread_sigmask(SIG_BLOCK, &held, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  UniqueFd fd(::signalfd(-1, &held, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return ktls::fail(Error::system(errno, "signalfd"));
  return Signals(std::move(fd));
}

std::optional<Signal> Signals::take() {
  auto signal = read_one(fd_.get());
  while (signal && StartGate::is_supervised() && is_repeated(*signal)) signal = read_one(fd_.get());
  return signal;
}

}  // namespace tools
