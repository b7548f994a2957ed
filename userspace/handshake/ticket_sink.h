// TicketSink: who takes the session tickets of a finished connection.
#pragma once

#include <cstdint>
#include <span>

#include "ktls/base/result.h"

namespace tls {

class TicketSink {
 public:
  virtual ~TicketSink() = default;

  // Takes one NewSessionTicket message, header included. Error, with alert: kDecodeError.
  [[nodiscard]] virtual ktls::Result<void> take(std::span<const std::uint8_t> message) = 0;
};

}  // namespace tls
