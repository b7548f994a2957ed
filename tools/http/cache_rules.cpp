// Patterns and directives of --cache.

#include "tools/http/cache_rules.h"

#include <algorithm>
#include <bitset>
#include <cstdint>
#include <iterator>

#include <fmt/format.h>

#include "tools/http/field_value.h"

namespace http {
namespace {

using ktls::Error;
using ktls::ErrorCode;

// Bounds what one request can cost; nobody writes such a pattern by hand.
constexpr std::size_t kPatternSizeMax = 255;

// A week of seconds has six digits; RFC 9111 section 1.2.2 counts to 2^31.
constexpr std::size_t kSecondsDigitsMax = 10;

enum class Argument : std::uint8_t { kNone, kSeconds, kFields };

struct Directive {
  std::string_view name;
  Argument argument;
};

// The response directives of the IANA registry: RFC 9111 section 5.2.2, RFC 5861, RFC 8246.
constexpr Directive kDirectives[] = {
    {"immutable", Argument::kNone},
    {"max-age", Argument::kSeconds},
    {"must-revalidate", Argument::kNone},
    {"must-understand", Argument::kNone},
    {"no-cache", Argument::kFields},
    {"no-store", Argument::kNone},
    {"no-transform", Argument::kNone},
    {"private", Argument::kFields},
    {"proxy-revalidate", Argument::kNone},
    {"public", Argument::kNone},
    {"s-maxage", Argument::kSeconds},
    {"stale-if-error", Argument::kSeconds},
    {"stale-while-revalidate", Argument::kSeconds},
};

tl::unexpected<Error> invalid(std::string_view rule, std::string_view why) {
  return ktls::fail(Error::of(
      ErrorCode::kInvalidArgument,
      fmt::format("'{}' is no cache rule: {}; expected PATTERN=VALUE, such as *.css=max-age=86400",
                  rule, why)));
}

bool is_seconds(std::string_view text) {
  return !text.empty() && text.size() <= kSecondsDigitsMax &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// private="Set-Cookie": one name, since the commas between several would be ours to parse.
bool is_field_list(std::string_view text) {
  return text.size() > 2 && text.front() == '"' && text.back() == '"' &&
         is_token(text.substr(1, text.size() - 2));
}

// What is wrong with one directive; empty if nothing is.
std::string flaw_of(std::string_view directive) {
  const std::size_t equals = directive.find('=');
  const std::string_view name = directive.substr(0, equals);
  const bool has_argument = equals != std::string_view::npos;
  const std::string_view argument = has_argument ? directive.substr(equals + 1) : "";
  const auto* const row =
      std::find_if(std::begin(kDirectives), std::end(kDirectives),
                   [&](const auto& each) { return equals_ignoring_case(each.name, name); });
  if (row == std::end(kDirectives)) return fmt::format("'{}' is no directive of a response", name);
  if (row->argument == Argument::kSeconds && !is_seconds(argument)) {
    return fmt::format("{} needs a number of seconds", name);
  }
  if (row->argument == Argument::kNone && has_argument) {
    return fmt::format("{} takes no argument", name);
  }
  if (row->argument == Argument::kFields && has_argument && !is_field_list(argument)) {
    return fmt::format("{} takes the name of a field in quotes", name);
  }
  return {};
}

std::string flaw_of_value(std::string_view value) {
  for (std::size_t begin = 0; begin <= value.size();) {
    const std::size_t end = std::min(value.find(',', begin), value.size());
    std::string flaw = flaw_of(trimmed(value.substr(begin, end - begin)));
    if (!flaw.empty()) return flaw;
    begin = end + 1;
  }
  return {};
}

}  // namespace

ktls::Result<PathPattern> PathPattern::parse(std::string_view text) {
  const auto fail = [&](std::string_view why) {
    return ktls::fail(
        Error::of(ErrorCode::kInvalidArgument, fmt::format("the pattern '{}' {}", text, why)));
  };
  if (text.empty()) return fail("is empty");
  if (text.size() > kPatternSizeMax) return fail("is longer than 255 bytes");
  if (text.find('/') != std::string_view::npos && text.front() != '/' && !text.starts_with("**")) {
    return fail("has a '/' and does not begin with it, as every path does");
  }
  return PathPattern(text);
}

PathPattern::PathPattern(std::string_view text)
    : last_segment_only_(text.find('/') == std::string_view::npos) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '?') {
      tokens_.push_back({Kind::kOne, '\0'});
    } else if (text[i] != '*') {
      tokens_.push_back({Kind::kByte, text[i]});
    } else if (text.substr(i).starts_with("**")) {
      tokens_.push_back({Kind::kAny, '\0'});
      ++i;
    } else {
      tokens_.push_back({Kind::kSegment, '\0'});
    }
  }
}

bool PathPattern::matches(std::string_view path) const {
  return matches_whole(last_segment_only_ ? path.substr(path.rfind('/') + 1) : path);
}

// Runs all ways to match side by side (Thompson): bit i is set while the first i tokens match what
// was read. Backtracking would let a long path with few differences cost seconds.
bool PathPattern::matches_whole(std::string_view text) const {
  using States = std::bitset<kPatternSizeMax + 1>;
  const auto with_empty_stars = [&](States states) {
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      const bool may_be_empty = tokens_[i].kind == Kind::kSegment || tokens_[i].kind == Kind::kAny;
      if (states[i] && may_be_empty) states.set(i + 1);
    }
    return states;
  };
  States states = with_empty_stars(States(1));
  for (const char c : text) {
    States next;
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      const auto [kind, byte] = tokens_[i];
      if (!states[i]) continue;
      if (kind == Kind::kAny || (kind == Kind::kSegment && c != '/')) next.set(i);
      if ((kind == Kind::kByte && c == byte) || (kind == Kind::kOne && c != '/')) next.set(i + 1);
    }
    if (next.none()) return false;
    states = with_empty_stars(next);
  }
  return states[tokens_.size()];
}

ktls::Result<void> CacheRules::add(std::string_view rule) {
  const std::size_t equals = rule.find('=');
  if (equals == std::string_view::npos) return invalid(rule, "there is no '='");
  auto pattern = PathPattern::parse(trimmed(rule.substr(0, equals)));
  if (!pattern) return invalid(rule, pattern.error().detail);
  const std::string_view value = trimmed(rule.substr(equals + 1));
  if (value.empty()) return invalid(rule, "the value is empty");
  if (const std::string flaw = flaw_of_value(value); !flaw.empty()) return invalid(rule, flaw);
  rules_.emplace_back(*std::move(pattern), value);
  return {};
}

std::string_view CacheRules::value_for(std::string_view path) const {
  for (const auto& [pattern, value] : rules_) {
    if (pattern.matches(path)) return value;
  }
  return {};
}

}  // namespace http
