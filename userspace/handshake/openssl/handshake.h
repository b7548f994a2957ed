// Handshake: drives libssl through one TLS 1.2 or 1.3 handshake in memory, a record at a time, and
// takes the keys out by public API. No I/O.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ktls/base/result.h"
#include "userspace/handshake/negotiated.h"
#include "userspace/handshake/openssl/context.h"
#include "userspace/handshake/post_handshake.h"

namespace tls {

// Usage: advance() with no record starts it; then, until done: write take_output() to the peer,
// read exactly one record (see record_header.h), advance(record). After done: write what is left
// (a TLS 1.3 server's tickets), finish(). On failure take_output() holds the alert to send.
class Handshake {
 public:
  // server_name (client role): the name or IP address to verify and, if a name, to send as SNI.
  // May be empty only where nothing is verified. Errors: kInvalidArgument for a context of the
  // other role and for a name that no certificate can hold, kCrypto.
  [[nodiscard]] static ktls::Result<std::unique_ptr<Handshake>> create(
      const std::shared_ptr<Context>& context, Role role, const std::string& server_name);
  virtual ~Handshake() = default;

  enum class Progress : std::uint8_t { kNeedRecord, kDone };

  // Gives libssl one whole record, header included (empty: start). Errors, each with detail and,
  // where one was sent or received, the alert:
  //   kPeerAlert          the peer sent a fatal alert, or close_notify
  //   kVerifyFailed       the peer's certificate is not accepted: why, and for which name
  //   kHandshakeFailed    libssl refuses what the peer sent, or it is no TLS ("http request")
  //   kLimitReached       more than 1 MiB or 1024 records, and no end
  //   kInvalidArgument    not exactly one record
  //   kProtocolViolation  the handshake is over
  // After any error the handshake is over.
  [[nodiscard]] virtual ktls::Result<Progress> advance(std::span<const std::uint8_t> record) = 0;

  // Bytes for the peer since the last call.
  [[nodiscard]] virtual std::vector<std::uint8_t> take_output() = 0;

  // Once, after kDone: states with their sequence numbers, and what was agreed. Errors:
  // kUnsupported (a suite not in our table), kProtocolViolation (the record counts disagree, or the
  // last record of the handshake does not open with the keys; no number is guessed, as that risks a
  // repeated nonce), kHandshakeFailed (an ALPN protocol that was not offered).
  // The PostHandshake keeps libssl's object alive in the client role of TLS 1.3, for tickets.
  struct Finished {
    Negotiated negotiated;
    std::unique_ptr<PostHandshake> post_handshake;
  };
  [[nodiscard]] virtual ktls::Result<Finished> finish() = 0;
};

}  // namespace tls
