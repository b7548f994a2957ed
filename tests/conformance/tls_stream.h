// TlsStream: a peer's side of a TLS connection, without waiting; and what every peer does with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "ktls/base/result.h"
#include "tests/conformance/cell.h"
#include "tests/conformance/key_log.h"

namespace conformance {

// What an attempt came to: it was done (with so many bytes, where bytes move), it waits for the
// socket, or the other side's close_notify was there instead.
struct Attempt {
  enum class Outcome : std::uint8_t { kDone, kNeedsInput, kNeedsOutput, kClosed };
  Outcome outcome = Outcome::kDone;
  std::size_t size = 0;
};

// On a socket that does not block. A call that waits is made again with the same arguments.
class TlsStream {
 public:
  virtual ~TlsStream() = default;
  [[nodiscard]] virtual ktls::Result<Attempt> shake_hands() = 0;
  [[nodiscard]] virtual ktls::Result<Attempt> send(std::span<const std::uint8_t> content) = 0;
  [[nodiscard]] virtual ktls::Result<Attempt> receive(std::span<std::uint8_t> content) = 0;
  // Sends it; that of the other side is for receive().
  [[nodiscard]] virtual ktls::Result<Attempt> close_notify() = 0;
};

// Each restricted to the cell's version and suite, in `role`; borrows the descriptor. `keys` may be
// null. Errors: kCrypto, kInvalidArgument for what the library refuses.
[[nodiscard]] ktls::Result<std::unique_ptr<TlsStream>> make_openssl_stream(
    const Cell& cell, tls::Role role, int fd, const Surroundings& surroundings);
[[nodiscard]] ktls::Result<std::unique_ptr<TlsStream>> make_gnutls_stream(
    const Cell& cell, tls::Role role, int fd, const Surroundings& surroundings);
[[nodiscard]] ktls::Result<std::unique_ptr<TlsStream>> make_own_stream(
    const Cell& cell, tls::Role role, int fd, const Surroundings& surroundings, KeyLog* keys);

// What one side sends, and what it must receive.
struct Conversation {
  Pattern sent;
  std::uint64_t send_size;
  Pattern received;
  std::uint64_t receive_size;
};

// Handshake, both directions at the same time, close_notify each way. Errors: the stream's, and
// those of a content that is another.
[[nodiscard]] ktls::Result<void> converse(TlsStream& stream, int fd,
                                          const Conversation& conversation);

}  // namespace conformance
