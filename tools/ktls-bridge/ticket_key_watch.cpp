// The thread that looks.

#include "tools/ktls-bridge/ticket_key_watch.h"

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <system_error>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace tools {

using ktls::Error;
using ktls::Result;

namespace {

// A key that comes a second late opens what it should: the one before it is among the files.
constexpr std::chrono::milliseconds kPause = std::chrono::seconds(1);

}  // namespace

TicketKeyWatch::~TicketKeyWatch() {
  if (!thread_.joinable()) return;
  const std::uint64_t one = 1;
  static_cast<void>(!::write(ended_.get(), &one, sizeof one));
  thread_.join();
}

Result<void> TicketKeyWatch::start() {
  if (files_.empty()) return {};
  ended_.reset(::eventfd(0, EFD_CLOEXEC));
  if (!ended_) return ktls::fail(Error::system(errno, "eventfd"));
  try {
    thread_ = std::thread([this] { watch(); });
  } catch (const std::system_error& error) {
    return ktls::fail(Error::system(error.code().value(), "cannot start a thread"));
  }
  return {};
}

void TicketKeyWatch::watch() const {
  for (;;) {
    pollfd ended{.fd = ended_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&ended, 1, static_cast<int>(kPause.count())) > 0) return;
    files_.look();
  }
}

}  // namespace tools
