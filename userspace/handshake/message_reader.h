// MessageReader: puts handshake messages together from the contents of handshake records.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ktls/base/result.h"
#include "userspace/handshake/message_type.h"

namespace tls {

// A message that may come, and how large its body may be. Asked as soon as a message's header is
// there, so that nobody can have a large buffer filled for nothing.
struct MessageRule {
  MessageType type;
  std::size_t body_size_max;
};

// A whole message. `bytes` starts with its four-byte header and is valid until the next call.
struct HandshakeMessage {
  MessageType type;
  std::span<const std::uint8_t> bytes;

  [[nodiscard]] std::span<const std::uint8_t> body() const {
    return bytes.subspan(kMessageHeaderSize);
  }
};

class MessageReader {
 public:
  // `rules` is a table that outlives the reader.
  explicit MessageReader(std::span<const MessageRule> rules) : rules_(rules) {}

  // Takes the content of one record.
  void append(std::span<const std::uint8_t> content);

  // The next whole message, or empty when more content is needed. Errors, with alert:
  // kUnexpectedMessage for a type that has no rule, kRecordOverflow for a body over its limit.
  [[nodiscard]] ktls::Result<std::optional<HandshakeMessage>> next();

  // Whether nothing is left behind the messages that next() has answered.
  [[nodiscard]] bool empty() const { return begin_ == buffer_.size(); }

 private:
  std::span<const MessageRule> rules_;
  std::vector<std::uint8_t> buffer_;
  std::size_t begin_ = 0;  // of what next() has not answered yet
};

}  // namespace tls
