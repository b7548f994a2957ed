#include "tools/http/field_value.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace http {
namespace {

constexpr std::string_view kBlank = " \t";

constexpr std::array<bool, 256> token_characters() {
  std::array<bool, 256> table{};
  for (char c = '0'; c <= '9'; ++c) table[static_cast<unsigned char>(c)] = true;
  for (char c = 'a'; c <= 'z'; ++c) table[static_cast<unsigned char>(c)] = true;
  for (char c = 'A'; c <= 'Z'; ++c) table[static_cast<unsigned char>(c)] = true;
  for (const char c : std::string_view("!#$%&'*+-.^_`|~")) {
    table[static_cast<unsigned char>(c)] = true;
  }
  return table;
}

constexpr std::array<bool, 256> kTokenCharacters = token_characters();

// qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )
std::optional<int> parse_weight(std::string_view text) {
  if (text.empty() || text.size() > 5 || text[0] < '0' || text[0] > '1') return std::nullopt;
  if (text.size() > 1 && text[1] != '.') return std::nullopt;
  int thousandths = (text[0] - '0') * 1000;
  int unit = 100;
  for (const char c : text.substr(std::min<std::size_t>(2, text.size()))) {
    if (c < '0' || c > '9') return std::nullopt;
    thousandths += (c - '0') * unit;
    unit /= 10;
  }
  if (thousandths > 1000) return std::nullopt;
  return thousandths;
}

}  // namespace

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

char lower_case(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower_case(x) == lower_case(y); });
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return kTokenCharacters[static_cast<unsigned char>(c)];
  });
}

bool is_field_text(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto octet = static_cast<unsigned char>(c);
    return (octet >= 0x20 && octet != 0x7f) || octet == '\t';
  });
}

std::optional<std::string_view> ListReader::next() {
  while (!rest_.empty()) {
    bool is_quoted = false;
    std::size_t end = 0;
    for (; end < rest_.size() && (is_quoted || rest_[end] != ','); ++end) {
      if (rest_[end] == '"') is_quoted = !is_quoted;
      if (is_quoted && rest_[end] == '\\') ++end;
    }
    end = std::min(end, rest_.size());
    const std::string_view member = trimmed(rest_.substr(0, end));
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    if (!member.empty()) return member;
  }
  return std::nullopt;
}

bool lists_token(std::string_view list, std::string_view token) {
  ListReader members(list);
  while (const auto member = members.next()) {
    if (equals_ignoring_case(*member, token)) return true;
  }
  return false;
}

std::optional<WeightedMember> parse_weighted(std::string_view member) {
  const std::size_t semicolon = member.find(';');
  WeightedMember weighted{trimmed(member.substr(0, semicolon))};
  if (!is_token(weighted.name)) return std::nullopt;
  if (semicolon == std::string_view::npos) return weighted;
  const std::string_view parameter = trimmed(member.substr(semicolon + 1));
  if (parameter.size() < 2 || lower_case(parameter[0]) != 'q' || parameter[1] != '=') {
    return std::nullopt;
  }
  const auto weight = parse_weight(parameter.substr(2));
  if (!weight) return std::nullopt;
  weighted.thousandths = *weight;
  return weighted;
}

}  // namespace http
