// RecordHeader: the five bytes in front of each record (RFC 8446 section 5.1, RFC 5246 section
// 6.2.1), SSLv2's two or three, and the sizes that bound a record.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ktls/base/result.h"
#include "userspace/suite/content_type.h"
#include "userspace/suite/version.h"

namespace tls {

inline constexpr std::size_t kRecordHeaderSize = 5;
inline constexpr std::size_t kPlaintextSizeMax = 1 << 14;  // RFC 8446 section 5.1
inline constexpr std::size_t kExpansionMax = 2048;         // RFC 5246 6.2.3
inline constexpr std::size_t kExpansionMax13 = 256;        // RFC 8446 5.2
inline constexpr std::size_t kCiphertextSizeMax = kPlaintextSizeMax + kExpansionMax;
inline constexpr std::size_t kRecordSizeMax = kRecordHeaderSize + kCiphertextSizeMax;
inline constexpr std::size_t kBodySizeMax = 0xffff;  // what two bytes of length can say

// TLS 1.2's version, and what TLS 1.3 puts in its place (legacy_record_version).
inline constexpr std::uint16_t kRecordVersion = 0x0303;

// SSLv2 in a version's two bytes: as its hellos have it, and major before minor.
[[nodiscard]] constexpr bool is_ssl2_version(std::uint16_t version) {
  return version == 0x0002 || version == 0x0200;
}
inline constexpr std::size_t kSsl2ShortHeaderSize = 2;
inline constexpr std::size_t kSsl2LongHeaderSize = 3;

// SSLv2 pads to whole blocks, and all its block ciphers have blocks of eight bytes.
inline constexpr std::size_t kSsl2BlockSize = 8;
inline constexpr std::size_t kSsl2ShortBodyMax = 0x7fff;
inline constexpr std::size_t kSsl2LongBodyMax = 0x3fff;

// What the bytes say, whether sensible or not. SSLv2's have neither type nor version: handshake,
// and 0x0200, stand for them; its header of three bytes alone has padding and security_escape.
//   type       any byte at all: not only the named ones
//   body_size  bytes of the record that follow the header
struct RecordHeader {
  ContentType type;
  std::uint16_t version;
  std::size_t body_size;
  bool is_ssl2 = false;
  bool security_escape = false;
  std::uint8_t padding = 0;
};

[[nodiscard]] RecordHeader decode_record_header(
    std::span<const std::uint8_t, kRecordHeaderSize> bytes);

// `header.body_size` is below 2^16.
void encode_record_header(const RecordHeader& header,
                          std::span<std::uint8_t, kRecordHeaderSize> bytes);

// Size of the header that starts with this byte: 5 for the content types 20 to 24, else SSLv2's: 2
// with the highest bit set, 3 without (draft-hickman-netscape-ssl-00, "SSL Record Header Format").
[[nodiscard]] std::size_t header_size_of(std::uint8_t first);

// The same where only SSLv2 can be: a longer header may start with any byte below 128 then.
[[nodiscard]] std::size_t ssl2_header_size_of(std::uint8_t first);

// SSLv2's header, of header_size_of(bytes[0]) bytes. Error: kIllegalParameter when the padding is
// longer than the body, or there is padding and the body is not whole blocks.
[[nodiscard]] ktls::Result<RecordHeader> decode_ssl2_header(std::span<const std::uint8_t> bytes);

// The short form where padding and escape allow it. Returns the size, 2 or 3. Error:
// kInvalidArgument for a body longer than the form can say.
[[nodiscard]] ktls::Result<std::size_t> encode_ssl2_header(const RecordHeader& header,
                                                           std::span<std::uint8_t, 3> bytes);

// The checks that every record of TLS has to pass, protected or not: a type from 20 to 23
// (unexpected_message), a version that starts with 3 (protocol_version), a body of at most
// `body_size_max` bytes (record_overflow). A reader that does not know the connection's state, as
// during a handshake that libssl drives, asks for kCiphertextSizeMax.
[[nodiscard]] ktls::Result<void> check_record_header(const RecordHeader& header,
                                                     std::size_t body_size_max);

}  // namespace tls
