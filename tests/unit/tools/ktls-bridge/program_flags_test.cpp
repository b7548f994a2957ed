#include "tools/ktls-bridge/program_flags.h"

#include <algorithm>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <gtest/gtest.h>

namespace tools {
namespace {

using Words = std::vector<std::string>;

struct Parsed {
  ProgramOptions options;
  std::string objection;  // empty: none
};

Parsed parse(Words words) {
  Parsed parsed;
  CLI::App app;
  add_program_flags(app, parsed.options);
  std::reverse(words.begin(), words.end());  // as CLI11 wants them
  try {
    app.parse(words);
  } catch (const CLI::Error& error) {
    parsed.objection = error.what();
    return parsed;
  }
  if (auto valid = validate(parsed.options); !valid) parsed.objection = valid.error().detail;
  return parsed;
}

TEST(ProgramFlags, AskForNoProgramWhereThereAreNone) {
  const auto [options, objection] = parse({});
  EXPECT_EQ(objection, "");
  EXPECT_FALSE(options.wanted());
}

TEST(ProgramFlags, LeaveWhatFollowsTwoDashesToTheProgram) {
  const auto [options, objection] = parse({"--exec", "--", "httpd", "-i", "--exec", "--read"});
  EXPECT_EQ(objection, "");
  EXPECT_TRUE(options.exec);
  EXPECT_TRUE(options.wanted());
  EXPECT_FALSE(options.read);
  EXPECT_EQ(options.no_rekey, NoRekey::kKernel);
  EXPECT_EQ(options.words, (Words{"httpd", "-i", "--exec", "--read"}));
}

TEST(ProgramFlags, TakeADescriptorAndChoicesByName) {
  const auto [options, objection] =
      parse({"--fd", "0", "--read", "direct", "--no-rekey", "tls12", "--", "cat"});
  EXPECT_EQ(objection, "");
  EXPECT_EQ(options.fd, 0);
  EXPECT_EQ(options.read, ReadMode::kDirect);
  EXPECT_EQ(options.no_rekey, NoRekey::kTls12);
  EXPECT_EQ(parse({"--exec", "--read", "guarded", "--", "cat"}).options.read, ReadMode::kGuarded);
  EXPECT_EQ(parse({"--exec", "--no-rekey", "relay", "--", "cat"}).options.no_rekey,
            NoRekey::kRelay);
}

TEST(ProgramFlags, SayWhatIsWrong) {
  struct Wrong {
    Words words;
    std::string_view objection;
  };
  const Wrong wrongs[] = {
      {{"--exec"}, "--exec needs a program"},
      {{"--fd", "3"}, "--fd N needs a program"},
      {{"--exec", "--fd", "3", "--", "cat"}, "exclude each other"},
      {{"--fd", "2", "--", "cat"}, "standard error is for messages"},
      {{"--fd", "-1", "--", "cat"}, "--fd"},
      {{"--read", "direct"}, "need --exec or --fd"},
      {{"--no-rekey", "relay"}, "need --exec or --fd"},
      {{"--exec", "--read", "neither", "--", "cat"}, "--read"},
      {{"--exec", "--no-rekey", "never", "--", "cat"}, "--no-rekey"},
      {{"--", "cat"}, "cat: a program needs --exec or --fd"},
  };
  for (const auto& [words, objection] : wrongs) {
    SCOPED_TRACE(words.front());
    EXPECT_NE(parse(words).objection.find(objection), std::string::npos) << parse(words).objection;
  }
}

}  // namespace
}  // namespace tools
