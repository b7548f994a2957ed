#include "tools/ktls-bridge/run_options.h"

#include <algorithm>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <gtest/gtest.h>

#include "tools/preload/setting_limits.h"

namespace tools {
namespace {

RunOptions parse(std::vector<std::string> words) {
  CLI::App app;
  RunOptions options;
  add_run_command(app, options);
  words.insert(words.begin(), "run");
  std::reverse(words.begin(), words.end());  // as CLI11 takes a vector
  app.parse(words);
  return options;
}

TEST(RunOptions, HaveTheProgramAndWhichConnectionsBecomeTls) {
  const RunOptions options =
      parse({"--listen", "443,8443", "--listen", "443", "--connect", "*.internal:443,[::1]:5432",
             "--", "program", "--listen", "1", "--", "--help"});
  EXPECT_EQ(options.listen, (std::vector<std::uint16_t>{443, 8443}));
  EXPECT_EQ(options.connect, (std::vector<std::string>{"*.internal:443", "[::1]:5432"}));
  EXPECT_EQ(options.words, (std::vector<std::string>{"program", "--listen", "1", "--", "--help"}));
  EXPECT_TRUE(validate(options));
}

TEST(RunOptions, HaveAPrivateBrokerThatIsQuietAndHasNoLimitForOneUser) {
  const RunOptions options =
      parse({"--connect", "*", "--no-rekey", "tls12", "--max-connections", "17", "--", "program"});
  EXPECT_TRUE(options.broker.is_private());
  EXPECT_EQ(options.broker.service.log_level, LogLevel::kWarning);
  EXPECT_TRUE(options.broker.tls.tls12_without_rekey);
  EXPECT_EQ(options.broker.max_per_client, 17U);
  EXPECT_GT(options.broker.max_handshakes, 0U);
  EXPECT_EQ(parse({"--log-level", "info"}).broker.service.log_level, LogLevel::kInfo);
  EXPECT_EQ(parse({"--log-level", "debug"}).broker.service.log_level, LogLevel::kDebug);
  EXPECT_THROW(parse({"--log-level", "loud"}), CLI::ValidationError);
}

TEST(RunOptions, RefusePortsThatAreNone) {
  for (const char* text : {"0", "65536", "-1", "http", "", "1-2", "80:"}) {
    EXPECT_THROW(parse({"--listen", text}), CLI::ParseError) << text;
  }
}

TEST(RunOptions, TakePatternsOfDestinations) {
  for (const char* text : {"*", "*:443", ":443", "db.example", "db.example:5432", "db-?.example:1",
                           "127.0.0.1:65535", "[::1]", "[::1]:443", "[fe80::*]:443", "10.0.*"}) {
    EXPECT_EQ(fault_of_pattern(text), "") << text;
  }
}

TEST(RunOptions, SayWhatIsWrongWithAPattern) {
  for (const char* text : {"", ":", "host:", "host:0", "host:65536", "host:http", "::1", "[::1",
                           "[]", "[]:1", "[::1]443", "a b", "a/b:1", "a\x01", "127.1:80",
                           "010.0.0.1", "[fe80::1%lo]:1", "443", ".:443"}) {
    EXPECT_NE(fault_of_pattern(text), "") << text;
  }
  EXPECT_THROW(parse({"--connect", "*:443,::1"}), CLI::ValidationError);
}

std::string list_of(std::size_t count, std::size_t size) {
  std::string list;
  for (std::size_t i = 0; i < count; ++i) {
    list += (i == 0 ? "" : ",") + std::string(size - 4, 'a') + std::to_string(1000 + i);
  }
  return list;
}

TEST(RunOptions, TakeAsManyPortsAndPatternsAsTheLibraryAndNoMore) {
  const auto takes = [](const std::string& flag, const std::string& list) {
    const bool listens = flag == "--listen";
    std::vector<std::string> words{flag, list, "--", "program"};
    if (listens) words.insert(words.begin(), {"--cert", "x", "--key", "x"});
    return static_cast<bool>(validate(parse(words)));
  };
  EXPECT_TRUE(takes("--listen", list_of(preload::kPortsMax, 4)));
  EXPECT_FALSE(takes("--listen", list_of(preload::kPortsMax + 1, 4)));
  EXPECT_TRUE(takes("--connect", list_of(preload::kPatternsMax, 15)));
  EXPECT_FALSE(takes("--connect", list_of(preload::kPatternsMax + 1, 5)));
  EXPECT_TRUE(takes("--connect", std::string(preload::kPatternsTextMax, 'a')));
  EXPECT_FALSE(takes("--connect", std::string(preload::kPatternsTextMax + 1, 'a')));
  const std::string half(preload::kPatternsTextMax / 2, 'a');
  EXPECT_TRUE(takes("--connect", half + ',' + half.substr(1)));
  EXPECT_FALSE(takes("--connect", half + ',' + half));
}

TEST(RunOptions, RefuseWhatMakesNoSenseTogether) {
  EXPECT_FALSE(validate(parse({"--", "program"})));
  EXPECT_FALSE(validate(parse({"--listen", "443"})));
  EXPECT_FALSE(validate(parse({"--listen", "443", "--", ""})));
  EXPECT_FALSE(validate(parse({"--listen", "443", "--ca", "file", "--", "program"})));
  EXPECT_FALSE(validate(parse({"--listen", "443", "--key", "file", "--", "program"})));
  EXPECT_TRUE(validate(parse({"--listen", "443", "--cert", "file", "--", "program"})));
  for (const char* flag : {"--cert", "--key", "--client-ca"}) {
    EXPECT_FALSE(validate(parse({"--connect", "*", flag, "file", "--", "program"}))) << flag;
  }
  EXPECT_FALSE(validate(parse({"--connect", "*", "--ticket-keys", "file", "--", "program"})));
  EXPECT_FALSE(validate(parse({"--connect", "*", "--tickets", "2", "--", "program"})));
  EXPECT_TRUE(validate(parse({"--listen", "443", "--tickets", "2", "--", "program"})));
  EXPECT_TRUE(validate(parse({"--connect", "*", "--ca", "file", "--", "program"})));
  RunOptions many = parse({"--connect", "*", "--", "program"});
  many.connect.assign(256, "*");
  EXPECT_TRUE(validate(many));
  many.connect.emplace_back("*");
  EXPECT_FALSE(validate(many));
}

}  // namespace
}  // namespace tools
