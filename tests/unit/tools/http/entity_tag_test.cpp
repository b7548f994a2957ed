#include "tools/http/entity_tag.h"

#include <optional>
#include <string_view>

#include <gtest/gtest.h>

namespace http {
namespace {

TEST(EntityTag, IsReadWithItsWeakness) {
  const auto strong = parse_entity_tag("\"xyzzy\"");
  ASSERT_TRUE(strong);
  EXPECT_FALSE(strong->is_weak);
  EXPECT_EQ(strong->opaque, "xyzzy");
  const auto weak = parse_entity_tag("W/\"a,\\b\x80\"");
  ASSERT_TRUE(weak);
  EXPECT_TRUE(weak->is_weak);
  EXPECT_EQ(weak->opaque, "a,\\b\x80");
  EXPECT_TRUE(parse_entity_tag("\"\""));
}

TEST(EntityTag, IsRefusedWhenMalformed) {
  for (const std::string_view text :
       {"", "xyzzy", "\"", "\"a", "a\"", "w/\"a\"", "W/", "W\"a\"", "\"a\"b", "\"a b\"",
        "\"a\x7f\"", "\"a\" ", "\"a\",\"b\"", "W/ \"a\"", "'a'"}) {
    EXPECT_FALSE(parse_entity_tag(text)) << text;
  }
}

// The table of RFC 9110 section 8.8.3.2.
TEST(EntityTag, ComparesAsTheStandardsTable) {
  struct Row {
    EntityTag a;
    EntityTag b;
    bool is_strong_match;
    bool is_weak_match;
  };
  for (const Row& row :
       {Row{{true, "1"}, {true, "1"}, false, true}, Row{{true, "1"}, {true, "2"}, false, false},
        Row{{true, "1"}, {false, "1"}, false, true}, Row{{false, "1"}, {false, "1"}, true, true}}) {
    EXPECT_EQ(matches(row.a, row.b, Comparison::kStrong), row.is_strong_match);
    EXPECT_EQ(matches(row.a, row.b, Comparison::kWeak), row.is_weak_match);
  }
}

TEST(LookUp, FindsATagInAList) {
  const std::optional<EntityTag> tag = EntityTag{false, "b"};
  const auto answer = [&](std::string_view list) {
    return look_up(list, tag, Comparison::kStrong);
  };
  EXPECT_EQ(answer("\"b\""), ListAnswer::kListed);
  EXPECT_EQ(answer("\"a\", \"b\" ,\"c\""), ListAnswer::kListed);
  EXPECT_EQ(answer(",, \"b\" ,"), ListAnswer::kListed);
  EXPECT_EQ(answer("\"a\",\"c\""), ListAnswer::kNotListed);
  EXPECT_EQ(answer("\"a,b\""), ListAnswer::kNotListed);
  EXPECT_EQ(answer("\"a\\\", \"b\""), ListAnswer::kListed);  // no escape
  EXPECT_EQ(answer("W/\"b\""), ListAnswer::kNotListed);
  EXPECT_EQ(look_up("W/\"b\"", tag, Comparison::kWeak), ListAnswer::kListed);
  EXPECT_EQ(answer(" * "), ListAnswer::kAny);
}

TEST(LookUp, FindsNothingWithoutATag) {
  EXPECT_EQ(look_up("\"\"", std::nullopt, Comparison::kWeak), ListAnswer::kNotListed);
  EXPECT_EQ(look_up("*", std::nullopt, Comparison::kWeak), ListAnswer::kAny);
}

TEST(LookUp, TellsMalformedListsWhateverElseTheyHold) {
  const std::optional<EntityTag> tag = EntityTag{false, "b"};
  for (const std::string_view list :
       {"", ",", "b", "\"b", "\"b\" \"c\"", "\"b\", *", "*, \"b\"", "\"b\", c", "\"b\"; q=1"}) {
    EXPECT_EQ(look_up(list, tag, Comparison::kWeak), ListAnswer::kMalformed) << list;
  }
}

}  // namespace
}  // namespace http
