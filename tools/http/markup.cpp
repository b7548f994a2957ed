// Escaping: what is not UTF-8 is shown as replaced.

#include "tools/http/markup.h"

#include <algorithm>
#include <cstdint>

#include "tools/http/code_point.h"

namespace http {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

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
