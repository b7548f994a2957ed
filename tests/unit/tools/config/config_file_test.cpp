#include "tools/config/config_file.h"

#include <array>
#include <cerrno>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace tools {
namespace {

constexpr std::array<std::string_view, 2> kCommands = {"wrap", "serve"};

ktls::Result<ConfigFile> parse(std::string_view text) {
  return parse_config(text, "f.toml", kCommands);
}

// Where and what; empty: nothing.
std::string objection_to(std::string_view text) {
  const auto parsed = parse(text);
  return parsed ? "" : parsed.error().detail;
}

TEST(ConfigFile, KeepsKeysInTheOrderOfTheFileWithTheirPlaces) {
  const auto file = parse("threads = 2\n[[wrap]]\nto = 'b:1'\nlisten = ['a:1',\n  'c:2']\n");
  ASSERT_TRUE(file) << file.error().detail;
  ASSERT_EQ(file->shared.size(), 1U);
  EXPECT_EQ(file->shared[0].key, "threads");
  EXPECT_EQ(file->shared[0].values[0].text, "2");
  ASSERT_EQ(file->sections.size(), 1U);
  const ConfigSection& section = file->sections[0];
  EXPECT_EQ(section.command, "wrap");
  EXPECT_EQ(section.place.line, 2U);
  ASSERT_EQ(section.items.size(), 2U);
  EXPECT_EQ(section.items[0].key, "to");
  EXPECT_EQ(section.items[1].key, "listen");
  ASSERT_EQ(section.items[1].values.size(), 2U);
  EXPECT_EQ(section.items[1].values[1].text, "c:2");
  EXPECT_EQ(file->at(section.items[1].values[1].place), "f.toml:5:3");
  EXPECT_EQ(file->at(section.items[1].place), "f.toml:4:1");
}

TEST(ConfigFile, WritesNumbersAsACommandLineWould) {
  const auto file = parse("a = 1.2\nb = 1.3\nc = -7\nd = 0x10\ne = 1_000\nf = true\n");
  ASSERT_TRUE(file);
  std::string texts;
  for (const ConfigItem& item : file->shared) texts += item.values[0].text + " ";
  EXPECT_EQ(texts, "1.2 1.3 -7 16 1000 true ");
  EXPECT_EQ(file->shared[0].values[0].kind, ConfigValue::Kind::kNumber);
  EXPECT_EQ(file->shared[5].values[0].kind, ConfigValue::Kind::kSwitch);
}

TEST(ConfigFile, NamesServicesByTheirKeyOrByCommandAndNumber) {
  const auto file = parse("[[wrap]]\n[[serve]]\nservice = 'www'\n[[wrap]]\n");
  ASSERT_TRUE(file);
  ASSERT_EQ(file->sections.size(), 3U);
  EXPECT_EQ(file->sections[0].name, "wrap-1");
  EXPECT_EQ(file->sections[1].name, "www");
  EXPECT_TRUE(file->sections[1].items.empty());
  EXPECT_EQ(file->sections[2].name, "wrap-2");
}

TEST(ConfigFile, TakesASingleTableForAService) {
  const auto file = parse("[wrap]\nto = 'a:1'\n");
  ASSERT_TRUE(file);
  ASSERT_EQ(file->sections.size(), 1U);
  EXPECT_EQ(file->sections[0].items[0].key, "to");
}

TEST(ConfigFile, SaysWhereASyntaxErrorIs) {
  EXPECT_TRUE(objection_to("threads = 2\nlisten = \n").starts_with("f.toml:2:"));
  EXPECT_TRUE(objection_to("[[wrap]]\nto = 'a:1'\nto = 'b:1'\n").starts_with("f.toml:3:"));
  EXPECT_TRUE(objection_to("\xff\xfe").starts_with("f.toml:1:"));
  EXPECT_TRUE(objection_to("[[wrap\n").starts_with("f.toml:1:"));
}

TEST(ConfigFile, RefusesWhatNoFlagCouldBeGiven) {
  EXPECT_EQ(objection_to("a = 1979-05-27\n"),
            "f.toml:1:5: a takes a string, a number, a boolean or an array of these, not a date");
  EXPECT_EQ(objection_to("a = [[1]]\n"),
            "f.toml:1:6: a takes a string, a number, a boolean or an array of these, not an array");
  EXPECT_EQ(objection_to("[[wrap]]\na.b = 1\n"),
            "f.toml:2:1: a takes a string, a number, a boolean or an array of these, not a table");
  EXPECT_EQ(objection_to("a = \"x\\u0000y\"\n"), "f.toml:1:5: a: there is a NUL in the string");
}

TEST(ConfigFile, RefusesTablesOfNoCommand) {
  EXPECT_EQ(objection_to("[[warp]]\nto = 'a:1'\n"),
            "f.toml:1:3: there is no command 'warp': tables are [[wrap]], [[serve]]");
  EXPECT_EQ(objection_to("wrap = 'a:1'\n"),
            "f.toml:1:8: wrap is a table: write [[wrap]] above its keys");
  EXPECT_EQ(objection_to("wrap = []\n"),
            "f.toml:1:8: wrap is a table: write [[wrap]] above its keys");
}

TEST(ConfigFile, RefusesTwoServicesOfOneName) {
  EXPECT_EQ(objection_to("[[wrap]]\nservice = 'a'\n[[wrap]]\nservice = 'a'\n"),
            "f.toml:3:1: the service at f.toml:1:1 is called 'a', too");
  EXPECT_EQ(objection_to("[[wrap]]\nservice = 3\n"),
            "f.toml:2:11: service takes a name of 1 to 64 characters");
}

TEST(ConfigFile, EitherParsesOrSaysWhereForEveryBeginningOfAFile) {
  const std::string whole =
      "log-format = \"json\" # x\n[[wrap]]\nservice = 'm'\nlisten = [\"a:1\", '''b:2''']\n"
      "max-version = 1.2\n[[serve]]\ndir = \"/srv\\u0041\"\nlisting = true\n";
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    for (const std::string_view end : {"", "\n", "\"", "]", "=", "\x80", "[[wrap]]"}) {
      const std::string text = whole.substr(0, size) + std::string(end);
      const auto parsed = parse(text);
      if (parsed) continue;
      EXPECT_TRUE(parsed.error().detail.starts_with("f.toml:")) << text;
      EXPECT_NE(parsed.error().detail.find(": "), std::string::npos) << text;
    }
  }
}

TEST(ConfigFile, IsReadFromFilesAlone) {
  const auto gone = read_config("/nowhere/f.toml", kCommands);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().sys_errno, ENOENT);
  EXPECT_EQ(read_config("/", kCommands).error().sys_errno, EISDIR);
  EXPECT_EQ(read_config("/dev/zero", kCommands).error().sys_errno, EFBIG);
}

}  // namespace
}  // namespace tools
