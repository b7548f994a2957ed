// The endpoint's story: establish, adopt, move, close.

#include "tests/conformance/endpoint.h"

#include <array>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sys/socket.h>

#include "ktls/core/reason.h"
#include "ktls/core/socket.h"
#include "tests/conformance/own_handshake.h"
#include "tests/conformance/receive_call.h"
#include "tests/conformance/send_call.h"
#include "tests/conformance/sockets.h"
#include "userspace/bridge/connection.h"
#include "userspace/bridge/plan.h"
#include "userspace/suite/alert.h"

namespace conformance {
namespace {

using ktls::Direction;
using ktls::Error;
using ktls::ErrorCode;
using ktls::ReceivedBytes;
using ktls::Result;
using tls::ContentType;

constexpr std::size_t kBufferSize = 1 << 16;
constexpr std::uint8_t kNewSessionTicket = 4;

Error in_userspace(std::string_view direction, const bridge::DirectionPlan& plan) {
  return Error::of(ErrorCode::kUnsupported, std::string(direction) + " is not in the kernel: " +
                                                std::string(ktls::text_of(plan.reason).code));
}

// The receiving half: what came, by whatever call.
class Receiving {
 public:
  Receiving(const Cell& cell, ReceiveCall& call)
      : wanted_(cell.receive_size()), call_(call), check_(peer_pattern()), buffer_(kBufferSize) {}

  // Until all application data is there.
  Result<void> receive_content() {
    while (check_.position() < wanted_) {
      KTLS_TRY(const ReceivedBytes received, call_.receive(buffer_));
      if (auto taken = take(received); !taken) return taken;
      if (closed_) {
        return ktls::fail(Error::of(
            ErrorCode::kEndOfStream,
            "close_notify after " + std::to_string(check_.position()) + " bytes of content"));
      }
    }
    return {};
  }

  Result<void> receive_close_notify() {
    while (!closed_) {
      KTLS_TRY(const ReceivedBytes received, call_.receive(buffer_));
      if (auto taken = take(received); !taken) return taken;
    }
    if (check_.position() == wanted_) return {};
    return ktls::fail(Error::of(ErrorCode::kIllegalParameter, "more came than was to come"));
  }

  [[nodiscard]] std::uint64_t control_records() const { return control_records_; }

 private:
  Result<void> take(const ReceivedBytes& received) {
    const std::span<const std::uint8_t> content = std::span(buffer_).first(received.size);
    if (received.end_of_stream) {
      return ktls::fail(Error::of(ErrorCode::kEndOfStream, "the end without close_notify"));
    }
    if (received.type == static_cast<std::uint8_t>(ContentType::kApplicationData)) {
      return check_.take(content);
    }
    ++control_records_;
    const bool is_alert = received.type == static_cast<std::uint8_t>(ContentType::kAlert);
    closed_ = is_alert && content.size() == 2 &&
              content[1] == tls::code_of(tls::AlertDescription::kCloseNotify);
    const bool is_ticket = received.type == static_cast<std::uint8_t>(ContentType::kHandshake) &&
                           !content.empty() && content[0] == kNewSessionTicket;
    if (closed_ || is_ticket) return {};
    return ktls::fail(Error::of(ErrorCode::kUnexpectedMessage,
                                "a control record of type " + std::to_string(received.type) +
                                    " that is neither ticket nor close_notify"));
  }

  std::uint64_t wanted_;
  ReceiveCall& call_;
  PatternCheck check_;
  std::vector<std::uint8_t> buffer_;
  std::uint64_t control_records_ = 0;
  bool closed_ = false;
};

Result<void> send_close_notify(ktls::TlsSocket& socket) {
  const std::array<std::uint8_t, 2> alert = {static_cast<std::uint8_t>(tls::AlertLevel::kWarning),
                                             tls::code_of(tls::AlertDescription::kCloseNotify)};
  auto sent = socket.send(static_cast<std::uint8_t>(ContentType::kAlert), alert);
  if (!sent) return ktls::fail(std::move(sent).error());
  return {};
}

// Both directions at once, then close_notify each way.
Result<void> converse(const Cell& cell, int fd, Receiving& receiving) {
  Result<void> sent;
  std::unique_ptr<SendCall> send_call;
  if (cell.send_size() != 0) {
    KTLS_TRY(send_call, make_send_call(cell.tx, fd, endpoint_pattern(), cell.send_size()));
  }
  std::thread sender([&] {
    if (send_call) sent = send_all(*send_call, cell.send_size());
    // Else a peer that misses something would wait, and so would we.
    if (!sent) ::shutdown(fd, SHUT_RDWR);
  });
  auto received = receiving.receive_content();
  if (!received) ::shutdown(fd, SHUT_RDWR);
  sender.join();
  if (!sent) return sent;
  if (!received) return received;
  ktls::TlsSocket socket(fd);
  if (auto closed = send_close_notify(socket); !closed) return closed;
  return receiving.receive_close_notify();
}

}  // namespace

Result<EndpointReport> run_endpoint(const Cell& cell, int fd, const Surroundings& surroundings,
                                    const ktls::Capability& capability, KeyLog& keys) {
  KTLS_TRY(Established established, establish(cell, cell.role, fd, surroundings, &keys));
  tls::Handshake::Finished& finished = established.finished;
  const bridge::Plan intended =
      bridge::plan(finished.negotiated, capability, bridge::OffloadPolicy::kRequireKernel);
  KTLS_TRY(const auto connection,
           bridge::Connection::adopt(*established.loop, fd, std::move(finished.negotiated),
                                     std::move(finished.post_handshake), intended));
  const bridge::Plan& plan = connection->plan();
  if (!plan.receive.in_kernel()) return ktls::fail(in_userspace("receiving", plan.receive));
  if (!plan.transmit.in_kernel()) return ktls::fail(in_userspace("sending", plan.transmit));
  if (auto set = set_blocking(fd, true); !set) return ktls::fail(std::move(set).error());

  KTLS_TRY(const std::unique_ptr<ReceiveCall> call,
           make_receive_call(cell.rx.empty() ? "recvmsg" : cell.rx, fd));
  Receiving receiving(cell, *call);
  if (auto done = converse(cell, fd, receiving); !done) return ktls::fail(std::move(done).error());

  ktls::TlsSocket socket(fd);
  const ktls::Cipher cipher = *cell.suite->bulk_cipher->kernel;
  KTLS_TRY(const std::uint64_t transmit, socket.sequence(Direction::kTransmit, cipher));
  KTLS_TRY(const std::uint64_t receive, socket.sequence(Direction::kReceive, cipher));
  return EndpointReport{.transmit_sequence = transmit,
                        .receive_sequence = receive,
                        .control_records = receiving.control_records(),
                        .times_given_way = call->times_given_way()};
}

}  // namespace conformance
