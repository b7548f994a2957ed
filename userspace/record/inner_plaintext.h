// TLSInnerPlaintext, what TLS 1.3 protects: content, type, zeros (RFC 8446 section 5.2), and the
// header around it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "userspace/record/protection.h"
#include "userspace/suite/refuse.h"

namespace tls {

inline constexpr std::size_t kInnerTypeSize = 1;

// TLSCiphertext's header, which is the associated data as well.
[[nodiscard]] inline std::array<std::uint8_t, kRecordHeaderSize> header_13(std::size_t body_size) {
  std::array<std::uint8_t, kRecordHeaderSize> bytes{};
  encode_record_header(
      {.type = ContentType::kApplicationData, .version = kRecordVersion, .body_size = body_size},
      bytes);
  return bytes;
}

// The checks of a header that stand before a record is opened. A tag that is not there cannot be
// wrong in any other way.
[[nodiscard]] inline ktls::Result<void> check_header_13(const RecordHeader& header,
                                                        std::span<const std::uint8_t> body,
                                                        std::size_t tag_size) {
  if (body.size() < tag_size) {
    return refuse(ktls::ErrorCode::kBadRecordMac, AlertDescription::kBadRecordMac,
                  "record: too short for its tag");
  }
  if (header.type != ContentType::kApplicationData) {
    return refuse(ktls::ErrorCode::kUnexpectedMessage, AlertDescription::kUnexpectedMessage,
                  "record header: unprotected record on a protected connection");
  }
  if (header.version != kRecordVersion) {
    return refuse(ktls::ErrorCode::kIllegalParameter, AlertDescription::kIllegalParameter,
                  "record header: version is not 3.3");
  }
  if (header.body_size != body.size()) {
    return refuse(ktls::ErrorCode::kBadRecordMac, AlertDescription::kBadRecordMac,
                  "record header: the body is of another size");
  }
  return {};
}

// RFC 8446 section 5.4: "the receiving implementation scans the field from the end toward the
// beginning until it finds a non-zero octet. This non-zero octet is the content type of the
// message." Where there is none, the type is kInvalid.
[[nodiscard]] inline Opened split_inner(std::span<std::uint8_t> inner) {
  std::size_t size = inner.size();
  while (size > 0 && inner[size - 1] == 0) --size;
  if (size == 0) {
    return {.type = ContentType::kInvalid, .content = {}, .inner_size = inner.size()};
  }
  return {.type = static_cast<ContentType>(inner[size - 1]),
          .content = inner.first(size - kInnerTypeSize),
          .inner_size = inner.size()};
}

}  // namespace tls
