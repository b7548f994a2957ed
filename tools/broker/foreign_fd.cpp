// What may take its time to close does so elsewhere.

#include "tools/broker/foreign_fd.h"

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>

#include <sys/socket.h>

namespace tools {
namespace {

using ktls::UniqueFd;

// Files that are no sockets come from clients that have made a mistake, or worse. With so many
// waiting, somebody means it, and the thread is not coming back.
constexpr std::size_t kClosingMax = 64;

// One for the process, begun when there is something to close. It is never joined: what it closes
// may take for ever, and the process ends all the same.
class Closer {
 public:
  void close(UniqueFd fd) {
    const std::lock_guard lock(mutex_);
    if (closing_.size() >= kClosingMax || !begin()) {
      static_cast<void>(fd.release());  // left open: better than waiting for it here
      return;
    }
    closing_.push_back(std::move(fd));
    changed_.notify_one();
  }

 private:
  bool begin() {
    if (has_begun_) return true;
    try {
      std::thread([this] { run(); }).detach();
    } catch (const std::system_error&) {
      return false;
    }
    has_begun_ = true;
    return true;
  }

  [[noreturn]] void run() {
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !closing_.empty(); });
      const UniqueFd fd = std::move(closing_.front());
      closing_.pop_front();
      lock.unlock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<UniqueFd> closing_;
  bool has_begun_ = false;
};

Closer& closer() {
  static auto* const the_closer = new Closer();  // outlives the thread, which is not joined
  return *the_closer;
}

// So many sockets that linger close at once; more only where somebody means to hold the broker up.
constexpr int kLingeringMax = 64;

// Closes a socket that lingers on a thread of its own. False, and nothing is done, where too many
// do so already.
bool close_lingering(UniqueFd& fd) {
  static std::atomic<int> lingering = 0;
  if (lingering.fetch_add(1) < kLingeringMax) {
    const int number = fd.get();
    try {
      std::thread([number] {
        UniqueFd(number).reset();
        --lingering;
      }).detach();
      static_cast<void>(fd.release());
      return true;
    } catch (const std::system_error&) {
      // Told to the caller like the other reason.
    }
  }
  --lingering;
  return false;
}

}  // namespace

void ForeignFd::reset() {
  if (!fd_.valid()) return;
  linger present{};
  socklen_t size = sizeof present;
  const bool is_socket = ::getsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &present, &size) == 0;
  if (!is_socket) {
    closer().close(std::move(fd_));
    return;
  }
  // With no time at all to linger it is a reset, which waits for nothing and may be what was meant.
  // The option is the socket's, which a program may go on using: it is taken away last of all.
  if (present.l_onoff != 0 && present.l_linger != 0 && !close_lingering(fd_)) {
    const linger none{.l_onoff = 0, .l_linger = 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &none, sizeof none);
  }
  fd_.reset();
}

}  // namespace tools
