// AlertDescription: what an alert says (RFC 8446 section 6, and those of RFC 5246 section 7.2 that
// TLS 1.2 still sends), with the names of the IANA registry.
#pragma once

#include <cstdint>
#include <string_view>

namespace tls {

enum class AlertLevel : std::uint8_t { kWarning = 1, kFatal = 2 };

enum class AlertDescription : std::uint8_t {
  kCloseNotify = 0,
  kUnexpectedMessage = 10,
  kBadRecordMac = 20,
  kRecordOverflow = 22,
  kHandshakeFailure = 40,
  kBadCertificate = 42,
  kUnsupportedCertificate = 43,
  kCertificateRevoked = 44,
  kCertificateExpired = 45,
  kCertificateUnknown = 46,
  kIllegalParameter = 47,
  kUnknownCa = 48,
  kAccessDenied = 49,
  kDecodeError = 50,
  kDecryptError = 51,
  kProtocolVersion = 70,
  kInsufficientSecurity = 71,
  kInternalError = 80,
  kInappropriateFallback = 86,
  kUserCanceled = 90,
  kNoRenegotiation = 100,  // RFC 5246 only
  kMissingExtension = 109,
  kUnsupportedExtension = 110,
  kUnrecognizedName = 112,
  kBadCertificateStatusResponse = 113,
  kUnknownPskIdentity = 115,
  kCertificateRequired = 116,
  kNoApplicationProtocol = 120,
};

// "bad_record_mac"; "unknown" for a number that has no row.
[[nodiscard]] std::string_view name_of(AlertDescription description);

// The number on the wire, which is what ktls::Error carries.
[[nodiscard]] constexpr std::uint8_t code_of(AlertDescription description) {
  return static_cast<std::uint8_t>(description);
}

}  // namespace tls
