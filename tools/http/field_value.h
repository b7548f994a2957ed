// What field values are made of: tokens, lists, weights (RFC 9110 section 5.6).
#pragma once

#include <optional>
#include <string_view>

namespace http {

// Without the spaces and tabs at both ends (OWS, RFC 9110 section 5.6.3).
[[nodiscard]] std::string_view trimmed(std::string_view text);

// Letters of ASCII alone: no protocol element depends on a locale.
[[nodiscard]] char lower_case(char c);

// Compared as protocol elements are: letters of ASCII in either case, no locale.
[[nodiscard]] bool equals_ignoring_case(std::string_view a, std::string_view b);

// RFC 9110 section 5.6.2; the empty string is none.
[[nodiscard]] bool is_token(std::string_view text);

// VCHAR, SP, HTAB and obs-text: what a field value may hold.
[[nodiscard]] bool is_field_text(std::string_view text);

// The members of a comma-separated list, in order. Empty members are passed over, as section
// 5.6.1.2 asks of a recipient. A comma within a quoted string is part of its member.
class ListReader {
 public:
  explicit ListReader(std::string_view list) : rest_(list) {}

  // The next member, trimmed; none at the end.
  [[nodiscard]] std::optional<std::string_view> next();

 private:
  std::string_view rest_;
};

// Whether a list of tokens (Connection, Transfer-Encoding) names `token`.
[[nodiscard]] bool lists_token(std::string_view list, std::string_view token);

// A list member with its weight in thousandths: "gzip;q=0.5" is gzip, 500.
struct WeightedMember {
  std::string_view name;
  int thousandths = 1000;
};

// None where the weight is malformed (section 12.4.2), or there is another parameter.
[[nodiscard]] std::optional<WeightedMember> parse_weighted(std::string_view member);

}  // namespace http
