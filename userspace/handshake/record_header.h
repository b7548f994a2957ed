// How a reader of single records learns, from the five bytes before each, how many follow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "userspace/record/record_header.h"

namespace tls {

// Bytes of the record that follow its header, during the handshake. Empty when these bytes cannot
// start a record of any version: a type outside 20..23, a major version other than 3, a body over
// 2^14 + 2048 bytes. The caller then gives the five bytes alone to Handshake::advance(), which
// answers what they look like instead.
[[nodiscard]] inline std::optional<std::size_t> record_body_size(
    std::span<const std::uint8_t, kRecordHeaderSize> header) {
  const RecordHeader decoded = decode_record_header(header);
  if (!check_record_header(decoded, kCiphertextSizeMax)) return std::nullopt;
  return decoded.body_size;
}

}  // namespace tls
