// What a word was meant to be that nobody knows.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace tools {

// The one of `known` that differs from `word` in the fewest letters, if that are few for its
// length; empty: none does.
[[nodiscard]] std::string nearest_to(std::string_view word, std::span<const std::string> known);

}  // namespace tools
