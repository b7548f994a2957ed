// Coding and checking of record headers.
#include "userspace/record/record_header.h"

#include "ktls/base/endian.h"
#include "userspace/suite/refuse.h"

namespace tls {

using ktls::ErrorCode;

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
