// PostHandshake: what handshake messages mean after the hand-over, when libssl no longer sees the
// records: tickets go to the session cache, KeyUpdate and renegotiation become events.
#pragma once

#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "ktls/base/result.h"

namespace tls {

// A KeyUpdate (RFC 8446 section 4.6.3): the peer writes with its next key from the next record on;
// if requested, ours must be changed too.
struct KeyUpdateReceived {
  bool update_requested;
};
// A session ticket was taken (client role).
struct TicketReceived {};
// TLS 1.2: the peer wants to renegotiate (HelloRequest, ClientHello); answer with a
// no_renegotiation warning (RFC 5246 section 7.2.2).
struct RenegotiationRequested {};

using PostHandshakeEvent =
    std::variant<TicketReceived, KeyUpdateReceived, RenegotiationRequested>;

class PostHandshake {
 public:
  virtual ~PostHandshake() = default;

  // Takes the content of one handshake record. Messages may be several in a record or split over
  // records. Answers the events of the messages completed by it, in order. Errors, with alert:
  // kUnexpectedMessage, kDecodeError, and kRecordOverflow for a message over its limit. A
  // KeyUpdate that is not the last message of its record is an error (RFC 8446 section 5.1).
  [[nodiscard]] virtual ktls::Result<std::vector<PostHandshakeEvent>> receive(
      std::span<const std::uint8_t> content) = 0;
};

}  // namespace tls
