// What every peer does: one loop for both directions.

#include "tests/conformance/tls_stream.h"

#include <algorithm>
#include <string>
#include <vector>

#include <poll.h>

#include "tests/conformance/sockets.h"

namespace conformance {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using Outcome = Attempt::Outcome;

// Not a power of two, so that the records of a peer end elsewhere than the endpoint's reads.
constexpr std::size_t kChunkSize = 50'000;

short events_of(Outcome outcome) {
  return outcome == Outcome::kNeedsOutput ? POLLOUT : POLLIN;
}

// Makes `attempt` until it is done, or the other side has closed.
template <typename Function>
Result<Attempt> insist(int fd, const Function& attempt) {
  for (;;) {
    KTLS_TRY(const Attempt made, attempt());
    if (made.outcome == Outcome::kDone || made.outcome == Outcome::kClosed) return made;
    if (auto ready = wait_for(fd, events_of(made.outcome)); !ready) {
      return ktls::fail(std::move(ready).error());
    }
  }
}

class Speaker {
 public:
  Speaker(TlsStream& stream, int fd, const Conversation& conversation)
      : stream_(stream),
        fd_(fd),
        conversation_(conversation),
        check_(conversation.received),
        buffer_(kChunkSize) {}

  Result<void> speak() {
    while (is_sending() || is_receiving()) {
      int events = 0;
      bool moved = false;
      for (const bool out : {true, false}) {
        if (out ? !is_sending() : !is_receiving()) continue;
        KTLS_TRY(const Attempt made, out ? send_some() : receive_some());
        if (made.outcome == Outcome::kDone) {
          moved = true;
        } else {
          events |= events_of(made.outcome);
        }
      }
      if (moved) continue;
      if (auto ready = wait_for(fd_, static_cast<short>(events)); !ready) return ready;
    }
    return {};
  }

  // The end of the other side; nothing else may come.
  Result<void> hear_the_end() {
    KTLS_TRY(const Attempt made, insist(fd_, [&] { return stream_.receive(buffer_); }));
    if (made.outcome == Outcome::kClosed) return {};
    return ktls::fail(Error::of(ErrorCode::kIllegalParameter, "more came than was to come"));
  }

 private:
  bool is_sending() const { return sent_ < conversation_.send_size; }
  bool is_receiving() const { return check_.position() < conversation_.receive_size; }

  Result<Attempt> send_some() {
    const std::size_t size = std::min<std::uint64_t>(kChunkSize, conversation_.send_size - sent_);
    conversation_.sent.fill(sent_, std::span(buffer_).first(size));
    KTLS_TRY(const Attempt made, stream_.send(std::span(buffer_).first(size)));
    if (made.outcome == Outcome::kClosed) {
      return ktls::fail(Error::of(ErrorCode::kEndOfStream, "closed before all was sent"));
    }
    sent_ += made.size;
    return made;
  }

  Result<Attempt> receive_some() {
    KTLS_TRY(const Attempt made, stream_.receive(buffer_));
    if (made.outcome == Outcome::kClosed) {
      return ktls::fail(Error::of(
          ErrorCode::kEndOfStream,
          "close_notify after " + std::to_string(check_.position()) + " bytes of content"));
    }
    if (auto taken = check_.take(std::span(buffer_).first(made.size)); !taken) {
      return ktls::fail(std::move(taken).error());
    }
    return made;
  }

  TlsStream& stream_;
  int fd_;
  const Conversation& conversation_;
  PatternCheck check_;
  std::vector<std::uint8_t> buffer_;
  std::uint64_t sent_ = 0;
};

}  // namespace

Result<void> converse(TlsStream& stream, int fd, const Conversation& conversation) {
  KTLS_TRY(const Attempt shaken, insist(fd, [&] { return stream.shake_hands(); }));
  if (shaken.outcome == Outcome::kClosed) {
    return ktls::fail(Error::of(ErrorCode::kEndOfStream, "closed within the handshake"));
  }
  Speaker speaker(stream, fd, conversation);
  if (auto spoken = speaker.speak(); !spoken) return spoken;
  KTLS_TRY(const Attempt closed, insist(fd, [&] { return stream.close_notify(); }));
  static_cast<void>(closed);
  return speaker.hear_the_end();
}

}  // namespace conformance
