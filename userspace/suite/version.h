// ProtocolVersion: the versions of SSL and TLS on the wire (RFC 6101 section 5.2.1, RFC 5246
// section 6.2.1, RFC 8446 section 4.2.1).
#pragma once

#include <cstdint>
#include <string_view>

namespace tls {

// Ordered as they came about. SSLv2 has no version in its records; 0x0002 is what its hellos say.
enum class ProtocolVersion : std::uint16_t {
  kSsl2 = 0x0002,
  kSsl3 = 0x0300,
  kTls10 = 0x0301,
  kTls11 = 0x0302,
  kTls12 = 0x0303,
  kTls13 = 0x0304,
};

// As libssl names them: "TLSv1.2".
[[nodiscard]] constexpr std::string_view name_of(ProtocolVersion version) {
  switch (version) {
    case ProtocolVersion::kSsl2:
      return "SSLv2";
    case ProtocolVersion::kSsl3:
      return "SSLv3";
    case ProtocolVersion::kTls10:
      return "TLSv1";
    case ProtocolVersion::kTls11:
      return "TLSv1.1";
    case ProtocolVersion::kTls12:
      return "TLSv1.2";
    case ProtocolVersion::kTls13:
      return "TLSv1.3";
  }
  return "unknown";
}

enum class Role : std::uint8_t { kClient, kServer };

}  // namespace tls
