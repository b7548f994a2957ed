// RecordHeader: the five bytes in front of each record (RFC 8446 section 5.1, RFC 5246 section
// 6.2.1), and the sizes that bound a record.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ktls/base/result.h"
#include "userspace/suite/content_type.h"

namespace tls {

inline constexpr std::size_t kRecordHeaderSize = 5;
inline constexpr std::size_t kPlaintextSizeMax = 1 << 14;                    // RFC 8446 section 5.1
inline constexpr std::size_t kCiphertextSizeMax = kPlaintextSizeMax + 2048;  // RFC 5246 6.2.3
inline constexpr std::size_t kCiphertextSizeMax13 = kPlaintextSizeMax + 256;  // RFC 8446 5.2
inline constexpr std::size_t kRecordSizeMax = kRecordHeaderSize + kCiphertextSizeMax;

// TLS 1.2's version, and what TLS 1.3 puts in its place (legacy_record_version).
inline constexpr std::uint16_t kRecordVersion = 0x0303;

// What the bytes say, whether sensible or not.
//   type       any byte at all: not only the named ones
//   body_size  bytes of the record that follow the header
struct RecordHeader {
  ContentType type;
  std::uint16_t version;
  std::size_t body_size;
};

[[nodiscard]] RecordHeader decode_record_header(
    std::span<const std::uint8_t, kRecordHeaderSize> bytes);

// `header.body_size` is below 2^16.
void encode_record_header(const RecordHeader& header,
                          std::span<std::uint8_t, kRecordHeaderSize> bytes);

// The checks that every record has to pass, protected or not: a type from 20 to 23
// (unexpected_message), a version that starts with 3 (protocol_version), a body of at most
// `body_size_max` bytes (record_overflow). A reader that does not know the connection's state, as
// during a handshake that libssl drives, asks for kCiphertextSizeMax.
[[nodiscard]] ktls::Result<void> check_record_header(const RecordHeader& header,
                                                     std::size_t body_size_max);

}  // namespace tls
