// Errors of the C interface, and what its files share.
#include <algorithm>
#include <array>
#include <cerrno>

#include "userspace/api/c_handles.h"

namespace {

struct ErrorRow {
  int error;
  const char* name;
  int alert;
};
// For decryption_failed RFC 5246 section 7.2.2 has bad_record_mac be sent.
constexpr std::array kErrors = {
    ErrorRow{KTLSB_OK, "ok", -1},
    ErrorRow{KTLSB_WANT_MORE, "want_more", -1},
    ErrorRow{KTLSB_ILLEGAL_PARAMETER, "illegal_parameter", 47},
    ErrorRow{KTLSB_RECORD_OVERFLOW, "record_overflow", 22},
    ErrorRow{KTLSB_BAD_RECORD_MAC, "bad_record_mac", 20},
    ErrorRow{KTLSB_DECRYPTION_FAILED, "decryption_failed", 20},
    ErrorRow{KTLSB_UNEXPECTED_MESSAGE, "unexpected_message", 10},
    ErrorRow{KTLSB_ABRUPT_CLOSE, "abrupt_close", -1},
    ErrorRow{KTLSB_OUT_OF_RANGE, "out_of_range", 80},
    ErrorRow{KTLSB_NOT_USABLE, "not_usable", 80},
    ErrorRow{KTLSB_NOT_IMPLEMENTED, "not_implemented", 80},
    ErrorRow{KTLSB_WRONG_STATE, "wrong_state", 80},
    ErrorRow{KTLSB_SYSTEM, "system", -1},
    ErrorRow{KTLSB_CRYPTO, "crypto", 80},
    ErrorRow{KTLSB_NO_MEMORY, "no_memory", 80},
    ErrorRow{KTLSB_NO_SPACE, "no_space", -1},
    ErrorRow{KTLSB_NOT_IN_KERNEL, "not_in_kernel", -1},
};

const ErrorRow* row_of(int error) {
  const auto* row = std::ranges::find(kErrors, error, &ErrorRow::error);
  return row == kErrors.end() ? nullptr : row;
}

}  // namespace

namespace api {

using ktls::Error;
using ktls::ErrorCode;

int code_of(const Error& error, int invalid) {
  switch (error.code) {
    case ErrorCode::kSystem:
      errno = error.sys_errno;
      return KTLSB_SYSTEM;
    case ErrorCode::kEndOfStream:
      return KTLSB_ABRUPT_CLOSE;
    case ErrorCode::kInvalidArgument:
      return invalid;
    case ErrorCode::kLimitReached:
      return KTLSB_OUT_OF_RANGE;
    case ErrorCode::kProtocolViolation:
    case ErrorCode::kSequenceUnknown:
      return KTLSB_WRONG_STATE;
    case ErrorCode::kBadRecordMac:
      return KTLSB_BAD_RECORD_MAC;
    case ErrorCode::kDecryptionFailed:
      return KTLSB_DECRYPTION_FAILED;
    case ErrorCode::kRecordOverflow:
      return KTLSB_RECORD_OVERFLOW;
    case ErrorCode::kIllegalParameter:
    case ErrorCode::kDecodeError:
      return KTLSB_ILLEGAL_PARAMETER;
    case ErrorCode::kUnexpectedMessage:
      return KTLSB_UNEXPECTED_MESSAGE;
    case ErrorCode::kUnsupported:
      return KTLSB_NOT_IMPLEMENTED;
    default:
      return KTLSB_CRYPTO;
  }
}

int answer(ktlsb_layer* layer, const Error& error, int invalid) {
  layer->fail(error.message());
  return code_of(error, invalid);
}

int refuse(ktlsb_layer* layer, int error, const char* detail) {
  layer->fail(detail);
  return error;
}

ktlsb_header header_of(const tls::RecordHeader& header) {
  return {.type = static_cast<std::uint8_t>(header.type),
          .version = header.version,
          .length = header.body_size,
          .is_ssl2 = header.is_ssl2,
          .security_escape = header.security_escape,
          .padding = header.padding};
}

tls::RecordHeader header_of(const ktlsb_header& header) {
  return {.type = static_cast<tls::ContentType>(header.type),
          .version = header.version,
          .body_size = header.length,
          .is_ssl2 = header.is_ssl2 != 0,
          .security_escape = header.security_escape != 0,
          .padding = header.padding};
}

ktlsb_record record_of(const tls::Record& record) {
  return {.header = header_of(record.header),
          .content = record.content.data(),
          .content_size = record.content.size()};
}

}  // namespace api

const char* ktlsb_error_name(int error) {
  const ErrorRow* const row = row_of(error);
  return row == nullptr ? "unknown" : row->name;
}

int ktlsb_error_alert(int error) {
  const ErrorRow* const row = row_of(error);
  return row == nullptr ? -1 : row->alert;
}
