// Receiver and Sender: one direction each of an established TLS connection, wherever its records
// are handled; the kernel and the userspace transport are their two implementations.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "ktls/base/result.h"
#include "ktls/core/reason.h"
#include "userspace/io/scope.h"
#include "userspace/io/task.h"
#include "userspace/record/connection_state.h"
#include "userspace/suite/content_type.h"

namespace bridge {

// Application data went on: `size` bytes of plaintext.
struct Moved {
  std::size_t size;
};

// The content of a record that is not application data; for the connection to act on.
struct ControlRecord {
  tls::ContentType type;
  std::vector<std::uint8_t> content;
};

// The transport ended. From a Receiver: a bare FIN, without close_notify. From a Sender: the
// plain side has no more to send.
struct EndOfStream {};

using ReceiveStep = std::variant<Moved, ControlRecord, EndOfStream>;
using SendStep = std::variant<Moved, EndOfStream>;

// The direction from the peer. One task at a time calls it.
class Receiver {
 public:
  virtual ~Receiver() = default;

  // Waits for something from the peer, and passes application data on to `plain_fd` (a stream
  // socket; what is reported as Moved has been written there completely). Errors of the TLS side
  // carry the alert to send and are final; kSystem with the errno of either side otherwise.
  [[nodiscard]] virtual Task<ktls::Result<ReceiveStep>> move_to(Scope& scope, int plain_fd) = 0;

  // Reads with `state` from the next record on (after a KeyUpdate of the peer). Error:
  // kUnsupported where the direction cannot change its keys.
  [[nodiscard]] virtual ktls::Result<void> change_state(tls::ConnectionState state) = 0;
  [[nodiscard]] virtual bool can_change_state() const = 0;

  // Something worth telling about how the direction ran: kPipeLimit when it had to copy.
  [[nodiscard]] virtual ktls::Reason remark() const { return ktls::Reason::kNone; }
};

// The direction to the peer. Several tasks may call it; whole records never mix.
class Sender {
 public:
  virtual ~Sender() = default;

  // Waits for plaintext on `plain_fd` and sends it as application data. What is reported as Moved
  // has been given to the transport completely.
  [[nodiscard]] virtual Task<ktls::Result<SendStep>> move_from(Scope& scope, int plain_fd) = 0;

  // Sends one record of another type: an alert, a handshake message; `content` is not empty.
  // Errors: kSystem of the socket, kTimeout and kCancelled of the scope, those of seal().
  [[nodiscard]] virtual Task<ktls::Result<void>> send_record(
      Scope& scope, tls::ContentType type, std::span<const std::uint8_t> content) = 0;

  // Whether another task is sending just now: who must not wait for it leaves its record for later.
  [[nodiscard]] virtual bool busy() const = 0;

  // Sends `last` (a KeyUpdate) under the present state and writes with `state` from then on, as one
  // step: nothing comes between. Error: kUnsupported where the direction cannot change its keys.
  [[nodiscard]] virtual Task<ktls::Result<void>> change_state(Scope& scope,
                                                              std::span<const std::uint8_t> last,
                                                              tls::ConnectionState state) = 0;
  [[nodiscard]] virtual bool can_change_state() const = 0;

  // Something worth telling about how the direction ran: kPipeLimit when it had to copy.
  [[nodiscard]] virtual ktls::Reason remark() const { return ktls::Reason::kNone; }
};

}  // namespace bridge
