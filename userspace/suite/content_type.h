// ContentType: the record types of TLS (RFC 8446 appendix B.1).
#pragma once

#include <cstdint>
#include <string_view>

namespace tls {

enum class ContentType : std::uint8_t {
  kInvalid = 0,
  kChangeCipherSpec = 20,
  kAlert = 21,
  kHandshake = 22,
  kApplicationData = 23,
};

[[nodiscard]] constexpr std::string_view name_of(ContentType type) {
  switch (type) {
    case ContentType::kChangeCipherSpec:
      return "change_cipher_spec";
    case ContentType::kAlert:
      return "alert";
    case ContentType::kHandshake:
      return "handshake";
    case ContentType::kApplicationData:
      return "application_data";
    case ContentType::kInvalid:
      break;
  }
  return "invalid";
}

}  // namespace tls
