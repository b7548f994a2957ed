// ProtocolVersion: the versions of TLS on the wire (RFC 5246 section 6.2.1, RFC 8446
// section 4.2.1).
#pragma once

#include <cstdint>
#include <string_view>

namespace tls {

enum class ProtocolVersion : std::uint16_t { kTls12 = 0x0303, kTls13 = 0x0304 };

[[nodiscard]] constexpr std::string_view name_of(ProtocolVersion version) {
  return version == ProtocolVersion::kTls13 ? "TLSv1.3" : "TLSv1.2";
}

enum class Role : std::uint8_t { kClient, kServer };

}  // namespace tls
