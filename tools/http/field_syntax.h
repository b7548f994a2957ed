// The syntax of header fields that operators write (RFC 9110 section 5).
#pragma once

#include <string_view>

namespace http {

[[nodiscard]] bool is_tchar(char c);
[[nodiscard]] bool is_field_name(std::string_view text);   // a token: at least one tchar
[[nodiscard]] bool is_field_value(std::string_view text);  // no control character but TAB
[[nodiscard]] std::string_view without_outer_space(std::string_view text);
// ASCII alone: neither field names nor extensions depend on a locale.
[[nodiscard]] bool equal_ignoring_case(std::string_view left, std::string_view right);
[[nodiscard]] char lower_case(char c);

}  // namespace http
