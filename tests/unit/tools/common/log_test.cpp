#include "tools/common/log.h"

#include <algorithm>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace tools {
namespace {

std::string value_of(const std::string& text) {
  return text_line("event", {{"key", text}});
}

TEST(TextLine, WritesPlainValuesAsTheyAre) {
  EXPECT_EQ(text_line("connection", {}), "connection");
  EXPECT_EQ(text_line("connection", {{"peer", std::string("127.0.0.1:80")},
                                     {"received", std::uint64_t{18446744073709551615U}},
                                     {"change", std::int64_t{-1}},
                                     {"resumed", true},
                                     {"early", false},
                                     {"duration", 1.5}}),
            "connection peer=127.0.0.1:80 received=18446744073709551615 change=-1 resumed=yes "
            "early=no duration=1.500");
}

TEST(TextLine, QuotesWhatCouldBeTakenForSomethingElse) {
  EXPECT_EQ(value_of(""), R"(event key="")");
  EXPECT_EQ(value_of("two words"), R"(event key="two words")");
  EXPECT_EQ(value_of("a=b"), R"(event key="a=b")");
  EXPECT_EQ(value_of(R"(say "no")"), R"(event key="say \"no\"")");
  EXPECT_EQ(value_of(R"(back\slash)"), R"(event key="back\\slash")");
  EXPECT_EQ(value_of("tab\there"), R"(event key="tab\x09here")");
  EXPECT_EQ(value_of("\x7f"), R"(event key="\x7f")");
  EXPECT_EQ(value_of("\x1b[31mred"), R"(event key="\x1b[31mred")");
  EXPECT_EQ(value_of("caf\xc3\xa9"), R"(event key="caf\xc3\xa9")");
  EXPECT_EQ(value_of(std::string("nul\0inside", 10)), R"(event key="nul\x00inside")");
}

TEST(TextLine, CannotBeForgedByAHostileServerName) {
  const std::string hostile =
      "a\" ended=clean\n2026-01-01T00:00:00.000Z info connection peer=\"10.0.0.1\\\" x=y\r\n";
  const std::string line = text_line("connection", {{"name", hostile}, {"ended", "alert"}});
  EXPECT_TRUE(std::ranges::all_of(line, [](char c) { return c >= ' ' && c < 0x7f; })) << line;
  // Outside quotes there are two fields, and the last one is ours.
  bool quoted = false;
  std::string outside;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (quoted && line[i] == '\\') {
      ++i;
    } else if (line[i] == '"') {
      quoted = !quoted;
    } else if (!quoted) {
      outside += line[i];
    }
  }
  EXPECT_FALSE(quoted);
  EXPECT_EQ(outside, "connection name= ended=alert");
}

// One line of the log, as it stands on standard error.
std::string logged(LogFormat format, LogLevel level, const LogFields& fields) {
  testing::internal::CaptureStderr();
  {
    const Log log(format, LogLevel::kInfo);
    log.write(level, "connection", fields);
  }
  return testing::internal::GetCapturedStderr();
}

TEST(Log, WritesOneLineAnEvent) {
  const std::string line = logged(LogFormat::kText, LogLevel::kWarning, {{"name", "a\nb"}});
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1) << line;
  EXPECT_NE(line.find(R"( warning connection name="a\x0ab")"), std::string::npos) << line;
}

TEST(Log, WritesNothingBelowItsLevel) {
  EXPECT_EQ(logged(LogFormat::kText, LogLevel::kDebug, {}), "");
  EXPECT_EQ(logged(LogFormat::kJson, LogLevel::kDebug, {}), "");
}

TEST(Log, WritesJsonThatParsesWhateverThePeerSent) {
  const std::string hostile = "\"},{\"event\":\"forged\"\n\xff\xfe{}%s%n";
  const std::string line = logged(LogFormat::kJson, LogLevel::kInfo,
                                  {{"name", hostile}, {"received", std::uint64_t{7}}});
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1) << line;
  const auto parsed = nlohmann::json::parse(line);
  EXPECT_EQ(parsed.at("event"), "connection");
  EXPECT_EQ(parsed.at("level"), "info");
  EXPECT_EQ(parsed.at("received"), 7);
  EXPECT_EQ(parsed.at("name").get<std::string>().rfind("\"},{\"event\"", 0), 0U);
}

// spdlog would read a format string in what it is given.
TEST(Log, TakesBracesInAValueForText) {
  const std::string line = logged(LogFormat::kText, LogLevel::kInfo, {{"name", "{}{0}{:n}%v"}});
  EXPECT_NE(line.find("name={}{0}{:n}%v"), std::string::npos) << line;
}

}  // namespace
}  // namespace tools
