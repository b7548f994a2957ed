// How the io_uring of a RingLoop is opened, and what makes it count as refused.

#include <array>
#include <cerrno>

#include <sys/syscall.h>
#include <unistd.h>

#include "userspace/io/ring_loop.h"

namespace bridge {
namespace {

// Requests between two submissions; more are submitted early.
constexpr unsigned kSubmissionsMax = 256;
// Completions that the shared ring holds. The kernel keeps what does not fit and hands it over
// later (IORING_FEAT_NODROP), at some cost, so there is room for a burst of all connections of a
// busy loop.
constexpr unsigned kCompletionsMax = 4096;
// For the trial alone.
constexpr unsigned kTrialEntries = 4;
constexpr __kernel_timespec kTrialTimeout{1, 0};

// All that RingLoop asks for, apart from provided buffers, which it can do without.
constexpr std::array kOperations = {IORING_OP_NOP,         IORING_OP_ACCEPT, IORING_OP_CONNECT,
                                    IORING_OP_RECV,        IORING_OP_SEND,   IORING_OP_POLL_ADD,
                                    IORING_OP_ASYNC_CANCEL};
constexpr unsigned kFeatures =
    IORING_FEAT_NODROP | IORING_FEAT_FAST_POLL | IORING_FEAT_EXT_ARG | IORING_FEAT_SUBMIT_STABLE;

// The best first. Kernels before 6.1 refuse the first, those before 5.19 the second; before 5.15
// nothing here is tested.
constexpr std::array kFlagSets = {
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL,
    IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL,
    0U,
};

ktls::Result<void> refused(int negative_errno, const char* call) {
  return ktls::fail(ktls::Error::system(-negative_errno, call));
}

ktls::Result<void> check_operations(io_uring& ring) {
  io_uring_probe* const probe = ::io_uring_get_probe_ring(&ring);
  if (probe == nullptr) return refused(-EPERM, "io_uring_register");
  bool all = true;
  for (const int operation : kOperations) {
    all = all && ::io_uring_opcode_supported(probe, operation) != 0;
  }
  ::io_uring_free_probe(probe);
  if (!all) return refused(-EOPNOTSUPP, "io_uring: an operation");
  return {};
}

// One request that does nothing, there and back: a filter may let the ring be set up and refuse
// what it is for.
ktls::Result<void> send_round(io_uring& ring) {
  io_uring_sqe* const sqe = ::io_uring_get_sqe(&ring);
  ::io_uring_prep_nop(sqe);
  __kernel_timespec timeout = kTrialTimeout;
  io_uring_cqe* completion = nullptr;
  const int submitted =
      ::io_uring_submit_and_wait_timeout(&ring, &completion, 1, &timeout, nullptr);
  if (submitted < 0) return refused(submitted, "io_uring_enter");
  if (::io_uring_peek_cqe(&ring, &completion) != 0 || completion->res != 0) {
    return refused(-EOPNOTSUPP, "io_uring: a request");
  }
  ::io_uring_cqe_seen(&ring, completion);
  return {};
}

ktls::Result<void> try_once() {
  io_uring ring{};
  const int opened = ::io_uring_queue_init(kTrialEntries, &ring, 0);
  if (opened < 0) return refused(opened, "io_uring_setup");
  ktls::Result<void> outcome;
  if ((ring.features & kFeatures) != kFeatures) {
    outcome = refused(-EOPNOTSUPP, "io_uring: a feature");
  }
  if (outcome) outcome = check_operations(ring);
  if (outcome) outcome = send_round(ring);
  ::io_uring_queue_exit(&ring);
  return outcome;
}

}  // namespace

ktls::Result<void> RingLoop::Ring::open() {
  ktls::Result<void> tried = try_once();
  if (!tried) return tried;
  int opened = -EINVAL;
  for (const unsigned flags : kFlagSets) {
    io_uring_params params{};
    params.flags = flags | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    params.cq_entries = kCompletionsMax;
    opened = ::io_uring_queue_init_params(kSubmissionsMax, &ring_, &params);
    if (opened != -EINVAL) break;
  }
  if (opened < 0) return refused(opened, "io_uring_setup");
  open_ = true;
  return {};
}

ktls::Result<void> RingLoop::Ring::enable() {
  if (enabled_) return {};
  // liburing 2.3 declares io_uring_enable_rings and forgets to export it.
  const long result =
      ::syscall(__NR_io_uring_register, ring_.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0U);
  if (result < 0) return refused(-errno, "io_uring_register");
  enabled_ = true;
  return {};
}

}  // namespace bridge
