// A peer by our own record layer, in userspace.

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <sys/socket.h>

#include "tests/conformance/own_handshake.h"
#include "tests/conformance/sockets.h"
#include "tests/conformance/tls_stream.h"
#include "userspace/record/record_layer.h"
#include "userspace/suite/alert.h"

namespace conformance {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using tls::ContentType;
using Outcome = Attempt::Outcome;

constexpr std::size_t kReadSize = 1 << 16;

class OwnStream final : public TlsStream {
 public:
  OwnStream(const Cell& cell, tls::Role role, int fd, const Surroundings& surroundings,
            KeyLog* keys)
      : cell_(cell), role_(role), fd_(fd), surroundings_(surroundings), keys_(keys) {}

  // Waits by itself: the loop does, and not the caller.
  Result<Attempt> shake_hands() override {
    KTLS_TRY(Established established, establish(cell_, role_, fd_, surroundings_, keys_));
    tls::Negotiated& negotiated = established.finished.negotiated;
    post_handshake_ = std::move(established.finished.post_handshake);
    layer_.set_pending_read(std::move(negotiated.read));
    layer_.set_pending_write(std::move(negotiated.write));
    auto changed = layer_.change_read_state().and_then([&] { return layer_.change_write_state(); });
    if (!changed) return ktls::fail(std::move(changed).error());
    return Attempt{};
  }

  // Takes new content only when the records of the old are on their way.
  Result<Attempt> send(std::span<const std::uint8_t> content) override {
    return send_records(ContentType::kApplicationData, content);
  }

  Result<Attempt> close_notify() override {
    const std::array<std::uint8_t, 2> alert = {static_cast<std::uint8_t>(tls::AlertLevel::kWarning),
                                               tls::code_of(tls::AlertDescription::kCloseNotify)};
    KTLS_TRY(const Attempt flushed, flush());
    if (flushed.outcome != Outcome::kDone || std::exchange(closed_, true)) return flushed;
    KTLS_TRY(const Attempt sealed, send_records(ContentType::kAlert, alert));
    static_cast<void>(sealed);
    return flush();
  }

  Result<Attempt> receive(std::span<std::uint8_t> content) override {
    for (;;) {
      if (!content_.empty()) {
        const std::size_t size = std::min(content.size(), content_.size());
        std::ranges::copy(content_.first(size), content.begin());
        content_ = content_.subspan(size);
        return Attempt{Outcome::kDone, size};
      }
      KTLS_TRY(tls::NextRecord next, layer_.next_record());
      if (std::holds_alternative<tls::NeedBytes>(next)) {
        KTLS_TRY(const Attempt read, read_some());
        if (read.outcome != Outcome::kDone) return read;
        continue;
      }
      KTLS_TRY(const bool closed, take(std::get<tls::Record>(next)));
      if (closed) return Attempt{Outcome::kClosed};
    }
  }

 private:
  // Whether it was close_notify.
  Result<bool> take(const tls::Record& record) {
    if (record.type == ContentType::kApplicationData) {
      content_ = record.content;
      return false;
    }
    if (record.type == ContentType::kHandshake) {
      auto events = post_handshake_->receive(record.content);
      if (!events) return ktls::fail(std::move(events).error());
      return false;
    }
    if (record.content.size() == 2 &&
        record.content[1] == tls::code_of(tls::AlertDescription::kCloseNotify)) {
      return true;
    }
    return ktls::fail(Error::of(ErrorCode::kPeerAlert, "an alert that is not close_notify"));
  }

  // What is read of the wire lies in `unread_` from `begin_` on, as far as it was not consumed.
  Result<Attempt> read_some() {
    const std::size_t unread = layer_.unread().size();
    std::vector<std::uint8_t> wire(unread + kReadSize);
    std::ranges::copy(layer_.unread(), wire.begin());
    const ssize_t size = ::recv(fd_, wire.data() + unread, kReadSize, MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN) return Attempt{Outcome::kNeedsInput};
    if (size < 0) return ktls::fail(Error::system(errno, "recv"));
    if (size == 0) {
      return ktls::fail(Error::of(ErrorCode::kEndOfStream, "the end without close_notify"));
    }
    wire.resize(unread + static_cast<std::size_t>(size));
    wire_ = std::move(wire);
    layer_.feed(wire_);
    return Attempt{};
  }

  Result<Attempt> send_records(ContentType type, std::span<const std::uint8_t> content) {
    KTLS_TRY(const Attempt flushed, flush());
    if (flushed.outcome != Outcome::kDone) return flushed;
    sealed_.resize(layer_.sealed_size(content.size()));
    KTLS_TRY(const std::size_t size, layer_.seal(type, content, sealed_));
    sealed_.resize(size);
    sent_ = 0;
    if (auto begun = flush(); !begun) return begun;
    return Attempt{Outcome::kDone, content.size()};
  }

  Result<Attempt> flush() {
    while (sent_ < sealed_.size()) {
      const ssize_t size =
          ::send(fd_, sealed_.data() + sent_, sealed_.size() - sent_, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (size < 0 && errno == EAGAIN) return Attempt{Outcome::kNeedsOutput};
      if (size < 0) return ktls::fail(Error::system(errno, "send"));
      sent_ += static_cast<std::size_t>(size);
    }
    return Attempt{};
  }

  Cell cell_;
  tls::Role role_;
  int fd_;
  Surroundings surroundings_;
  KeyLog* keys_;
  tls::RecordLayer layer_;
  std::unique_ptr<tls::PostHandshake> post_handshake_;
  std::vector<std::uint8_t> wire_;    // fed to the layer
  std::span<std::uint8_t> content_;   // of the last record, not yet received; in wire_
  std::vector<std::uint8_t> sealed_;  // [sent_, size) is still to be written
  std::size_t sent_ = 0;
  bool closed_ = false;
};

}  // namespace

Result<std::unique_ptr<TlsStream>> make_own_stream(const Cell& cell, tls::Role role, int fd,
                                                   const Surroundings& surroundings, KeyLog* keys) {
  return std::make_unique<OwnStream>(cell, role, fd, surroundings, keys);
}

}  // namespace conformance
