// signalfd(2) around the signals of a service.

#include "tools/ktls-bridge/signals.h"

#include <array>
#include <cerrno>
#include <csignal>

#include <sys/signalfd.h>
#include <unistd.h>

namespace tools {

using ktls::Error;
using ktls::Result;
using ktls::UniqueFd;

Result<Signals> Signals::hold() {
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
  signalfd_siginfo info{};
  if (::read(fd_.get(), &info, sizeof info) != sizeof info) return std::nullopt;
  return Signal{.number = static_cast<int>(info.ssi_signo),
                .is_from_kernel = info.ssi_code == SI_KERNEL,
                .sender = static_cast<pid_t>(info.ssi_pid)};
}

}  // namespace tools
