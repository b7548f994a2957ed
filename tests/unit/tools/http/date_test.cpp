#include "tools/http/date.h"

#include <chrono>
#include <cstdint>
#include <string_view>

#include <gtest/gtest.h>

namespace http {
namespace {

Seconds at(std::int64_t seconds) {
  return Seconds(std::chrono::seconds(seconds));
}

constexpr std::int64_t kExample = 784111777;  // of RFC 9110 section 5.6.7
const Seconds kNow = at(1700000000);          // November 2023

TEST(ImfFixdate, IsTheStandardsExample) {
  EXPECT_EQ(text(imf_fixdate(at(kExample))), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(text(imf_fixdate(at(0))), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(text(imf_fixdate(at(-1))), "Wed, 31 Dec 1969 23:59:59 GMT");
  EXPECT_EQ(text(imf_fixdate(at(4107542399))), "Sun, 28 Feb 2100 23:59:59 GMT");
  EXPECT_EQ(text(imf_fixdate(at(4107542400))), "Mon, 01 Mar 2100 00:00:00 GMT");
  EXPECT_EQ(text(imf_fixdate(at(1709164800))), "Thu, 29 Feb 2024 00:00:00 GMT");
}

TEST(ImfFixdate, StaysWithinFourDigitsOfYear) {
  EXPECT_EQ(text(imf_fixdate(Seconds::max())), "Fri, 31 Dec 9999 23:59:59 GMT");
  EXPECT_EQ(text(imf_fixdate(Seconds::min())), "Sat, 01 Jan 0000 00:00:00 GMT");
}

TEST(ParseDate, ReadsTheThreeForms) {
  for (const std::string_view form :
       {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994"}) {
    EXPECT_EQ(parse_date(form, kNow), at(kExample)) << form;
  }
  EXPECT_EQ(parse_date("Wed Nov 16 08:49:37 1994", kNow), at(kExample + 864000));
}

TEST(ParseDate, ReadsWhatItWrites) {
  for (std::int64_t second = -62000000000; second < 250000000000; second += 1234567891) {
    EXPECT_EQ(parse_date(text(imf_fixdate(at(second))), kNow), at(second));
  }
}

TEST(ParseDate, TakesAYearOfTwoDigitsForThePastIfItIsFiftyYearsAhead) {
  const auto year_of = [](std::string_view form, Seconds now) {
    const auto date = parse_date(form, now);
    return date ? int{std::chrono::year_month_day{std::chrono::floor<std::chrono::days>(*date)}
                          .year()}
                : 0;
  };
  EXPECT_EQ(year_of("Monday, 01-Jan-73 00:00:00 GMT", kNow), 2073);
  EXPECT_EQ(year_of("Monday, 01-Jan-74 00:00:00 GMT", kNow), 1974);
  EXPECT_EQ(year_of("Monday, 14-Nov-73 22:13:20 GMT", kNow), 2073);
  EXPECT_EQ(year_of("Monday, 14-Nov-73 22:13:21 GMT", kNow), 1973);
  EXPECT_EQ(year_of("Monday, 01-Jan-00 00:00:00 GMT", kNow), 2000);
  EXPECT_EQ(year_of("Monday, 01-Jan-99 00:00:00 GMT", kNow), 1999);
}

TEST(ParseDate, TakesALeapSecondForTheNext) {
  EXPECT_EQ(parse_date("Sat, 31 Dec 2016 23:59:60 GMT", kNow), at(1483228800));
}

TEST(ParseDate, RefusesEverythingElse) {
  for (const std::string_view form :
       {"",
        "x",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 gmt",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Foo, 06 Nov 1994 08:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Wed, 29 Feb 2023 00:00:00 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun Nov 06 08:49:37 1994 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 94",
        "784111777",
        "1994-11-06T08:49:37Z",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT"}) {
    EXPECT_FALSE(parse_date(form, kNow)) << form;
  }
}

}  // namespace
}  // namespace http
