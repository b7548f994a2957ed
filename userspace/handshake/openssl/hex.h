// Bytes as lower-case hex for people: fingerprints, what a peer sent. Not for secrets.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tls {

inline constexpr std::string_view kHexDigits = "0123456789abcdef";

[[nodiscard]] inline std::string hex_of(std::span<const std::uint8_t> bytes, char separator) {
  std::string text;
  for (const std::uint8_t byte : bytes) {
    if (!text.empty()) text += separator;
    text += kHexDigits[byte >> 4];
    text += kHexDigits[byte & 0xf];
  }
  return text;
}

}  // namespace tls
