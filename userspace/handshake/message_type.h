// MessageType: the handshake messages that this room names (RFC 8446 section 4, RFC 5246 7.4).
#pragma once

#include <cstddef>
#include <cstdint>

namespace tls {

enum class MessageType : std::uint8_t {
  kHelloRequest = 0,  // RFC 5246 only
  kClientHello = 1,
  kNewSessionTicket = 4,
  kFinished = 20,
  kKeyUpdate = 24,
};

inline constexpr std::size_t kMessageHeaderSize = 4;  // type, 24-bit length

}  // namespace tls
