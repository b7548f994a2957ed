// The writing thread of the access log.

#include "tools/http/access_log.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

namespace http {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using ktls::UniqueFd;

constexpr int kFirstFdAboveStandard = 3;

// For a pipe that nobody empties; afterwards the bound of what waits decides.
constexpr int kPipeWaitMs = 1000;

bool is_standard_output(const std::string& path) {
  return path == "-";
}

// Not blocking, so that a FIFO without a reader is an error and not a server that never starts.
Result<UniqueFd> open_log(const std::string& path) {
  UniqueFd fd(is_standard_output(path)
                  ? ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, kFirstFdAboveStandard)
                  : ::open(path.c_str(),
                           O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
                           0640));
  if (!fd) return ktls::fail(Error::system(errno, fmt::format("access log {}", path)));
  return fd;
}

}  // namespace

Result<std::unique_ptr<AccessLog>> AccessLog::open(const std::string& path, OnTrouble on_trouble,
                                                   AccessLogLimits limits) {
  KTLS_TRY(UniqueFd fd, open_log(path));
  return std::unique_ptr<AccessLog>(
      new AccessLog(path, std::move(fd), std::move(on_trouble), limits));
}

AccessLog::AccessLog(std::string path, UniqueFd fd, OnTrouble on_trouble, AccessLogLimits limits)
    : path_(std::move(path)),
      on_trouble_(std::move(on_trouble)),
      limits_(limits),
      fd_(std::move(fd)) {}

// Signals are for the threads that wait for them: this one takes none, nor dies of SIGPIPE or
// SIGXFSZ.
Result<void> AccessLog::start() {
  sigset_t all{};
  sigset_t before{};
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  int sys_errno = 0;
  try {
    thread_ = std::thread([this] { write_until_stopped(); });
  } catch (const std::system_error& error) {
    sys_errno = error.code().value();
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (sys_errno != 0) return ktls::fail(Error::system(sys_errno, "a thread for the access log"));
  return {};
}

AccessLog::~AccessLog() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void AccessLog::append(std::string_view line) {
  bool wakes = false;
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() + undone_bytes_ + line.size() + 1 > limits_.waiting_bytes_max) {
      ++lines_lost_;
      return;
    }
    const std::size_t before = waiting_.size();
    waiting_.append(line).push_back('\n');
    wakes = before == 0 || (before < limits_.batch_bytes && waiting_.size() >= limits_.batch_bytes);
  }
  if (wakes) work_.notify_one();
}

void AccessLog::reopen() {
  {
    const std::lock_guard lock(mutex_);
    reopening_ = true;
  }
  work_.notify_one();
}

void AccessLog::flush() {
  if (!thread_.joinable()) return;
  std::unique_lock lock(mutex_);
  const std::uint64_t round = ++rounds_asked_;
  work_.notify_one();
  finished_.wait(lock, [&] { return rounds_made_ >= round; });
}

// Answers whether this is the last round.
bool AccessLog::wait_for_work(std::unique_lock<std::mutex>& lock) {
  const auto is_urgent = [&] {
    return stopping_ || reopening_ || rounds_asked_ != rounds_made_ ||
           waiting_.size() >= limits_.batch_bytes;
  };
  // Asleep without a clock while there is nothing to write.
  work_.wait(lock, [&] { return is_urgent() || !waiting_.empty() || undone_bytes_ != 0; });
  work_.wait_for(lock, limits_.delay_max, is_urgent);
  return stopping_;
}

void AccessLog::write_until_stopped() {
  std::unique_lock lock(mutex_);
  for (bool is_last = false; !is_last;) {
    is_last = wait_for_work(lock);
    const std::uint64_t round = rounds_asked_;
    const bool reopening = std::exchange(reopening_, false);
    undone_ += waiting_;
    waiting_.clear();
    undone_bytes_ = undone_.size();
    lock.unlock();
    write_round(reopening);
    lock.lock();
    undone_bytes_ = undone_.size();
    rounds_made_ = round;
    finished_.notify_all();
  }
}

void AccessLog::write_round(bool reopening) {
  Result<void> outcome = write_undone();
  forget_whole_lines();
  if (reopening && !is_standard_output(path_)) {
    if (auto fd = open_log(path_)) {
      fd_ = *std::move(fd);
      // A line that the old file has no room for is whole in the new one.
      undone_offset_ = 0;
      outcome = write_undone();
      forget_whole_lines();
    } else {
      outcome = ktls::fail(std::move(fd).error());
    }
  }
  note_outcome(outcome);
}

Result<void> AccessLog::write_undone() {
  while (undone_offset_ < undone_.size()) {
    const ssize_t written =
        ::write(fd_.get(), undone_.data() + undone_offset_, undone_.size() - undone_offset_);
    if (written > 0) {
      undone_offset_ += static_cast<std::size_t>(written);
      continue;
    }
    const int sys_errno = written == 0 ? ENOSPC : errno;
    if (sys_errno == EINTR) continue;
    pollfd writable{fd_.get(), POLLOUT, 0};
    if (sys_errno == EAGAIN && ::poll(&writable, 1, kPipeWaitMs) == 1) continue;
    return ktls::fail(Error::system(sys_errno, fmt::format("access log {}", path_)));
  }
  return {};
}

void AccessLog::forget_whole_lines() {
  if (undone_offset_ == 0) return;
  const std::size_t end = undone_.rfind('\n', undone_offset_ - 1);
  if (end == std::string::npos) return;
  undone_.erase(0, end + 1);
  undone_offset_ -= end + 1;
}

void AccessLog::note_outcome(const Result<void>& outcome) {
  const std::uint64_t lost = lines_lost_;
  const bool loses = lost != std::exchange(lines_lost_told_, lost);
  const bool is_well = outcome && !loses;
  if (!is_well && !in_trouble_ && on_trouble_) {
    on_trouble_(outcome ? Error::of(ErrorCode::kLimitReached,
                                    fmt::format("access log {}: lines come faster than they can "
                                                "be written, and are lost",
                                                path_))
                        : outcome.error());
  }
  in_trouble_ = !is_well;
}

}  // namespace http
