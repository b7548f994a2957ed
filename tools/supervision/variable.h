// Variables of the environment that are for this process alone.
#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace tools {

// The value of `name`. Called before there is a second thread.
[[nodiscard]] std::optional<std::string> variable(const char* name);
// The value of `name`, which is taken out of the environment, so that no program of ours has it.
// Called before there is a second thread.
[[nodiscard]] std::optional<std::string> take_variable(const char* name);

// Of a value that is one and nothing else.
template <class Number>
[[nodiscard]] std::optional<Number> number_of(std::string_view text) {
  Number number = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number);
  if (error != std::errc() || end != last) return std::nullopt;
  return number;
}

}  // namespace tools
