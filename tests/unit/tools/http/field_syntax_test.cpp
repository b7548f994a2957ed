#include "tools/http/field_syntax.h"

#include <string>

#include <gtest/gtest.h>

namespace http {
namespace {

TEST(FieldSyntax, TakesTokensForNames) {
  EXPECT_TRUE(is_field_name("X-Frame-Options"));
  EXPECT_TRUE(is_field_name("!#$%&'*+-.^_`|~09azAZ"));
  for (const std::string_view text : {"", "a b", "a:", "a\t", "a(", "caf\xc3\xa9", "a\r\n"}) {
    EXPECT_FALSE(is_field_name(text)) << text;
  }
  EXPECT_FALSE(is_field_name(std::string_view("a\0", 2)));
}

TEST(FieldSyntax, TakesEverythingButControlCharactersForValues) {
  EXPECT_TRUE(is_field_value(""));
  EXPECT_TRUE(is_field_value("a\tb \"c\" caf\xc3\xa9"));
  for (const std::string_view text : {"a\r", "a\n", "\x1b", "\x7f"}) {
    EXPECT_FALSE(is_field_value(text));
  }
  EXPECT_FALSE(is_field_value(std::string_view("a\0", 2)));
}

TEST(FieldSyntax, TakesOuterSpaceAwayAndNoOther) {
  EXPECT_EQ(without_outer_space(" \t a b \t"), "a b");
  EXPECT_EQ(without_outer_space(" \t"), "");
  EXPECT_EQ(without_outer_space(""), "");
}

TEST(FieldSyntax, ComparesWithoutCase) {
  EXPECT_TRUE(equal_ignoring_case("ETag", "etag"));
  EXPECT_FALSE(equal_ignoring_case("ETag", "etags"));
  EXPECT_FALSE(equal_ignoring_case("[", "{"));
}

}  // namespace
}  // namespace http
