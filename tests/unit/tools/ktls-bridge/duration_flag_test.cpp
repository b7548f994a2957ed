#include "tools/ktls-bridge/duration_flag.h"

#include <chrono>
#include <string>
#include <utility>

#include <CLI/CLI.hpp>
#include <gtest/gtest.h>

namespace tools {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kInitial{1500};

struct Parsed {
  milliseconds value{};
  std::string objection;  // empty: none
};

// `--wait` with a default of 1500ms, given as --wait=TEXT.
Parsed parse(const std::string& text, milliseconds least = milliseconds(0)) {
  Parsed parsed;
  CLI::App app;
  add_duration(app, {.name = "--wait", .initial = kInitial, .least = least, .text = "A wait"},
               parsed.value);
  try {
    app.parse("--wait=" + text);
  } catch (const CLI::Error& error) {
    parsed.objection = error.what();
  }
  return parsed;
}

TEST(DurationFlag, HasADefaultAndShowsItInTheLargestUnitOfTheTwo) {
  milliseconds value{};
  for (const auto& [initial, shown] :
       {std::pair(milliseconds(1500), "1500ms"), std::pair(milliseconds(600'000), "600s")}) {
    CLI::App app;
    add_duration(app, {.name = "--wait", .initial = initial, .least = {}, .text = "A wait"}, value);
    app.parse("");
    EXPECT_EQ(value, initial);
    EXPECT_NE(app.help().find(shown), std::string::npos) << app.help();
  }
}

TEST(DurationFlag, TakesEveryUnit) {
  const std::pair<std::string, milliseconds> durations[] = {
      {"500ms", milliseconds(500)},    {"10s", milliseconds(10'000)},
      {"10", milliseconds(10'000)},    {"5m", milliseconds(300'000)},
      {"2h", milliseconds(7'200'000)}, {"1000000000ms", milliseconds(1'000'000'000)},
  };
  for (const auto& [text, expected] : durations) {
    const Parsed parsed = parse(text);
    EXPECT_EQ(parsed.objection, "") << text;
    EXPECT_EQ(parsed.value, expected) << text;
  }
}

TEST(DurationFlag, RefusesWhatIsNoDuration) {
  for (const std::string text : {"", "ms", "s", "-1s", "1.5s", "10d", "10S", "1h30m", "0x10",
                                 "1000000001", "99999999999999999999", "ten"}) {
    SCOPED_TRACE(text);
    const Parsed parsed = parse(text);
    EXPECT_NE(parsed.objection, "");
    if (!text.empty()) {
      EXPECT_NE(parsed.objection.find("'" + text + "' is not a duration"), std::string::npos)
          << parsed.objection;
    }
  }
}

TEST(DurationFlag, RefusesWhatIsTooShort) {
  EXPECT_EQ(parse("0").objection, "");
  EXPECT_NE(parse("0", kLeastTimeout).objection.find("--wait"), std::string::npos);
  EXPECT_EQ(parse("1ms", kLeastTimeout).value, milliseconds(1));
}

}  // namespace
}  // namespace tools
