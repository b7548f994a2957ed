#include "tools/http/authority.h"

#include <algorithm>
#include <cstddef>

namespace http {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdefABCDEF";
// unreserved and sub-delims of RFC 3986 section 2, without letters and digits.
constexpr std::string_view kNameMarks = "-._~!$&'()*+,;=";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_name_character(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         kNameMarks.find(c) != std::string_view::npos;
}

bool is_hex(char c) {
  return kHexDigits.find(c) != std::string_view::npos;
}

bool is_registered_name(std::string_view name) {
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (is_name_character(name[i])) continue;
    if (name[i] != '%' || i + 2 >= name.size() || !is_hex(name[i + 1]) || !is_hex(name[i + 2])) {
      return false;
    }
    i += 2;
  }
  return true;
}

// What stands in brackets is compared with nothing and never connected to, so that its characters
// matter and not the number of its groups.
bool is_ip_literal(std::string_view inside) {
  return !inside.empty() && std::all_of(inside.begin(), inside.end(),
                                        [](char c) { return is_name_character(c) || c == ':'; });
}

}  // namespace

bool is_valid_authority(std::string_view text) {
  std::string_view port;
  if (text.starts_with('[')) {
    const std::size_t bracket = text.find(']');
    if (bracket == std::string_view::npos || !is_ip_literal(text.substr(1, bracket - 1))) {
      return false;
    }
    port = text.substr(bracket + 1);
  } else {
    const std::size_t colon = std::min(text.find(':'), text.size());
    if (!is_registered_name(text.substr(0, colon))) return false;
    port = text.substr(colon);
  }
  if (port.empty()) return true;
  return port[0] == ':' && std::all_of(port.begin() + 1, port.end(), is_digit);
}

std::string_view host_of(std::string_view authority) {
  const std::size_t behind_literal = authority.starts_with('[') ? authority.find(']') : 0;
  return authority.substr(0, authority.find(':', behind_literal));
}

}  // namespace http
