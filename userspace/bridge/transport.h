// Receiver: the direction from the peer, whichever way its records are opened; the kernel and the
// userspace transport are its implementations, as they are Sender's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "ktls/base/result.h"
#include "ktls/core/reason.h"
#include "userspace/io/buffer.h"
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
// Application data itself, never empty, instead of its size.
using ReceivedStep = std::variant<Buffer, ControlRecord, EndOfStream>;
using SendStep = std::variant<Moved, EndOfStream>;

// The direction from the peer. One task at a time calls it.
class Receiver {
 public:
  virtual ~Receiver() = default;

  // Waits for something from the peer, and passes application data on to `plain_fd` (a stream
  // socket; what is reported as Moved has been written there completely). Errors of the TLS side
  // carry the alert to send and are final; kSystem with the errno of either side otherwise. One of
  // the plain side loses what was on its way there, and receiving can go on.
  [[nodiscard]] virtual Task<ktls::Result<ReceiveStep>> move_to(Scope& scope, int plain_fd) = 0;

  // The same for who wants the application data: up to kBufferSize bytes, in a Buffer of the loop's
  // pool. Holds none while nothing comes. Errors: those of the TLS side.
  [[nodiscard]] virtual Task<ktls::Result<ReceivedStep>> receive(Scope& scope) = 0;

  // Reads with `state` from the next record on (after a KeyUpdate of the peer). Errors:
  // kUnsupported where the direction cannot change its keys; kSystem when the kernel refuses.
  [[nodiscard]] virtual ktls::Result<void> change_state(tls::ConnectionState state) = 0;
  [[nodiscard]] virtual bool can_change_state() const = 0;

  // Whether nothing comes any more after `record`, which this receiver brought, before
  // change_state(). True of what the kernel takes for a KeyUpdate, and that may be something else.
  [[nodiscard]] virtual bool awaits_state(const ControlRecord& record) const {
    static_cast<void>(record);
    return false;
  }
  // Number of the next record.
  [[nodiscard]] virtual ktls::Result<std::uint64_t> sequence() = 0;

  // The same socket by another descriptor: this one may be closed then. Nobody is receiving.
  virtual void change_descriptor(int fd) = 0;

  // Something worth telling about how the direction ran: kPipeLimit when it had to copy.
  [[nodiscard]] virtual ktls::Reason remark() const { return ktls::Reason::kNone; }
};

}  // namespace bridge
