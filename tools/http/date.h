// HTTP-date: the one form in which dates are written, and the three in which they are read (RFC
// 9110 section 5.6.7).
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>

namespace http {

// Seconds since 1970 in UTC, 64 bits wide.
using Seconds = std::chrono::sys_seconds;

// "Sun, 06 Nov 1994 08:49:37 GMT"
using ImfFixdate = std::array<char, 29>;

// The form has four digits for the year: what lies outside of the years 0 to 9999 is written as
// the nearest second within.
[[nodiscard]] ImfFixdate imf_fixdate(Seconds time);

[[nodiscard]] inline std::string_view text(const ImfFixdate& date) {
  return {date.data(), date.size()};
}

// Reads IMF-fixdate, the obsolete RFC 850 format and that of asctime(). `now` decides on the
// century of a year of two digits: "more than 50 years in the future" is in the past. The name of
// the day must be one, and may be a wrong one. A leap second is the second after it.
[[nodiscard]] std::optional<Seconds> parse_date(std::string_view text, Seconds now);

}  // namespace http
