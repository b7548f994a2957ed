// SslTicketSink: gives session tickets that others have opened to libssl, which puts them into the
// session cache of the context.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "ktls/base/result.h"
#include "userspace/handshake/openssl/ssl_connection.h"
#include "userspace/handshake/ticket_sink.h"
#include "userspace/record/connection_state.h"

namespace tls {

// libssl makes a session of a NewSessionTicket (RFC 8446 section 4.6.1) only if it reads it as a
// record of the server. After the hand-over those are opened elsewhere, so each message is sealed
// once more, with a shadow of the server's write state, and libssl reads that.
//
// The shadow uses keys and sequence numbers that the server has used for other content, which on
// a wire would repeat nonces and give both contents away. It never meets a wire: shadow records go
// from this object's memory into libssl's input and nowhere else, and libssl's output is thrown
// away, as an alert in it would repeat a nonce of our own write state.
//
// libssl counts the shadow's records from 0 and learns nothing of the peer's KeyUpdates: for it
// the server stays at its first key, and so does the shadow.
class SslTicketSink final : public TicketSink {
 public:
  // `shadow_of_server`: the server's first application traffic keys, at sequence number 0.
  // `connection`: as the handshake left it.
  SslTicketSink(std::unique_ptr<SslConnection> connection, ConnectionState shadow_of_server)
      : connection_(std::move(connection)), shadow_of_server_(std::move(shadow_of_server)) {}

  [[nodiscard]] ktls::Result<void> take(std::span<const std::uint8_t> message) override;

 private:
  [[nodiscard]] ktls::Result<void> feed_shadow_record(std::span<const std::uint8_t> fragment);

  std::unique_ptr<SslConnection> connection_;
  ConnectionState shadow_of_server_;
};

}  // namespace tls
