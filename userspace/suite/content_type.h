// ContentType: the record types of TLS (RFC 8446 appendix B.1).
#pragma once

#include <cstdint>

namespace tls {

enum class ContentType : std::uint8_t {
  kInvalid = 0,
  kChangeCipherSpec = 20,
  kAlert = 21,
  kHandshake = 22,
  kApplicationData = 23,
};

}  // namespace tls
