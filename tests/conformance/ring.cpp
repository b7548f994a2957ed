// One request and its completion.

#include "tests/conformance/ring.h"

#include <cerrno>

#include <sys/socket.h>

namespace conformance {
namespace {

constexpr unsigned kEntries = 2;

}  // namespace

ktls::Result<Ring> Ring::create() {
  auto ring = std::make_unique<io_uring>();
  const int answer = ::io_uring_queue_init(kEntries, ring.get(), 0);
  if (answer < 0) return ktls::fail(ktls::Error::system(-answer, "io_uring_queue_init"));
  return Ring(std::unique_ptr<io_uring, Exit>(ring.release()));
}

void Ring::Exit::operator()(io_uring* ring) const {
  ::io_uring_queue_exit(ring);
  delete ring;
}

int Ring::send(int fd, std::span<const std::uint8_t> bytes) {
  io_uring_sqe* const entry = ::io_uring_get_sqe(ring_.get());
  ::io_uring_prep_send(entry, fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  return round_trip();
}

int Ring::receive(int fd, std::span<std::uint8_t> bytes) {
  io_uring_sqe* const entry = ::io_uring_get_sqe(ring_.get());
  ::io_uring_prep_recv(entry, fd, bytes.data(), bytes.size(), 0);
  return round_trip();
}

int Ring::round_trip() {
  io_uring_cqe* completion = nullptr;
  int answer = ::io_uring_submit(ring_.get());
  do {
    if (answer >= 0) answer = ::io_uring_wait_cqe(ring_.get(), &completion);
  } while (answer == -EINTR);
  if (answer < 0) return answer;
  answer = completion->res;
  ::io_uring_cqe_seen(ring_.get(), completion);
  return answer;
}

}  // namespace conformance
