#include "tools/http/field_value.h"

#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace http {
namespace {

std::vector<std::string> members_of(std::string_view list) {
  std::vector<std::string> members;
  ListReader reader(list);
  while (const auto member = reader.next()) members.emplace_back(*member);
  return members;
}

TEST(FieldValue, IsTrimmedOfSpacesAndTabsOnly) {
  EXPECT_EQ(trimmed(" \ta b\t "), "a b");
  EXPECT_EQ(trimmed(" \t "), "");
  EXPECT_EQ(trimmed("\n"), "\n");
}

TEST(FieldValue, ComparesLettersInEitherCase) {
  EXPECT_TRUE(equals_ignoring_case("Keep-Alive", "kEEP-aLIVE"));
  EXPECT_FALSE(equals_ignoring_case("a", "ab"));
  EXPECT_FALSE(equals_ignoring_case("[", "{"));
}

TEST(FieldValue, KnowsTheCharactersOfTokens) {
  int count = 0;
  for (int octet = 0; octet < 256; ++octet) {
    if (is_token(std::string(1, static_cast<char>(octet)))) ++count;
  }
  EXPECT_EQ(count, 10 + 26 + 26 + 15);
  EXPECT_TRUE(is_token("!#$%&'*+-.^_`|~"));
  EXPECT_FALSE(is_token(""));
  EXPECT_FALSE(is_token("a b"));
}

TEST(FieldValue, HoldsNoControlCharacters) {
  EXPECT_TRUE(is_field_text("a\t \x80\xff~"));
  EXPECT_TRUE(is_field_text(""));
  for (const char c : std::string_view("\r\n\0\x1f\x7f", 5)) {
    EXPECT_FALSE(is_field_text(std::string(1, c)));
  }
}

TEST(ListReader, PassesOverEmptyMembers) {
  EXPECT_EQ(members_of("a, b,c"), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(members_of(" ,, a ,\t, b ,"), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(members_of("").empty());
  EXPECT_TRUE(members_of(" , ").empty());
}

TEST(ListReader, KeepsCommasWithinQuotes) {
  EXPECT_EQ(members_of(R"(a="1,2", b)"), (std::vector<std::string>{R"(a="1,2")", "b"}));
  EXPECT_EQ(members_of(R"("\",", b)"), (std::vector<std::string>{R"("\",")", "b"}));
  EXPECT_EQ(members_of(R"("a,b)"), (std::vector<std::string>{R"("a,b)"}));
  EXPECT_EQ(members_of(R"("a\)"), (std::vector<std::string>{R"("a\)"}));
}

TEST(ParseWeighted, ReadsWeightsInThousandths) {
  struct Case {
    std::string_view text;
    std::string_view name;
    int thousandths;
  };
  for (const Case& each :
       {Case{"gzip", "gzip", 1000}, Case{"gzip;q=1", "gzip", 1000}, Case{"a;q=0", "a", 0},
        Case{"a ; q=0.5", "a", 500}, Case{"a;Q=0.001", "a", 1}, Case{"*;q=0.12", "*", 120},
        Case{"a;q=1.000", "a", 1000}, Case{"a;q=0.", "a", 0}, Case{"a;q=1.", "a", 1000}}) {
    const auto weighted = parse_weighted(each.text);
    ASSERT_TRUE(weighted) << each.text;
    EXPECT_EQ(weighted->name, each.name);
    EXPECT_EQ(weighted->thousandths, each.thousandths) << each.text;
  }
}

TEST(ParseWeighted, RefusesMalformedWeights) {
  for (const std::string_view text :
       {"", ";q=1", "a;", "a;q", "a;q=", "a;q=2", "a;q=1.001", "a;q=0.1234", "a;q=.5", "a;q=-1",
        "a;q=0,5", "a;x=1", "a b", "a;q=1;q=1", "a;q=0x1"}) {
    EXPECT_FALSE(parse_weighted(text)) << text;
  }
}

}  // namespace
}  // namespace http
