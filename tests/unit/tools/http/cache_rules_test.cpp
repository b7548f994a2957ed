#include "tools/http/cache_rules.h"

#include <chrono>
#include <string>

#include <gtest/gtest.h>

namespace http {
namespace {

bool matches(std::string_view pattern, std::string_view path) {
  return PathPattern::parse(pattern).value().matches(path);
}

TEST(PathPattern, WithoutASlashMatchesTheLastSegment) {
  EXPECT_TRUE(matches("*.css", "/a.css"));
  EXPECT_TRUE(matches("*.css", "/deep/er/a.css"));
  EXPECT_TRUE(matches("*.css", "/deep/.css"));
  EXPECT_FALSE(matches("*.css", "/a.css/b"));
  EXPECT_FALSE(matches("*.css", "/a.css.map"));
  EXPECT_FALSE(matches("*.css", "/a.CSS"));
  EXPECT_TRUE(matches("index.html", "/a/index.html"));
  EXPECT_TRUE(matches("app.????????.js", "/app.0123abcd.js"));
  EXPECT_FALSE(matches("app.????????.js", "/app.0123abc.js"));
  EXPECT_TRUE(matches("*", "/anything"));
  EXPECT_TRUE(matches("*", "/"));
}

TEST(PathPattern, WithASlashMatchesTheWholePath) {
  EXPECT_TRUE(matches("/a/b", "/a/b"));
  EXPECT_FALSE(matches("/a/b", "/a/b/c"));
  EXPECT_FALSE(matches("/a/b", "/x/a/b"));
  EXPECT_TRUE(matches("/", "/"));
}

TEST(PathPattern, KeepsOneStarWithinASegmentAndLetsTwoCross) {
  EXPECT_TRUE(matches("/assets/*", "/assets/a"));
  EXPECT_TRUE(matches("/assets/*", "/assets/"));
  EXPECT_FALSE(matches("/assets/*", "/assets/a/b"));
  EXPECT_TRUE(matches("/assets/**", "/assets/"));
  EXPECT_TRUE(matches("/assets/**", "/assets/a/b"));
  EXPECT_FALSE(matches("/assets/**", "/assets"));
  EXPECT_FALSE(matches("/assets/**", "/assetsx/a"));
  EXPECT_TRUE(matches("/a/**/z", "/a/b/c/z"));
  EXPECT_FALSE(matches("/a/**/z", "/a/z"));
  EXPECT_TRUE(matches("/*/x", "/one/x"));
  EXPECT_FALSE(matches("/*/x", "/one/two/x"));
  EXPECT_TRUE(matches("/**.js", "/a/b.js"));
  EXPECT_TRUE(matches("/**/v?/*.js", "/a/b/v1/c.js"));
  EXPECT_FALSE(matches("/**/v?/*.js", "/a/v1/b/c.js"));
  EXPECT_FALSE(matches("/a?b", "/a/b"));
  EXPECT_TRUE(matches("**/x", "/a/x"));
}

TEST(PathPattern, TakesAllElseAsItIs) {
  EXPECT_TRUE(matches("[a].{b}\\", "/[a].{b}\\"));
  EXPECT_FALSE(matches("[a]", "/a"));
}

TEST(PathPattern, IsNotSlowedDownByAHostilePath) {
  std::string pattern = "/";
  while (pattern.size() < 250) pattern += "**a*a";
  const std::string path = "/" + std::string(4000, 'a') + "b";
  const PathPattern parsed = PathPattern::parse(pattern).value();
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(parsed.matches(path));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
}

TEST(PathPattern, RefusesWhatCannotMatch) {
  EXPECT_FALSE(PathPattern::parse(""));
  EXPECT_FALSE(PathPattern::parse("assets/*"));
  EXPECT_FALSE(PathPattern::parse(std::string(256, 'a')));
  EXPECT_TRUE(PathPattern::parse(std::string(255, 'a')));
}

TEST(CacheRules, LetTheFirstMatchWin) {
  CacheRules rules;
  ASSERT_TRUE(rules.add("/assets/**=public, max-age=31536000, immutable"));
  ASSERT_TRUE(rules.add(" *.css = max-age=86400 "));
  ASSERT_TRUE(rules.add("*=no-cache"));
  EXPECT_EQ(rules.value_for("/assets/a.css"), "public, max-age=31536000, immutable");
  EXPECT_EQ(rules.value_for("/a.css"), "max-age=86400");
  EXPECT_EQ(rules.value_for("/"), "no-cache");
}

TEST(CacheRules, AnswerNothingWhereNoneMatches) {
  CacheRules rules;
  EXPECT_EQ(rules.value_for("/a"), "");
  ASSERT_TRUE(rules.add("*.css=no-store"));
  EXPECT_EQ(rules.value_for("/a"), "");
}

TEST(CacheRules, TakeEveryRegisteredDirective) {
  CacheRules rules;
  for (const std::string_view value :
       {"Public", "private", "private=\"Set-Cookie\"", "no-cache=\"X-A\"", "s-maxage=0",
        "max-age=2147483648", "must-revalidate,proxy-revalidate", "no-transform, must-understand",
        "max-age=60, stale-while-revalidate=30, stale-if-error=600"}) {
    EXPECT_TRUE(rules.add("*=" + std::string(value))) << value;
  }
}

struct BadRule {
  std::string_view rule;
  std::string_view why;
};

TEST(CacheRules, RefuseWhatCachesWouldIgnoreInSilence) {
  constexpr BadRule kBad[] = {
      {"", "there is no '='"},
      {"*.css", "there is no '='"},
      {"=no-cache", "is empty"},
      {"a/b=no-cache", "does not begin with it"},
      {"*.css=", "the value is empty"},
      {"*.css=86400", "'86400' is no directive"},
      {"*.css=max_age=5", "'max_age' is no directive"},
      {"*.css=max-age", "max-age needs a number of seconds"},
      {"*.css=max-age=", "max-age needs a number of seconds"},
      {"*.css=max-age=-1", "max-age needs a number of seconds"},
      {"*.css=max-age=1h", "max-age needs a number of seconds"},
      {"*.css=max-age=12345678901", "max-age needs a number of seconds"},
      {"*.css=immutable=yes", "immutable takes no argument"},
      {"*.css=private=x", "private takes the name of a field in quotes"},
      {"*.css=public,", "'' is no directive"},
      {"*.css=public,,no-store", "'' is no directive"},
      {"*.css=no-store\r\nSet-Cookie: a=b", "is no directive"},
  };
  for (const BadRule& bad : kBad) {
    CacheRules rules;
    const auto added = rules.add(bad.rule);
    ASSERT_FALSE(added) << bad.rule;
    EXPECT_EQ(added.error().code, ktls::ErrorCode::kInvalidArgument);
    EXPECT_NE(added.error().detail.find(bad.why), std::string::npos) << added.error().detail;
    EXPECT_EQ(rules.value_for("/a.css"), "");
  }
}

}  // namespace
}  // namespace http
