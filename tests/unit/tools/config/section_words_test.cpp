#include "tools/config/section_words.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <gtest/gtest.h>

#include "tools/config/config_origin.h"
#include "tools/config/suggestion.h"

namespace tools {
namespace {

using Words = std::vector<std::string>;

constexpr std::array<std::string_view, 1> kCommands = {"wrap"};

// A command with a flag of each kind.
struct Command {
  Command() {
    wrap->add_option("--listen", listen)->allow_extra_args(false)->type_name("ADDRESS");
    wrap->add_option("--threads", threads)->check(CLI::Range(1U, 9U).description(""));
    wrap->add_option("--version-max", version)->check(CLI::IsMember({"1.2", "1.3"}));
    auto* const quiet = wrap->add_flag("--quiet");
    wrap->add_flag("--verbose")->excludes(quiet);
    wrap->add_flag("--check");
    wrap->add_option("DIR", directory);
  }

  CLI::App app;
  CLI::App* wrap = app.add_subcommand("wrap");
  std::vector<std::string> listen;
  unsigned threads = 1;
  std::string version;
  std::string directory;
};

ktls::Result<SectionWords> words(std::string_view text, const Words& given = {}) {
  Command command;
  Words line(given.rbegin(), given.rend());
  line.emplace_back("wrap");
  command.app.parse(line);
  const auto file = parse_config(text, "f", kCommands);
  if (!file) return ktls::fail(file.error());
  ConfigSection section;
  section.command = "wrap";
  if (!file->sections.empty()) section = file->sections.front();
  Command trial;
  return words_of(*file, section, *trial.wrap, keys_given(*command.wrap), false);
}

std::string objection_to(std::string_view text) {
  const auto result = words(text);
  return result ? "" : result.error().detail;
}

TEST(SectionWords, AreThoseOfACommandLine) {
  const auto result = words(
      "listen = ['[::1]:1', 'b:2']\nthreads = 2\nquiet = true\nverbose = false\ndir = '-x'\n");
  ASSERT_TRUE(result) << result.error().detail;
  EXPECT_EQ(result->flags,
            (Words{"--listen", "[::1]:1", "--listen", "b:2", "--threads", "2", "--quiet"}));
  EXPECT_EQ(result->positionals, Words{"-x"});
}

TEST(SectionWords, OfATableGoBeforeWhatIsShared) {
  const auto result = words("threads = 2\nlisten = 'a:1'\n[[wrap]]\nthreads = 3\n");
  ASSERT_TRUE(result);
  EXPECT_EQ(result->flags, (Words{"--listen", "a:1", "--threads", "3"}));
}

TEST(SectionWords, OfAnEmptyArrayAreNoneAndTakeBackWhatIsShared) {
  const auto result = words("threads = 2\nlisten = 'a:1'\n[[wrap]]\nlisten = []\n");
  ASSERT_TRUE(result);
  EXPECT_EQ(result->flags, (Words{"--threads", "2"}));
}

TEST(SectionWords, LeaveOutWhatTheCommandLineSays) {
  const std::string text = "listen = 'a:1'\nthreads = 2\nquiet = true\ndir = 'd'\n";
  EXPECT_EQ(words(text, {"--listen", "b:1"})->flags, (Words{"--threads", "2", "--quiet"}));
  EXPECT_EQ(words(text, {"e"})->positionals, Words{});
  EXPECT_EQ(words(text, {"--verbose"})->flags, (Words{"--listen", "a:1", "--threads", "2"}));
}

TEST(SectionWords, OfAnUnknownKeySayWhatMayBeMeant) {
  EXPECT_EQ(objection_to("[[wrap]]\nlistn = 'a:1'\n"),
            "f:2:1: unknown key 'listn' in [[wrap]]: is listen meant?");
  EXPECT_EQ(objection_to("zebra = 1\n"),
            "f:1:1: unknown key 'zebra' above the tables: keys are named after the flags of "
            "ktls-bridge wrap");
  EXPECT_EQ(objection_to("check = true\n"), "f:1:1: check is for the command line alone");
}

TEST(SectionWords, OfAWrongKindAreRefused) {
  EXPECT_EQ(objection_to("quiet = 'yes'\n"), "f:1:9: quiet is a switch: true or false");
  EXPECT_EQ(objection_to("listen = [\n'a:1',\ntrue]\n"),
            "f:3:1: listen takes ADDRESS, not a boolean");
  EXPECT_EQ(objection_to("threads = [1, 2]\n"), "f:1:15: threads takes one value");
}

TEST(SectionWords, AreRefusedInTheWordsOfTheFlag) {
  const std::string said = objection_to("quiet = true\nthreads = 10\n");
  EXPECT_TRUE(said.starts_with("f:2:11: --threads")) << said;
  EXPECT_EQ(objection_to("version-max = 1.3\n"), "");
  EXPECT_TRUE(objection_to("version-max = 1.1\n").starts_with("f:1:15: --version-max"));
}

TEST(ConfigOrigin, IsTheFlagThatIsNamedFirstElseTheLongestValueElseTheTable) {
  const auto file = parse_config(
      "[[wrap]]\nkey = 'some.pem'\nkey-records = 4\ncert = '/a/some.pem'\n", "f", kCommands);
  ASSERT_TRUE(file);
  const ConfigSection& section = file->sections.front();
  const ConfigOrigin origin(*file, section.place, section.items);
  EXPECT_EQ(origin.of("--key needs --cert"), "f:2:1");
  EXPECT_EQ(origin.of("--key-records is too few for --key"), "f:3:1");
  EXPECT_EQ(origin.of("--key some.pem: no such file"), "f:2:7");
  EXPECT_EQ(origin.of("--cert /a/some.pem: no such file"), "f:4:8");
  EXPECT_EQ(origin.of("--cert other.pem: no such file"), "f:4:1");
  EXPECT_EQ(origin.of("/a/some.pem: no such file"), "f:4:8");
  EXPECT_EQ(origin.of("some.pem: no such file"), "f:2:7");
  EXPECT_EQ(origin.of("--key-interval 4: whatever"), "f:1:1");
}

TEST(Suggestion, IsTheNearestOfThoseThatAreNear) {
  const std::vector<std::string> known = {"listen", "listing", "to", "cert", "key"};
  EXPECT_EQ(nearest_to("listn", known), "listen");
  EXPECT_EQ(nearest_to("Listing", known), "listing");
  EXPECT_EQ(nearest_to("crt", known), "cert");
  EXPECT_EQ(nearest_to("threads", known), "");
  EXPECT_EQ(nearest_to("", known), "");
  EXPECT_EQ(nearest_to(std::string(100'000, 'x'), known), "");
}

}  // namespace
}  // namespace tools
