#include "tools/http/entity_tag.h"

#include <algorithm>
#include <cstddef>

#include "tools/http/field_value.h"

namespace http {
namespace {

constexpr std::string_view kBlankOrComma = " \t,";

// etagc = %x21 / %x23-7E / obs-text
bool is_tag_character(char c) {
  const auto octet = static_cast<unsigned char>(c);
  return octet >= 0x21 && octet != '"' && octet != 0x7f;
}

// Takes one tag from the front of `rest`. A backslash is no escape here, as it is in quoted
// strings, so that a list of tags is not split as other lists are.
std::optional<EntityTag> take_entity_tag(std::string_view& rest) {
  EntityTag tag;
  std::string_view left = rest;
  if (left.starts_with("W/")) {  // "case-sensitive"
    tag.is_weak = true;
    left.remove_prefix(2);
  }
  if (!left.starts_with('"')) return std::nullopt;
  left.remove_prefix(1);
  std::size_t size = 0;
  while (size < left.size() && is_tag_character(left[size])) ++size;
  if (size == left.size() || left[size] != '"') return std::nullopt;
  tag.opaque = left.substr(0, size);
  rest = left.substr(size + 1);
  return tag;
}

void skip(std::string_view& rest, std::string_view characters) {
  rest.remove_prefix(std::min(rest.find_first_not_of(characters), rest.size()));
}

}  // namespace

std::optional<EntityTag> parse_entity_tag(std::string_view text) {
  const auto tag = take_entity_tag(text);
  return text.empty() ? tag : std::nullopt;
}

bool matches(const EntityTag& a, const EntityTag& b, Comparison comparison) {
  if (comparison == Comparison::kStrong && (a.is_weak || b.is_weak)) return false;
  return a.opaque == b.opaque;
}

ListAnswer look_up(std::string_view list, const std::optional<EntityTag>& current,
                   Comparison comparison) {
  if (trimmed(list) == "*") return ListAnswer::kAny;
  ListAnswer answer = ListAnswer::kMalformed;
  skip(list, kBlankOrComma);
  while (!list.empty()) {
    const auto tag = take_entity_tag(list);
    if (!tag) return ListAnswer::kMalformed;
    if (current && matches(*tag, *current, comparison)) {
      answer = ListAnswer::kListed;
    } else if (answer == ListAnswer::kMalformed) {
      answer = ListAnswer::kNotListed;
    }
    skip(list, " \t");
    if (!list.empty() && list[0] != ',') return ListAnswer::kMalformed;
    skip(list, kBlankOrComma);
  }
  return answer;
}

}  // namespace http
