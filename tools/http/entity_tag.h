// Entity tags: reading them, alone and in lists, and the two ways to compare (RFC 9110 section
// 8.8.3).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace http {

// A view of the text that it was read from. `opaque` is without its quotes.
struct EntityTag {
  bool is_weak = false;
  std::string_view opaque;
};

// `text` is one tag and nothing else: "xyzzy" or W/"xyzzy", with the quotes.
[[nodiscard]] std::optional<EntityTag> parse_entity_tag(std::string_view text);

// RFC 9110 section 8.8.3.2. The strong comparison says that two representations are the same to
// the last bit, the weak one that they may stand for each other.
enum class Comparison : std::uint8_t { kStrong, kWeak };
[[nodiscard]] bool matches(const EntityTag& a, const EntityTag& b, Comparison comparison);

// What a field value of If-Match or If-None-Match says about one tag.
enum class ListAnswer : std::uint8_t {
  kAny,        // the list is "*"
  kListed,     // a member matches
  kNotListed,  // no member does
  kMalformed,  // one or more members are no entity tags, or there is none
};

// `current` is absent where the representation has no tag: then no member matches.
[[nodiscard]] ListAnswer look_up(std::string_view list, const std::optional<EntityTag>& current,
                                 Comparison comparison);

}  // namespace http
