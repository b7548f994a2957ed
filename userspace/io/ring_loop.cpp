// The rounds of RingLoop: submission, completion, cancellation, and the end.

#include "userspace/io/ring_loop.h"

#include <cerrno>
#include <exception>
#include <utility>

#include <poll.h>
#include <unistd.h>

namespace bridge {
namespace {

// user_data of requests that are nobody's Flight; those are aligned, so these are no addresses.
constexpr std::uint64_t kWakeData = 2;
constexpr std::uint64_t kIgnoredData = 4;

// Flights kept for reuse: 64 KiB of them.
constexpr std::size_t kIdleFlightsMax = 256;

// After this a cancellation that found its request in between two states is tried again.
constexpr std::chrono::milliseconds kCancelAgain{10};

// How long to wait for memory or for room in the completion ring before submitting again.
constexpr __kernel_timespec kSubmitAgain{0, 1'000'000};

__kernel_timespec until_timespec(Clock::duration left) {
  const auto nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(left).count();
  return {nanoseconds / 1'000'000'000, nanoseconds % 1'000'000'000};
}

}  // namespace

void Flight::fire() {
  loop_.cancel(*this);
}

ktls::Result<std::unique_ptr<Loop>> RingLoop::create(const LoopOptions& options) {
  KTLS_TRY(ktls::UniqueFd wake, wake_descriptor());
  std::unique_ptr<RingLoop> loop(new RingLoop(options, std::move(wake)));
  const ktls::Result<void> opened = loop->ring_.open();
  if (!opened) return ktls::fail(opened.error());
  // Without them readiness is waited for before a block is leased.
  [[maybe_unused]] const bool provided = loop->provided_.register_with(*loop->ring_.get());
  return std::unique_ptr<Loop>(std::move(loop));
}

RingLoop::RingLoop(const LoopOptions& options, ktls::UniqueFd wake)
    : Loop(options, std::move(wake)), provided_(buffers_) {}

RingLoop::~RingLoop() {
  while (idle_flights_ != nullptr) {
    delete std::exchange(idle_flights_, idle_flights_->next_idle);
  }
}

ktls::Result<void> RingLoop::prepare() {
  ktls::Result<void> enabled = ring_.enable();
  if (enabled) watch_wake();
  return enabled;
}

void RingLoop::watch_wake() {
  if (std::exchange(wake_watched_, true)) return;
  io_uring_sqe& sqe = next_sqe();
  ::io_uring_prep_poll_add(&sqe, wake_fd(), POLLIN);
  ::io_uring_sqe_set_data64(&sqe, kWakeData);
}

ktls::Result<void> RingLoop::wait(std::optional<Clock::time_point> until) {
  if (provided_.registered()) provided_.refill();
  int result = 0;
  const Clock::duration left = until ? *until - Clock::now() : Clock::duration::zero();
  if (until && left <= Clock::duration::zero()) {
    result = ::io_uring_submit_and_get_events(ring_.get());
  } else {
    io_uring_cqe* completion = nullptr;
    __kernel_timespec timeout = until_timespec(left);
    result = ::io_uring_submit_and_wait_timeout(ring_.get(), &completion, 1,
                                                until ? &timeout : nullptr, nullptr);
  }
  switch (result < 0 ? -result : 0) {
    case 0:
    case ETIME:
    case EINTR:
      break;
    case EAGAIN:
    case EBUSY:
      submit_all();
      break;
    default:
      return ktls::fail(ktls::Error::system(-result, "io_uring_enter"));
  }
  take_completions();
  return {};
}

// The kernel may hold memory of ours until each operation has completed, so this takes as long
// as the cancellations take, which is no time for sockets and pipes.
void RingLoop::drain() {
  draining_ = true;
  if (wake_watched_) {
    io_uring_sqe& sqe = next_sqe();
    ::io_uring_prep_cancel64(&sqe, kWakeData, 0);
    ::io_uring_sqe_set_data64(&sqe, kIgnoredData);
  }
  while (flights_ > 0 || wake_watched_) {
    if (!wait(timers_.soonest())) break;
    fire_timers();
  }
  draining_ = false;
}

Flight& RingLoop::new_flight() {
  ++flights_;
  if (idle_flights_ == nullptr) return *new Flight(*this);
  --idle_flights_count_;
  Flight& flight = *std::exchange(idle_flights_, idle_flights_->next_idle);
  flight.next_idle = nullptr;
  return flight;
}

void RingLoop::recycle_if_done(Flight& flight) {
  if (flight.airborne || flight.cancel_queued || flight.wait != nullptr) return;
  --flights_;
  flight.buffer.reset();
  if (idle_flights_count_ == kIdleFlightsMax) {
    delete &flight;
    return;
  }
  flight.cargo = Flight::Cargo::kNone;
  flight.cancelled = false;
  flight.next_idle = std::exchange(idle_flights_, &flight);
  ++idle_flights_count_;
}

void RingLoop::cancel(Flight& flight) {
  if (!flight.airborne || flight.cancel_queued) return;
  io_uring_sqe& sqe = next_sqe();
  ::io_uring_prep_cancel64(&sqe, flight.user_data(), 0);
  ::io_uring_sqe_set_data64(&sqe, flight.user_data() | Flight::kCancelTag);
  flight.cancelled = flight.cancel_queued = true;
}

// The request must have reached the kernel before the caller can close its descriptor: in the
// queue it is but a number, which could be somebody else's by the time it is looked up.
void RingLoop::detach(Flight& flight) {
  flight.wait = nullptr;
  cancel(flight);
  if (flight.airborne) submit_all();
  recycle_if_done(flight);
}

void RingLoop::land(Flight& flight, const io_uring_cqe& completion) {
  flight.airborne = false;
  timers_.disarm(flight);
  const int result = completion.res;
  Buffer provided;
  if ((completion.flags & IORING_CQE_F_BUFFER) != 0) {
    const auto id = static_cast<std::uint16_t>(completion.flags >> IORING_CQE_BUFFER_SHIFT);
    provided = provided_.take(id, result > 0 ? static_cast<std::size_t>(result) : 0);
  }
  if (result > 0 && flight.cargo == Flight::Cargo::kBytes) {
    flight.buffer.mark_written(flight.buffer_offset, static_cast<std::size_t>(result));
  }
  RingWait* const wait = std::exchange(flight.wait, nullptr);
  if (wait != nullptr) {
    wait->complete(result, std::move(provided));
  } else if (result >= 0 && flight.cargo == Flight::Cargo::kDescriptor) {
    ::close(result);
  }
  recycle_if_done(flight);
}

io_uring_sqe& RingLoop::next_sqe() {
  io_uring_sqe* sqe = ::io_uring_get_sqe(ring_.get());
  while (sqe == nullptr) {
    submit_all();
    sqe = ::io_uring_get_sqe(ring_.get());
  }
  return *sqe;
}

void RingLoop::submit_all() {
  while (::io_uring_sq_ready(ring_.get()) > 0) {
    const int submitted = ::io_uring_submit(ring_.get());
    if (submitted >= 0 || submitted == -EINTR) continue;
    // Any other refusal of a ring that is ours and enabled is a broken contract: run() on two
    // threads, or memory overwritten. Going on could lose an operation that owns memory.
    if (submitted != -EBUSY && submitted != -EAGAIN) std::terminate();
    io_uring_cqe* completion = nullptr;
    __kernel_timespec timeout = kSubmitAgain;
    ::io_uring_wait_cqe_timeout(ring_.get(), &completion, &timeout);
    take_completions();
  }
}

void RingLoop::take_completions() {
  io_uring_cqe* completion = nullptr;
  while (::io_uring_peek_cqe(ring_.get(), &completion) == 0) {
    // Copied, because what it leads to may come back here by way of submit_all().
    const io_uring_cqe copy = *completion;
    ::io_uring_cqe_seen(ring_.get(), completion);
    take_completion(copy);
  }
}

void RingLoop::take_completion(const io_uring_cqe& completion) {
  const std::uint64_t data = completion.user_data;
  if (data == kIgnoredData) return;
  if (data == kWakeData) {
    wake_watched_ = false;
    if (completion.res < 0) return;
    woken();
    if (!draining_) watch_wake();
    return;
  }
  // NOLINTNEXTLINE(performance-no-int-to-ptr): it was a pointer when it left
  Flight& flight = *reinterpret_cast<Flight*>(data & ~Flight::kCancelTag);
  if ((data & Flight::kCancelTag) == 0) {
    land(flight, completion);
    return;
  }
  flight.cancel_queued = false;
  // Not found, although it has not completed: it was on its way from one state to the next and
  // may wait again by now. Found running: the kernel tries to interrupt it, without promise.
  if (flight.airborne && completion.res < 0) timers_.arm(flight, Clock::now() + kCancelAgain);
  recycle_if_done(flight);
}

}  // namespace bridge
