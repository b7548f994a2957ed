// The names of alerts, a row each.
#include "userspace/suite/alert.h"

#include <algorithm>
#include <array>

namespace tls {
namespace {

struct AlertName {
  AlertDescription description;
  std::string_view name;
};

constexpr std::array kAlertNames = {
    AlertName{AlertDescription::kCloseNotify, "close_notify"},
    AlertName{AlertDescription::kUnexpectedMessage, "unexpected_message"},
    AlertName{AlertDescription::kBadRecordMac, "bad_record_mac"},
    AlertName{AlertDescription::kRecordOverflow, "record_overflow"},
    AlertName{AlertDescription::kHandshakeFailure, "handshake_failure"},
    AlertName{AlertDescription::kBadCertificate, "bad_certificate"},
    AlertName{AlertDescription::kUnsupportedCertificate, "unsupported_certificate"},
    AlertName{AlertDescription::kCertificateRevoked, "certificate_revoked"},
    AlertName{AlertDescription::kCertificateExpired, "certificate_expired"},
    AlertName{AlertDescription::kCertificateUnknown, "certificate_unknown"},
    AlertName{AlertDescription::kIllegalParameter, "illegal_parameter"},
    AlertName{AlertDescription::kUnknownCa, "unknown_ca"},
    AlertName{AlertDescription::kAccessDenied, "access_denied"},
    AlertName{AlertDescription::kDecodeError, "decode_error"},
    AlertName{AlertDescription::kDecryptError, "decrypt_error"},
    AlertName{AlertDescription::kProtocolVersion, "protocol_version"},
    AlertName{AlertDescription::kInsufficientSecurity, "insufficient_security"},
    AlertName{AlertDescription::kInternalError, "internal_error"},
    AlertName{AlertDescription::kInappropriateFallback, "inappropriate_fallback"},
    AlertName{AlertDescription::kUserCanceled, "user_canceled"},
    AlertName{AlertDescription::kNoRenegotiation, "no_renegotiation"},
    AlertName{AlertDescription::kMissingExtension, "missing_extension"},
    AlertName{AlertDescription::kUnsupportedExtension, "unsupported_extension"},
    AlertName{AlertDescription::kUnrecognizedName, "unrecognized_name"},
    AlertName{AlertDescription::kBadCertificateStatusResponse, "bad_certificate_status_response"},
    AlertName{AlertDescription::kUnknownPskIdentity, "unknown_psk_identity"},
    AlertName{AlertDescription::kCertificateRequired, "certificate_required"},
    AlertName{AlertDescription::kNoApplicationProtocol, "no_application_protocol"},
};

}  // namespace

std::string_view name_of(AlertDescription description) {
  const auto* row = std::ranges::find(kAlertNames, description, &AlertName::description);
  return row == kAlertNames.end() ? "unknown" : row->name;
}

}  // namespace tls
