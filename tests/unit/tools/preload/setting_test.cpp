#include "tools/preload/setting.h"

#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include "tools/preload/setting_limits.h"

namespace preload {
namespace {

bool is_wrapped(std::string_view name, std::uint16_t port) {
  return match_peer(name, port) != PeerMatch::kNone;
}

TEST(Setting, AStarStandsForAnyLettersAndAQuestionMarkForOne) {
  EXPECT_TRUE(matches("*", ""));
  EXPECT_TRUE(matches("*", "db.example"));
  EXPECT_TRUE(matches("*.example", "a.b.example"));
  EXPECT_TRUE(matches("db?.*le", "db1.example"));
  EXPECT_TRUE(matches("*a*b*", "xxaxxbxx"));
  EXPECT_TRUE(matches("**", "x"));
  EXPECT_FALSE(matches("*.example", "example"));
  EXPECT_FALSE(matches("db?", "db"));
  EXPECT_FALSE(matches("db?", "db12"));
  EXPECT_FALSE(matches("", "x"));
  EXPECT_FALSE(matches("db.example", "db.example.org"));
  EXPECT_FALSE(matches("*a*b", "xxaxxbxx"));
}

TEST(Setting, LettersOfEitherCaseAreTheSame) {
  EXPECT_TRUE(matches("DB.Example", "db.eXAMPLE"));
  EXPECT_FALSE(matches("[", "{"));
}

TEST(Setting, ReadsPortsAndPatternsOfTheEnvironment) {
  ASSERT_EQ(::setenv(kListenVariable, "80,8443", 1), 0);
  ASSERT_EQ(::setenv(kConnectVariable, "*.example:5432,other,:443,[2001:db8::1]:7,[::1]", 1), 0);
  read_setting();
  EXPECT_FALSE(is_broken());
  EXPECT_TRUE(wraps_any_port());
  EXPECT_TRUE(wraps_port(80));
  EXPECT_TRUE(wraps_port(8443));
  EXPECT_FALSE(wraps_port(443));
  EXPECT_TRUE(wraps_any_peer());
  EXPECT_TRUE(is_wrapped("db.example", 5432));
  EXPECT_FALSE(is_wrapped("db.example", 5433));
  EXPECT_TRUE(is_wrapped("other", 1));
  EXPECT_TRUE(is_wrapped("whoever", 443));
  EXPECT_TRUE(is_wrapped("2001:db8::1", 7));
  EXPECT_FALSE(is_wrapped("2001:db8::1", 8));
  EXPECT_TRUE(is_wrapped("::1", 8));
}

// `count` entries of a list.
std::string list_of(std::size_t count, const std::string& entry) {
  std::string list;
  for (std::size_t i = 0; i < count; ++i) list += (i == 0 ? "" : ",") + entry;
  return list;
}

void read_and_exit_if(const char* variable, const std::string& text, bool is_to_be_broken) {
  ::setenv(variable, text.c_str(), 1);
  read_setting();
  std::exit(is_broken() == is_to_be_broken ? 0 : 1);
}

TEST(Setting, TakesAsMuchAsIsPromisedAndNoMore) {
  const auto check = [](const char* variable, const std::string& text, bool is_to_be_broken) {
    EXPECT_EXIT(read_and_exit_if(variable, text, is_to_be_broken), testing::ExitedWithCode(0), "")
        << text.size();
  };
  ::unsetenv(kListenVariable);
  ::unsetenv(kConnectVariable);
  check(kListenVariable, list_of(kPortsMax, "1"), false);
  check(kListenVariable, list_of(kPortsMax + 1, "1"), true);
  check(kConnectVariable, list_of(kPatternsMax, "a.example:443"), false);
  check(kConnectVariable, list_of(kPatternsMax + 1, "a"), true);
  check(kConnectVariable, std::string(kPatternsTextMax, 'a'), false);
  check(kConnectVariable, std::string(kPatternsTextMax + 1, 'a'), true);
}

TEST(Setting, FindsAnAddressHoweverThePatternWritesIt) {
  ::unsetenv(kListenVariable);
  ASSERT_EQ(::setenv(kConnectVariable,
                     "[0:0:0:0:0:0:0:1]:1,[::ffff:192.0.2.1]:2,[2001:DB8::A]:3,0.0.0.0:4,[::]:5,"
                     "name.example.:6",
                     1),
            0);
  read_setting();
  EXPECT_FALSE(is_broken());
  EXPECT_EQ(match_peer("::1", 1), PeerMatch::kHost);
  EXPECT_EQ(match_peer("192.0.2.1", 2), PeerMatch::kHost);
  EXPECT_EQ(match_peer("2001:db8::a", 3), PeerMatch::kHost);
  EXPECT_EQ(match_peer("127.0.0.1", 4), PeerMatch::kHost);
  EXPECT_EQ(match_peer("::1", 5), PeerMatch::kHost);
  EXPECT_EQ(match_peer("name.example", 6), PeerMatch::kHost);
  EXPECT_EQ(match_peer("192.0.2.1", 3), PeerMatch::kNone);
}

TEST(Setting, KnowsWhichPatternsNameAHost) {
  ASSERT_EQ(::setenv(kConnectVariable, "*.example:5432,:443,**:444,[::1]", 1), 0);
  ::unsetenv(kListenVariable);
  read_setting();
  EXPECT_EQ(match_peer("db.example", 5432), PeerMatch::kHost);
  EXPECT_EQ(match_peer("db.example", 443), PeerMatch::kAnyHost);
  EXPECT_EQ(match_peer("db.example", 444), PeerMatch::kAnyHost);
  EXPECT_EQ(match_peer("db.example", 445), PeerMatch::kNone);
  EXPECT_EQ(match_peer("::1", 443), PeerMatch::kHost);
  EXPECT_TRUE(is_host_of_pattern("db.example"));
  EXPECT_TRUE(is_host_of_pattern("::1"));
  EXPECT_FALSE(is_host_of_pattern("unnamed.test"));
}

// In a process of its own, for what is broken stays so.
void read_and_exit(const char* variable, const std::string& text) {
  ::setenv(variable, text.c_str(), 1);
  read_setting();
  std::exit(is_broken() && wraps_port(1) && is_wrapped("any", 1) ? 0 : 1);
}

TEST(Setting, WhatCannotBeReadWrapsEverythingAndSaysSo) {
  for (const char* text : {"http", "0", "65536", "80;90", " 80"}) {
    EXPECT_EXIT(read_and_exit(kListenVariable, text), testing::ExitedWithCode(0),
                "KTLS_BRIDGE_LISTEN")
        << text;
  }
  for (const char* text : {"host:port", "[::1", "[::1]7", "a,,b", "host:65536", "127.1:80", "::1",
                           "https://db:443", "a:b:443"}) {
    EXPECT_EXIT(read_and_exit(kConnectVariable, text), testing::ExitedWithCode(0),
                "KTLS_BRIDGE_CONNECT")
        << text;
  }
  EXPECT_EXIT(read_and_exit(kConnectVariable, std::string(4097, 'a')), testing::ExitedWithCode(0),
              "KTLS_BRIDGE_CONNECT");
}

}  // namespace
}  // namespace preload
