// Carrying bytes, with one chunk a direction under way.

#include "tests/conformance/wire_relay.h"

#include <cerrno>
#include <utility>

#include <poll.h>
#include <sys/socket.h>

#include "tests/conformance/sockets.h"

namespace conformance {
namespace {

using ktls::Error;
using ktls::Result;

constexpr std::size_t kChunkSize = 1 << 17;

}  // namespace

WireRelay::WireRelay(ktls::UniqueFd client, ktls::UniqueFd server, WireOracle& oracle)
    : client_(std::move(client)),
      server_(std::move(server)),
      ways_{Way{client_.get(), server_.get(), &oracle.from(tls::Role::kClient), {}},
            Way{server_.get(), client_.get(), &oracle.from(tls::Role::kServer), {}}} {}

void WireRelay::cut() {
  ::shutdown(client_.get(), SHUT_RDWR);
  ::shutdown(server_.get(), SHUT_RDWR);
}

Result<void> WireRelay::run() {
  for (const auto* fd : {&client_, &server_}) {
    if (auto set = set_blocking(fd->get(), false); !set) return set;
  }
  while (!ways_[0].ended || !ways_[1].ended) {
    if (auto waited = wait(); !waited) return waited;
    for (Way& way : ways_) {
      if (way.ended) continue;
      if (auto moved = way.has_waiting() ? give(way) : take(way); !moved) return moved;
    }
  }
  return objection_ ? ktls::fail(*objection_) : Result<void>();
}

Result<void> WireRelay::wait() {
  std::array<pollfd, 2> entries{};
  for (std::size_t i = 0; i < ways_.size(); ++i) {
    const Way& way = ways_[i];
    const short events = way.has_waiting() ? POLLOUT : POLLIN;
    entries[i] = {.fd = way.has_waiting() ? way.to : way.from, .events = events, .revents = 0};
    if (way.ended) entries[i].fd = -1;
  }
  if (::poll(entries.data(), entries.size(), -1) < 0 && errno != EINTR) {
    return ktls::fail(Error::system(errno, "poll"));
  }
  return {};
}

Result<void> WireRelay::take(Way& way) {
  way.waiting.resize(kChunkSize);
  way.sent = 0;
  const ssize_t size = ::recv(way.from, way.waiting.data(), way.waiting.size(), 0);
  way.waiting.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  if (size < 0 && errno == EAGAIN) return {};
  if (size < 0 && errno != ECONNRESET) return ktls::fail(Error::system(errno, "recv"));
  if (size <= 0) {
    // Whether the end came in order is for the oracle to say.
    way.ended = true;
    ::shutdown(way.to, SHUT_WR);
    return {};
  }
  if (auto observed = way.stream->observe(way.waiting); !observed && !objection_) {
    objection_ = std::move(observed).error();
  }
  return {};
}

Result<void> WireRelay::give(Way& way) {
  const ssize_t size =
      ::send(way.to, way.waiting.data() + way.sent, way.waiting.size() - way.sent, MSG_NOSIGNAL);
  if (size >= 0) {
    way.sent += static_cast<std::size_t>(size);
    return {};
  }
  if (errno == EAGAIN) return {};
  // Who is gone misses nothing: what is left is read, observed and dropped.
  if (errno != EPIPE && errno != ECONNRESET) return ktls::fail(Error::system(errno, "send"));
  way.sent = way.waiting.size();
  return {};
}

}  // namespace conformance
