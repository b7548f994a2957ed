#include "tools/http/authority.h"

#include <string_view>

#include <gtest/gtest.h>

namespace http {
namespace {

TEST(Authority, IsAHostAndPerhapsAPort) {
  for (const std::string_view text :
       {"", "a", "example.org", "example.org:8443", "127.0.0.1:80", "a:", "[::1]", "[::1]:443",
        "[v1.x]", "caf%C3%A9", "a_b-c~"}) {
    EXPECT_TRUE(is_valid_authority(text)) << text;
  }
}

TEST(Authority, HasNeitherUserNorPathNorSpace) {
  for (const std::string_view text :
       {"user@a", "a/b", "a b", "a,b@c", "::1", "[::1", "[]",        "[::1]x", "[::1]:x", "a:80:80",
        "a:-1",   "a?",  "a#b", "%",     "%2",  "%zz",  "a\xc3\xa9", "[%30]",  "a\\b",    "<a>"}) {
    EXPECT_FALSE(is_valid_authority(text)) << text;
  }
}

TEST(Authority, HasAHostThatIsNotItsPort) {
  EXPECT_EQ(host_of("example.org:8443"), "example.org");
  EXPECT_EQ(host_of("example.org"), "example.org");
  EXPECT_EQ(host_of("a:"), "a");
  EXPECT_EQ(host_of("[::1]:443"), "[::1]");
  EXPECT_EQ(host_of("[::1]"), "[::1]");
  EXPECT_EQ(host_of(":80"), "");
  EXPECT_EQ(host_of(""), "");
}

}  // namespace
}  // namespace http
