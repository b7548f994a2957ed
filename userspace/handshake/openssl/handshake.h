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

// Usage: advance() with no record starts it; then, until done: write output() to the peer and
// clear it, read exactly one record (see record_header.h), advance(record). On failure output()
// holds the alert to send. After done: finish().
class Handshake {
 public:
  // server_name (client role): the name or IP address to verify and, if a name, to send as SNI.
  [[nodiscard]] static ktls::Result<std::unique_ptr<Handshake>> create(
      const std::shared_ptr<Context>& context, Role role, const std::string& server_name);
  virtual ~Handshake() = default;

  enum class Progress : std::uint8_t { kNeedRecord, kDone };

  // Gives libssl one whole record, header included (empty: start). Errors: kHandshakeFailed,
  // kVerifyFailed, kPeerAlert; each with detail and, where one applies, the alert.
  [[nodiscard]] virtual ktls::Result<Progress> advance(std::span<const std::uint8_t> record) = 0;

  // Bytes for the peer since the last call.
  [[nodiscard]] virtual std::vector<std::uint8_t> take_output() = 0;

  // Once, after kDone: states with their sequence numbers, and what was agreed. Error:
  // kUnsupported (a suite not in our table), kProtocolViolation (the record counts disagree; no
  // number is guessed, as that risks a repeated nonce).
  // The PostHandshake keeps libssl's object alive in the client role, for tickets.
  struct Finished {
    Negotiated negotiated;
    std::unique_ptr<PostHandshake> post_handshake;
  };
  [[nodiscard]] virtual ktls::Result<Finished> finish() = 0;
};

}  // namespace tls
