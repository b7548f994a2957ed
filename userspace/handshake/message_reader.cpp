// Reassembly of handshake messages (RFC 8446 section 5.1: "Handshake messages MAY be coalesced into
// a single TLSPlaintext record or fragmented across several records").
#include "userspace/handshake/message_reader.h"

#include <algorithm>
#include <string>

#include "userspace/suite/alert.h"
#include "userspace/suite/refuse.h"

namespace tls {

using ktls::Error;
using ktls::ErrorCode;
using ktls::fail;
using ktls::Result;

void MessageReader::append(std::span<const std::uint8_t> content) {
  buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(begin_));
  begin_ = 0;
  buffer_.insert(buffer_.end(), content.begin(), content.end());
}

Result<std::optional<HandshakeMessage>> MessageReader::next() {
  const std::span<const std::uint8_t> rest = std::span(buffer_).subspan(begin_);
  if (rest.empty()) return std::nullopt;
  const auto type = static_cast<MessageType>(rest[0]);
  const auto rule = std::ranges::find(rules_, type, &MessageRule::type);
  if (rule == rules_.end()) {
    return refuse(ErrorCode::kUnexpectedMessage, AlertDescription::kUnexpectedMessage,
                  "handshake message of type " + std::to_string(rest[0]) + " after the handshake");
  }
  if (rest.size() < kMessageHeaderSize) return std::nullopt;
  const std::size_t body_size = std::size_t{rest[1]} << 16 | std::size_t{rest[2]} << 8 | rest[3];
  if (body_size > rule->body_size_max) {
    return refuse(ErrorCode::kRecordOverflow, AlertDescription::kDecodeError,
                  "handshake message of type " + std::to_string(rest[0]) + " is too long");
  }
  const std::size_t size = kMessageHeaderSize + body_size;
  if (rest.size() < size) return std::nullopt;
  begin_ += size;
  return HandshakeMessage{type, rest.first(size)};
}

}  // namespace tls
