#include "tools/preload/setting.h"

#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

namespace preload {
namespace {

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
  EXPECT_TRUE(wraps_peer("db.example", 5432));
  EXPECT_FALSE(wraps_peer("db.example", 5433));
  EXPECT_TRUE(wraps_peer("other", 1));
  EXPECT_TRUE(wraps_peer("whoever", 443));
  EXPECT_TRUE(wraps_peer("2001:db8::1", 7));
  EXPECT_FALSE(wraps_peer("2001:db8::1", 8));
  EXPECT_TRUE(wraps_peer("::1", 8));
}

// In a process of its own, for what is broken stays so.
void read_and_exit(const char* variable, const std::string& text) {
  ::setenv(variable, text.c_str(), 1);
  read_setting();
  std::exit(is_broken() && wraps_port(1) && wraps_peer("any", 1) ? 0 : 1);
}

TEST(Setting, WhatCannotBeReadWrapsEverythingAndSaysSo) {
  for (const char* text : {"http", "0", "65536", "80;90", " 80"}) {
    EXPECT_EXIT(read_and_exit(kListenVariable, text), testing::ExitedWithCode(0),
                "KTLS_BRIDGE_LISTEN")
        << text;
  }
  for (const char* text : {"host:port", "[::1", "[::1]7", "a,,b", "host:65536"}) {
    EXPECT_EXIT(read_and_exit(kConnectVariable, text), testing::ExitedWithCode(0),
                "KTLS_BRIDGE_CONNECT")
        << text;
  }
  EXPECT_EXIT(read_and_exit(kConnectVariable, std::string(4097, 'a')), testing::ExitedWithCode(0),
              "KTLS_BRIDGE_CONNECT");
}

}  // namespace
}  // namespace preload
