// PostHandshake: what handshake messages mean after the hand-over, when libssl no longer sees the
// records: tickets go to the session cache, KeyUpdate and renegotiation become events.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <variant>
#include <vector>

#include "ktls/base/result.h"
#include "userspace/handshake/ticket_sink.h"
#include "userspace/suite/version.h"

namespace tls {

// A KeyUpdate (RFC 8446 section 4.6.3): the peer writes with its next key from the next record on;
// if requested, ours must be changed too.
struct KeyUpdateReceived {
  bool update_requested;
};
// A session ticket came (client role).
//   kept  it was given to the session cache; false: dropped after release()
struct TicketReceived {
  bool kept = true;
};
// TLS 1.2: the peer wants to renegotiate (HelloRequest, ClientHello); answer with a
// no_renegotiation warning (RFC 5246 section 7.2.2).
struct RenegotiationRequested {};

using PostHandshakeEvent = std::variant<TicketReceived, KeyUpdateReceived, RenegotiationRequested>;

class PostHandshake {
 public:
  virtual ~PostHandshake() = default;

  // Takes the content of one handshake record. Messages may be several in a record or split over
  // records. Answers the events of the messages completed by it, in order. Errors, with alert:
  // kUnexpectedMessage, kDecodeError, and kRecordOverflow for a message over its limit. A
  // KeyUpdate that is not the last message of its record is an error (RFC 8446 section 5.1). After
  // an error every further call answers it again.
  [[nodiscard]] virtual ktls::Result<std::vector<PostHandshakeEvent>> receive(
      std::span<const std::uint8_t> content) = 0;

  // Whether a message has begun in one record and not ended. A record of another type is then an
  // unexpected_message (RFC 8446 section 5.1: "Handshake messages MUST NOT be interleaved with
  // other record types").
  [[nodiscard]] virtual bool inside_message() const = 0;

  // Frees what is kept for tickets (libssl's object, some tens of KiB). Later ones are checked for
  // their size, counted and dropped.
  virtual void release() = 0;
  [[nodiscard]] virtual std::size_t tickets_dropped() const = 0;
};

// `tickets`: where NewSessionTicket messages go (client role in TLS 1.3); null: they are dropped.
[[nodiscard]] std::unique_ptr<PostHandshake> make_post_handshake(
    ProtocolVersion version, Role role, std::unique_ptr<TicketSink> tickets);

}  // namespace tls
