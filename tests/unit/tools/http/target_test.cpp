#include "tools/http/target.h"

#include <string>
#include <string_view>
#include <variant>

#include <gtest/gtest.h>

namespace http {
namespace {

std::string path_of(std::string_view target) {
  const auto parsed = parse_target(target);
  if (const auto* refusal = std::get_if<Refusal>(&parsed)) {
    EXPECT_EQ(refusal->status, 400);
    return refusal->reason;
  }
  return std::get<Target>(parsed).path;
}

TEST(Target, DecodesEscapesOnce) {
  EXPECT_EQ(path_of("/a%20b"), "/a b");
  EXPECT_EQ(path_of("/%61%C3%a9"), "/a\xc3\xa9");
  EXPECT_EQ(path_of("/100%25"), "/100%");
  EXPECT_EQ(path_of("/%252e%252e/a"), "/%2e%2e/a");
  EXPECT_EQ(path_of("/a+b"), "/a+b");
  EXPECT_EQ(path_of("/a%3Fb"), "/a?b");
}

TEST(Target, RefusesMalformedEscapes) {
  for (const std::string_view target : {"/%", "/%2", "/%zz", "/%2g", "/a%", "/%%20", "/%2/0"}) {
    EXPECT_EQ(path_of(target), "malformed escape in the target") << target;
  }
}

TEST(Target, RefusesEncodedSlashesAndNul) {
  EXPECT_EQ(path_of("/a%2Fb"), "encoded slash in the target");
  EXPECT_EQ(path_of("/..%2f..%2fetc"), "encoded slash in the target");
  EXPECT_EQ(path_of("/a%00.html"), "NUL in the target");
}

TEST(Target, RemovesDotSegmentsAlsoWhenTheyAreEncoded) {
  EXPECT_EQ(path_of("/"), "/");
  EXPECT_EQ(path_of("/a/./b"), "/a/b");
  EXPECT_EQ(path_of("/a/."), "/a/");
  EXPECT_EQ(path_of("/a/b/../c"), "/a/c");
  EXPECT_EQ(path_of("/a/b/.."), "/a/");
  EXPECT_EQ(path_of("/a/%2E%2e/c"), "/c");
  EXPECT_EQ(path_of("/a/.%2e"), "/");
  EXPECT_EQ(path_of("/..a/.b/c.."), "/..a/.b/c..");
  EXPECT_EQ(path_of("/.../a"), "/.../a");
}

TEST(Target, RefusesToClimbAboveTheRoot) {
  for (const std::string_view target :
       {"/..", "/../", "/../a", "/a/../..", "/%2e%2e", "/./..", "//..", "/a/../../a"}) {
    EXPECT_EQ(path_of(target), "target above the root") << target;
  }
}

TEST(Target, DropsEmptySegmentsSoThatNoPathNamesAHost) {
  EXPECT_EQ(path_of("//example.org/"), "/example.org/");
  EXPECT_EQ(path_of("/a//b///c"), "/a/b/c");
  EXPECT_EQ(path_of("/a//"), "/a/");
  EXPECT_EQ(path_of("/a//../b"), "/b");
}

TEST(Target, SplitsTheQueryOffUndecoded) {
  const auto with_query = std::get<Target>(parse_target("/a?b=%2F..&c?d"));
  EXPECT_EQ(with_query.path, "/a");
  EXPECT_EQ(with_query.query, "b=%2F..&c?d");
  EXPECT_EQ(std::get<Target>(parse_target("/a?")).query, "");
  EXPECT_EQ(std::get<Target>(parse_target("/a")).query, std::nullopt);
}

TEST(Target, TakesTheAuthorityOfTheAbsoluteForm) {
  const auto absolute = std::get<Target>(parse_target("HTTPS://example.org:8443/a?b"));
  EXPECT_EQ(absolute.authority, "example.org:8443");
  EXPECT_EQ(absolute.path, "/a");
  EXPECT_EQ(absolute.query, "b");
  const auto bare = std::get<Target>(parse_target("http://[::1]?q"));
  EXPECT_EQ(bare.authority, "[::1]");
  EXPECT_EQ(bare.path, "/");
  EXPECT_EQ(bare.query, "q");
  EXPECT_EQ(std::get<Target>(parse_target("/a")).authority, std::nullopt);
}

TEST(Target, RefusesOtherForms) {
  EXPECT_EQ(path_of("*"), "asterisk form is for OPTIONS");
  for (const std::string_view target :
       {"", "a", "a/b", "example.org:443", "ftp://a/", "http:/a", "http://", "http:///a",
        "http://user@a/", "http://:80/", "https://a b/", "?q"}) {
    EXPECT_EQ(path_of(target), "target is neither a path nor an http URI") << target;
  }
}

TEST(Target, GivesAPathForTheFileSystem) {
  EXPECT_EQ(std::get<Target>(parse_target("/a/b")).relative_path(), "a/b");
  EXPECT_EQ(std::get<Target>(parse_target("/a/")).relative_path(), "a/");
  EXPECT_EQ(std::get<Target>(parse_target("/")).relative_path(), "");
  EXPECT_TRUE(std::get<Target>(parse_target("/a/")).has_trailing_slash());
  EXPECT_FALSE(std::get<Target>(parse_target("/a")).has_trailing_slash());
}

TEST(PercentEncodePath, EncodesAllButUnreservedAndSlashes) {
  EXPECT_EQ(percent_encode_path("/a-Z_0.~/"), "/a-Z_0.~/");
  EXPECT_EQ(percent_encode_path("/a b?#%&\"<>'"), "/a%20b%3F%23%25%26%22%3C%3E%27");
  EXPECT_EQ(percent_encode_path("\r\n\xc3\xa9"), "%0D%0A%C3%A9");
}

TEST(PercentEncodePath, IsUndoneByParsing) {
  for (int octet = 1; octet < 256; ++octet) {
    const std::string path = {'/', 'a', static_cast<char>(octet), 'b'};
    EXPECT_EQ(path_of(percent_encode_path(path)), path) << octet;
  }
}

TEST(AbsoluteAuthority, IsThatOfTheAbsoluteFormAlone) {
  EXPECT_EQ(absolute_authority("https://example.org:8443/a?b"), "example.org:8443");
  EXPECT_EQ(absolute_authority("HTTP://[::1]?b"), "[::1]");
  for (const std::string_view target :
       {"/", "/https://example.org/", "*", "example.org:443", "ftp://example.org/", "https:///a",
        "https://user@example.org/", ""}) {
    EXPECT_EQ(absolute_authority(target), std::nullopt) << target;
  }
}

}  // namespace
}  // namespace http
