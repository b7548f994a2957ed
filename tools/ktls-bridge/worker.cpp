// Accepting, counting and draining of one thread's connections.

#include "tools/ktls-bridge/worker.h"

#include <cerrno>
#include <system_error>
#include <utility>

namespace tools {
namespace {

using bridge::Scope;
using bridge::Task;
using ktls::Error;
using ktls::UniqueFd;
using std::chrono::milliseconds;

// When descriptors or memory run out, accepting again at once would spin: connections end first.
// The same goes for a system that refuses (EPERM).
constexpr milliseconds kAcceptPause{100};
// Longer than anybody waits; the sleep is ended by cancelling it.
constexpr milliseconds kUntilWoken = std::chrono::hours(24);

// accept(2): the error is that of one connection, which ended before we came to it.
bool is_over_already(const Error& error) {
  switch (error.sys_errno) {
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
      return true;
    default:
      return false;
  }
}

bool is_shortage(const Error& error) {
  return error.sys_errno == EMFILE || error.sys_errno == ENFILE || error.sys_errno == ENOBUFS ||
         error.sys_errno == ENOMEM;
}

}  // namespace

Worker::Worker(const Log& log, std::unique_ptr<bridge::Loop> loop, std::vector<Listener> listeners,
               const WorkerLimits& limits, std::function<void()> on_stopped)
    : log_(log),
      loop_(std::move(loop)),
      listeners_(std::move(listeners)),
      limits_(limits),
      on_stopped_(std::move(on_stopped)),
      accepting_(*loop_),
      draining_(*loop_) {}

Worker::~Worker() {
  join();
}

ktls::Result<void> Worker::start() {
  try {
    thread_ = std::thread([this] {
      for (Listener& listener : listeners_) loop_->spawn(accept_from(listener));
      if (const auto ran = loop_->run(); !ran) {
        log_.write(LogLevel::kError, "loop", {{"error", ran.error().message()}});
        failed_ = true;
      }
      // The loop may have stopped before accept_from() came to it. Connections must not go on
      // queueing where nobody accepts them any more.
      listeners_.clear();
      has_ended_ = true;
      on_stopped_();
    });
  } catch (const std::system_error& error) {
    return ktls::fail(Error::system(error.code().value(), "cannot start a thread"));
  }
  return {};
}

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

bool Worker::take_turn() {
  const bool has_turned = has_turned_.exchange(false);
  if (has_turned || !is_turn_asked_) {
    is_turn_asked_ = loop_->post([this] { has_turned_ = true; });
  }
  return has_turned;
}

void Worker::drain() {
  loop_->post([this] { begin_drain(); });
}

void Worker::begin_drain() {
  if (std::exchange(is_draining_, true)) return;
  accepting_.cancel();
  for (Scope* waiting : waiting_for_room_) waiting->cancel();
  for (Cancellation* session : sessions_) session->drain();
  loop_->spawn(end_at_deadline());
  stop_when_idle();
}

void Worker::stop_when_idle() {
  if (is_draining_ && connections_ == 0) {
    draining_.cancel();
    loop_->stop();
  }
}

Task<void> Worker::end_at_deadline() {
  auto slept = co_await loop_->sleep(draining_, limits_.drain_timeout);
  if (!slept) co_return;  // all ended before
  cut_off_ = sessions_.size();
  for (Cancellation* session : sessions_) session->cancel();
}

Task<void> Worker::wait_for_room() {
  while (connections_ >= limits_.max_connections && !is_draining_) {
    Scope room(*loop_);
    waiting_for_room_.insert(&room);
    auto slept = co_await loop_->sleep(room, kUntilWoken);
    static_cast<void>(slept);
    waiting_for_room_.erase(&room);
  }
}

void Worker::warn(const Error& error) const {
  LogFields fields = {{"error", error.message()}};
  if (is_shortage(error)) {
    fields.emplace_back("hint", std::string("raise the limit of open files (ulimit -n), or lower "
                                            "--max-connections"));
  }
  log_.write(LogLevel::kWarning, "accept", fields);
}

Task<void> Worker::accept_from(Listener& listener) {
  bool is_warned = false;  // once for each time that it does not work
  while (!is_draining_) {
    co_await wait_for_room();
    auto accepted = co_await loop_->accept(accepting_, listener.socket.get());
    if (accepted) {
      is_warned = false;
      // The last place may have gone to another listener meanwhile.
      co_await wait_for_room();
      if (is_draining_) break;
      ++connections_;  // here, because the session begins later than the next accept()
      loop_->spawn(run_session(listener.serve, *std::move(accepted)));
      continue;
    }
    if (accepting_.failure()) break;
    if (is_over_already(accepted.error())) continue;
    if (!std::exchange(is_warned, true)) warn(accepted.error());
    auto paused = co_await loop_->sleep(accepting_, kAcceptPause);
    static_cast<void>(paused);
  }
  listener.socket.reset();  // who comes now is refused at once instead of waiting in the queue
}

Task<void> Worker::run_session(const Serve& serve, UniqueFd accepted) {
  Cancellation cancellation;
  if (is_draining_) cancellation.drain();
  sessions_.insert(&cancellation);
  co_await serve(*loop_, cancellation, std::move(accepted));
  sessions_.erase(&cancellation);
  --connections_;
  // All of them, because the first may wait for a client for ever. Who comes too late waits on.
  for (Scope* waiting : waiting_for_room_) waiting->cancel();
  stop_when_idle();
}

}  // namespace tools
