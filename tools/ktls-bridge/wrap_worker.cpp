// Accepting, counting and draining of one thread's connections.

#include "tools/ktls-bridge/wrap_worker.h"

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
constexpr milliseconds kAcceptPause{100};
// Longer than anybody waits; the sleep is ended by cancelling it.
constexpr milliseconds kUntilWoken = std::chrono::hours(24);

bool is_shortage(const Error& error) {
  return error.sys_errno == EMFILE || error.sys_errno == ENFILE || error.sys_errno == ENOBUFS ||
         error.sys_errno == ENOMEM;
}

}  // namespace

WrapWorker::WrapWorker(const WrapSetting& setting, std::unique_ptr<bridge::Loop> loop,
                       std::vector<UniqueFd> listeners, std::size_t max_connections,
                       std::function<void()> on_stopped)
    : setting_(setting),
      loop_(std::move(loop)),
      listeners_(std::move(listeners)),
      max_connections_(max_connections),
      on_stopped_(std::move(on_stopped)),
      accepting_(*loop_),
      draining_(*loop_) {}

WrapWorker::~WrapWorker() {
  join();
}

ktls::Result<void> WrapWorker::start() {
  try {
    thread_ = std::thread([this] {
      for (UniqueFd& listener : listeners_) loop_->spawn(accept_from(listener));
      if (const auto ran = loop_->run(); !ran) {
        setting_.log->write(LogLevel::kError, "loop", {{"error", ran.error().message()}});
        failed_ = true;
      }
      on_stopped_();
    });
  } catch (const std::system_error& error) {
    return ktls::fail(Error::system(error.code().value(), "cannot start a thread"));
  }
  return {};
}

void WrapWorker::join() {
  if (thread_.joinable()) thread_.join();
}

void WrapWorker::drain() {
  loop_->post([this] { begin_drain(); });
}

void WrapWorker::begin_drain() {
  if (std::exchange(is_draining_, true)) return;
  accepting_.cancel();
  for (Scope* waiting : waiting_for_room_) waiting->cancel();
  loop_->spawn(end_at_deadline());
  stop_when_idle();
}

void WrapWorker::stop_when_idle() {
  if (is_draining_ && sessions_.empty()) {
    draining_.cancel();
    loop_->stop();
  }
}

Task<void> WrapWorker::end_at_deadline() {
  auto slept = co_await loop_->sleep(draining_, setting_.options->drain_timeout);
  if (!slept) co_return;  // all ended before
  cut_off_ = sessions_.size();
  for (Cancellation* session : sessions_) session->cancel();
}

Task<void> WrapWorker::wait_for_room() {
  while (sessions_.size() >= max_connections_ && !is_draining_) {
    Scope room(*loop_);
    waiting_for_room_.insert(&room);
    auto slept = co_await loop_->sleep(room, kUntilWoken);
    static_cast<void>(slept);
    waiting_for_room_.erase(&room);
  }
}

Task<void> WrapWorker::accept_from(UniqueFd& listener) {
  while (!is_draining_) {
    co_await wait_for_room();
    auto accepted = co_await loop_->accept(accepting_, listener.get());
    if (accepted) {
      loop_->spawn(run_session(*std::move(accepted)));
      continue;
    }
    if (accepting_.failure()) break;
    if (!is_shortage(accepted.error())) continue;  // the client went away before we came
    setting_.log->write(LogLevel::kWarning, "accept",
                        {{"error", accepted.error().message()},
                         {"hint", std::string("raise the limit of open files (ulimit -n), or "
                                              "lower --max-connections")}});
    auto paused = co_await loop_->sleep(accepting_, kAcceptPause);
    static_cast<void>(paused);
  }
  listener.reset();  // who comes now is refused at once instead of waiting in the queue
}

Task<void> WrapWorker::run_session(UniqueFd accepted) {
  Cancellation cancellation;
  sessions_.insert(&cancellation);
  co_await wrap_session(*loop_, cancellation, setting_, std::move(accepted));
  sessions_.erase(&cancellation);
  if (!waiting_for_room_.empty()) (*waiting_for_room_.begin())->cancel();
  stop_when_idle();
}

}  // namespace tools
