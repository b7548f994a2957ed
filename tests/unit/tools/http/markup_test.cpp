#include "tools/http/markup.h"

#include <string>

#include <gtest/gtest.h>

namespace http {
namespace {

constexpr std::string_view kReplaced = "\xef\xbf\xbd";

TEST(HtmlEscaped, LeavesNoMarkupInANameAndNoWayOutOfAnAttribute) {
  EXPECT_EQ(html_escaped("<script>alert('1')&\"</script>"),
            "&lt;script&gt;alert(&#39;1&#39;)&amp;&quot;&lt;/script&gt;");
}

TEST(HtmlEscaped, KeepsUtf8) {
  for (const std::string_view text :
       {"", "plain", "caf\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
        "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d", "\xed\x9f\xbf"}) {
    EXPECT_EQ(html_escaped(text), text);
  }
}

TEST(HtmlEscaped, ReplacesWhatIsNotUtf8) {
  const struct {
    std::string bytes;
    int replacements;
  } cases[] = {
      {"\xff", 1},
      {"\x80", 1},
      {"\xc3", 1},
      {"\xc0\xaf", 2},          // an overlong '/'
      {"\xe0\x80\xaf", 3},      // the same in three bytes
      {"\xf0\x80\x80\xaf", 4},  // and in four
      {"\xed\xa0\x80", 3},      // a surrogate
      {"\xf4\x90\x80\x80", 4},  // above U+10FFFF
      {"\xe2\x82", 2},
  };
  for (const auto& each : cases) {
    std::string expected = "a";
    for (int i = 0; i < each.replacements; ++i) expected += kReplaced;
    EXPECT_EQ(html_escaped("a" + each.bytes + "b"), expected + "b");
  }
}

TEST(HtmlEscaped, ReplacesControlsAndWhatTurnsTheDirectionOfWriting) {
  const std::string replaced(kReplaced);
  EXPECT_EQ(html_escaped(std::string_view("a\0b", 3)), "a" + replaced + "b");
  EXPECT_EQ(html_escaped("a\nb\x1b[31m\x7f"), "a" + replaced + "b" + replaced + "[31m" + replaced);
  EXPECT_EQ(html_escaped("\xc2\x85"), replaced);
  EXPECT_EQ(html_escaped("photo\xe2\x80\xaegpj.exe"), "photo" + replaced + "gpj.exe");
  EXPECT_EQ(html_escaped("\xe2\x81\xa6"), replaced);
}

}  // namespace
}  // namespace http
