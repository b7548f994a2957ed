// What is said to whom.

#include "tools/supervision/supervisor.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "tools/common/log.h"
#include "tools/supervision/inherited_descriptor.h"
#include "tools/supervision/variable.h"

namespace tools {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr int kPingsPerDeadline = 4;
// More often helps nobody, whatever the deadline.
constexpr microseconds kIntervalLeast = milliseconds(1);
constexpr int kDescriptorTimeoutMs = 1000;
// For the last of what there is to do after the deadline of a drain.
constexpr microseconds kLastWords = std::chrono::seconds(10);

// As systemd compares it with its own clock.
std::uint64_t monotonic_usec() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1'000;
}

}  // namespace

Supervisor::Supervisor(OnFault on_fault) : on_fault_(std::move(on_fault)) {
  open_notify_socket();
  take_watchdog();
}

void Supervisor::open_notify_socket() {
  const auto address = take_variable("NOTIFY_SOCKET");
  if (!address || address->empty()) return;
  auto opened = NotifySocket::open(*address);
  if (opened) {
    notify_ = *std::move(opened);
  } else {
    on_fault_(
        Error::of(opened.error().code, "NOTIFY_SOCKET: " + std::string(opened.error().message())));
  }
}

void Supervisor::take_watchdog() {
  const auto usec = take_variable("WATCHDOG_USEC");
  const auto pid = take_variable("WATCHDOG_PID");
  if (!usec || !notify_) return;
  // Without a number it is for whoever reads it.
  if (pid && number_of<std::uint64_t>(*pid) != static_cast<std::uint64_t>(::getpid())) return;
  const auto deadline = number_of<std::uint64_t>(*usec);
  // As long as a time in microseconds of 64 bits with a sign can be.
  if (!deadline || *deadline == 0 || *deadline > INT64_MAX) {
    on_fault_(Error::of(ErrorCode::kInvalidArgument,
                        "WATCHDOG_USEC: '" + *usec + "' is no number of microseconds"));
    return;
  }
  watchdog_ = microseconds(static_cast<std::int64_t>(*deadline));
}

microseconds Supervisor::ping_interval() const {
  return std::max(watchdog_.value_or(microseconds(0)) / kPingsPerDeadline, kIntervalLeast);
}

Result<void> Supervisor::take_ready_descriptor(int fd) {
  if (auto claimed = claim_inherited(fd); !claimed) return claimed;
  ready_fd_.reset(fd);
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY) {
    return ktls::fail(Error::of(ErrorCode::kUnsupported,
                                "descriptor " + std::to_string(fd) + " is not open for writing"));
  }
  return {};
}

void Supervisor::ready(const std::string& status) {
  tell("READY=1\nSTATUS=" + one_line(status) + "\n");
  tell_descriptor();
}

void Supervisor::reloading() {
  tell("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(monotonic_usec()) + "\n");
}

void Supervisor::stopping(const std::string& status, milliseconds wait) {
  const microseconds patience = microseconds(wait) + kLastWords;
  tell("STOPPING=1\nSTATUS=" + one_line(status) +
       "\nEXTEND_TIMEOUT_USEC=" + std::to_string(patience.count()) + "\n");
}

void Supervisor::ping() {
  if (watchdog_) tell("WATCHDOG=1\n");
}

void Supervisor::tell(const std::string& message) {
  if (!notify_) return;
  const auto told = notify_->send(message);
  if (told) {
    is_faulty_ = false;
  } else if (!std::exchange(is_faulty_, true)) {
    on_fault_(told.error());
  }
}

// A line, as s6 wants one, and the end of it.
void Supervisor::tell_descriptor() {
  const ktls::UniqueFd fd = std::move(ready_fd_);
  if (!fd) return;
  pollfd room{.fd = fd.get(), .events = POLLOUT, .revents = 0};
  const bool has_room = ::poll(&room, 1, kDescriptorTimeoutMs) == 1;
  if (!has_room || ::write(fd.get(), "\n", 1) != 1) {
    on_fault_(Error::system(has_room ? errno : ETIMEDOUT, "--ready-fd"));
  }
}

}  // namespace tools
