// timerfd(2).

#include "tools/supervision/ticker.h"

#include <cerrno>
#include <cstdint>
#include <utility>

#include <sys/timerfd.h>
#include <unistd.h>

namespace tools {

using ktls::Error;
using ktls::UniqueFd;

ktls::Result<void> Ticker::start(std::chrono::microseconds interval) {
  UniqueFd fd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!fd) return ktls::fail(Error::system(errno, "timerfd_create"));
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(interval);
  const std::chrono::nanoseconds rest = interval - seconds;
  const timespec period{.tv_sec = seconds.count(), .tv_nsec = rest.count()};
  const itimerspec times{.it_interval = period, .it_value = period};
  if (::timerfd_settime(fd.get(), 0, &times, nullptr) != 0) {
    return ktls::fail(Error::system(errno, "timerfd_settime"));
  }
  fd_ = std::move(fd);
  return {};
}

bool Ticker::take() const {
  std::uint64_t due = 0;
  return ::read(fd_.get(), &due, sizeof due) == sizeof due;
}

}  // namespace tools
