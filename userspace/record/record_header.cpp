// Coding and checking of record headers.
#include "userspace/record/record_header.h"

#include "ktls/base/endian.h"
#include "userspace/suite/refuse.h"

namespace tls {

using ktls::ErrorCode;

namespace {

// What stands for the version that records of SSLv2 do not carry: major 2, minor 0.
constexpr std::uint16_t kSsl2RecordVersion = 0x0200;

}  // namespace

RecordHeader decode_record_header(std::span<const std::uint8_t, kRecordHeaderSize> bytes) {
  return {.type = static_cast<ContentType>(bytes[0]),
          .version = ktls::load_big_endian<std::uint16_t>(&bytes[1]),
          .body_size = ktls::load_big_endian<std::uint16_t>(&bytes[3])};
}

void encode_record_header(const RecordHeader& header,
                          std::span<std::uint8_t, kRecordHeaderSize> bytes) {
  bytes[0] = static_cast<std::uint8_t>(header.type);
  ktls::store_big_endian(&bytes[1], header.version);
  ktls::store_big_endian(&bytes[3], static_cast<std::uint16_t>(header.body_size));
}

std::size_t header_size_of(std::uint8_t first) {
  constexpr std::uint8_t kHeartbeat = 24;  // RFC 6520: the last type that TLS 1.2 knows
  if (first >= static_cast<std::uint8_t>(ContentType::kChangeCipherSpec) && first <= kHeartbeat) {
    return kRecordHeaderSize;
  }
  return ssl2_header_size_of(first);
}

std::size_t ssl2_header_size_of(std::uint8_t first) {
  return (first & 0x80U) != 0 ? kSsl2ShortHeaderSize : kSsl2LongHeaderSize;
}

ktls::Result<RecordHeader> decode_ssl2_header(std::span<const std::uint8_t> bytes) {
  RecordHeader header{.type = ContentType::kHandshake,
                      .version = kSsl2RecordVersion,
                      .body_size = 0,
                      .is_ssl2 = true};
  if (bytes.size() == kSsl2ShortHeaderSize) {
    header.body_size = (bytes[0] & 0x7fU) << 8U | bytes[1];
    return header;
  }
  header.body_size = (bytes[0] & 0x3fU) << 8U | bytes[1];
  header.security_escape = (bytes[0] & 0x40U) != 0;
  header.padding = bytes[2];
  if (header.padding > header.body_size ||
      (header.padding != 0 && header.body_size % kSsl2BlockSize != 0)) {
    return refuse(ErrorCode::kIllegalParameter, AlertDescription::kIllegalParameter,
                  "SSLv2 record header: padding");
  }
  return header;
}

ktls::Result<std::size_t> encode_ssl2_header(const RecordHeader& header,
                                             std::span<std::uint8_t, 3> bytes) {
  const bool is_short = header.padding == 0 && !header.security_escape;
  if (header.body_size > (is_short ? kSsl2ShortBodyMax : kSsl2LongBodyMax)) {
    return ktls::fail(
        ktls::Error::of(ErrorCode::kInvalidArgument, "SSLv2 record header: the body is too long"));
  }
  bytes[0] = static_cast<std::uint8_t>(header.body_size >> 8U);
  bytes[1] = static_cast<std::uint8_t>(header.body_size);
  if (is_short) {
    bytes[0] |= 0x80U;
    return kSsl2ShortHeaderSize;
  }
  if (header.security_escape) bytes[0] |= 0x40U;
  bytes[2] = header.padding;
  return kSsl2LongHeaderSize;
}

ktls::Result<void> check_record_header(const RecordHeader& header, std::size_t body_size_max) {
  if (header.type < ContentType::kChangeCipherSpec || header.type > ContentType::kApplicationData) {
    return refuse(ErrorCode::kUnexpectedMessage, AlertDescription::kUnexpectedMessage,
                  "record header: unknown content type");
  }
  if (header.version >> 8 != kRecordVersion >> 8) {
    return refuse(ErrorCode::kDecodeError, AlertDescription::kProtocolVersion,
                  "record header: not a version of TLS");
  }
  if (header.body_size > body_size_max) {
    return refuse(ErrorCode::kRecordOverflow, AlertDescription::kRecordOverflow,
                  "record header: longer than a record may be");
  }
  return {};
}

}  // namespace tls
