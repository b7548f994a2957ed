// The PostHandshake of every version and role: which messages may come is a table.
#include "userspace/handshake/post_handshake.h"

#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "userspace/handshake/message_reader.h"
#include "userspace/suite/alert.h"
#include "userspace/suite/refuse.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::fail;
using ktls::Result;

// RFC 8446 section 4.6.1: lifetime and age (8), nonce (1 + 255), ticket (2 + 2^16 - 1), extensions
// (2 + 2^16 - 1; their real limit, 2^16 - 2, does not matter here).
constexpr std::size_t kNewSessionTicketMax = 8 + 256 + 2 * (2 + 65535);
constexpr std::size_t kKeyUpdateSize = 1;
// A ClientHello is not read, only waited for until it ends; real ones have some hundred bytes.
constexpr std::size_t kClientHelloMax = 1 << 16;

constexpr std::array kClientRules13 = {
    MessageRule{MessageType::kNewSessionTicket, kNewSessionTicketMax},
    MessageRule{MessageType::kKeyUpdate, kKeyUpdateSize},
};
constexpr std::array kServerRules13 = {MessageRule{MessageType::kKeyUpdate, kKeyUpdateSize}};
constexpr std::array kClientRules12 = {MessageRule{MessageType::kHelloRequest, 0}};
constexpr std::array kServerRules12 = {MessageRule{MessageType::kClientHello, kClientHelloMax}};

constexpr std::span<const MessageRule> rules_of(ProtocolVersion version, Role role) {
  if (version == ProtocolVersion::kTls13) {
    if (role == Role::kClient) return kClientRules13;
    return kServerRules13;
  }
  if (role == Role::kClient) return kClientRules12;
  return kServerRules12;
}

class TabledPostHandshake final : public PostHandshake {
 public:
  TabledPostHandshake(ProtocolVersion version, Role role, std::unique_ptr<TicketSink> tickets)
      : reader_(rules_of(version, role)), tickets_(std::move(tickets)) {}

  Result<std::vector<PostHandshakeEvent>> receive(std::span<const std::uint8_t> content) override {
    if (error_) return fail(*error_);
    auto events = events_of(content);
    if (!events) {
      error_ = events.error();
      release();
    }
    return events;
  }

  bool inside_message() const override { return !reader_.empty(); }
  void release() override { tickets_.reset(); }
  std::size_t tickets_dropped() const override { return tickets_dropped_; }

 private:
  Result<std::vector<PostHandshakeEvent>> events_of(std::span<const std::uint8_t> content);
  Result<PostHandshakeEvent> event_of(const HandshakeMessage& message);
  Result<PostHandshakeEvent> take_ticket(const HandshakeMessage& message);
  Result<PostHandshakeEvent> take_key_update(const HandshakeMessage& message);

  MessageReader reader_;
  std::unique_ptr<TicketSink> tickets_;
  std::size_t tickets_dropped_ = 0;
  std::optional<Error> error_;
};

Result<std::vector<PostHandshakeEvent>> TabledPostHandshake::events_of(
    std::span<const std::uint8_t> content) {
  if (content.empty()) {
    // RFC 8446 section 5.4: "if such a message is received, the receiving implementation MUST
    // terminate the connection with an "unexpected_message" alert."
    return refuse(ErrorCode::kUnexpectedMessage, AlertDescription::kUnexpectedMessage,
                  "a handshake record without content");
  }
  reader_.append(content);
  std::vector<PostHandshakeEvent> events;
  for (;;) {
    KTLS_TRY(const std::optional<HandshakeMessage> message, reader_.next());
    if (!message) return events;
    KTLS_TRY(const PostHandshakeEvent event, event_of(*message));
    events.push_back(event);
  }
}

Result<PostHandshakeEvent> TabledPostHandshake::event_of(const HandshakeMessage& message) {
  // Every type that the reader lets through has its row here.
  if (message.type == MessageType::kNewSessionTicket) return take_ticket(message);
  if (message.type == MessageType::kKeyUpdate) return take_key_update(message);
  return RenegotiationRequested{};
}

Result<PostHandshakeEvent> TabledPostHandshake::take_ticket(const HandshakeMessage& message) {
  if (!tickets_) {
    ++tickets_dropped_;
    return TicketReceived{.kept = false};
  }
  if (auto taken = tickets_->take(message.bytes); !taken) return fail(taken.error());
  return TicketReceived{};
}

// RFC 8446 section 4.6.3: enum { update_not_requested(0), update_requested(1), (255) }.
Result<PostHandshakeEvent> TabledPostHandshake::take_key_update(const HandshakeMessage& message) {
  if (message.body().size() != kKeyUpdateSize) {
    return refuse(ErrorCode::kDecodeError, AlertDescription::kDecodeError,
                  "a KeyUpdate of another size than one byte");
  }
  const std::uint8_t request = message.body()[0];
  if (request > 1) {
    return refuse(ErrorCode::kDecodeError, AlertDescription::kIllegalParameter,
                  "a KeyUpdate that asks for neither of its two values");
  }
  // RFC 8446 section 5.1: "Handshake messages MUST NOT span key changes."
  if (!reader_.empty()) {
    return refuse(ErrorCode::kUnexpectedMessage, AlertDescription::kUnexpectedMessage,
                  "a KeyUpdate that does not end its record");
  }
  return KeyUpdateReceived{.update_requested = request == 1};
}

}  // namespace

std::unique_ptr<PostHandshake> make_post_handshake(ProtocolVersion version, Role role,
                                                   std::unique_ptr<TicketSink> tickets) {
  return std::make_unique<TabledPostHandshake>(version, role, std::move(tickets));
}

}  // namespace tls
