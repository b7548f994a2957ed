// Escaping: the decoder is strict, and what it refuses is shown as replaced.

#include "tools/http/markup.h"

#include <algorithm>
#include <cstdint>

namespace http {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

struct CodePoint {
  std::uint32_t value = 0;
  std::size_t size = 0;  // in bytes, 0 if malformed
};

// RFC 3629: neither overlong forms nor surrogates nor anything above U+10FFFF.
CodePoint decode_first(std::string_view bytes) {
  const auto first = static_cast<std::uint8_t>(bytes[0]);
  if (first < 0x80) return {first, 1};
  if (first < 0xc2 || first > 0xf4) return {};
  const std::size_t size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (bytes.size() < size) return {};
  std::uint32_t value = first & (0xffU >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    const auto next = static_cast<std::uint8_t>(bytes[i]);
    if ((next & 0xc0) != 0x80) return {};
    value = value << 6 | (next & 0x3f);
  }
  constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool is_surrogate = value >= 0xd800 && value <= 0xdfff;
  if (value < kLeast[size] || value > 0x10ffff || is_surrogate) return {};
  return {value, size};
}

bool is_shown(std::uint32_t value) {
  const bool is_control = value < 0x20 || (value >= 0x7f && value <= 0x9f);
  const bool turns_direction =
      (value >= 0x202a && value <= 0x202e) || (value >= 0x2066 && value <= 0x2069);
  return !is_control && !turns_direction;
}

std::string_view entity_of(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    case '\'':
      return "&#39;";
    default:
      return {};
  }
}

}  // namespace

std::string html_escaped(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const CodePoint point = decode_first(bytes);
    const std::size_t size = std::max<std::size_t>(point.size, 1);
    if (point.size == 0 || !is_shown(point.value)) {
      text += kReplacement;
    } else if (const std::string_view entity = entity_of(bytes[0]); !entity.empty()) {
      text += entity;
    } else {
      text += bytes.substr(0, size);
    }
    bytes.remove_prefix(size);
  }
  return text;
}

}  // namespace http
