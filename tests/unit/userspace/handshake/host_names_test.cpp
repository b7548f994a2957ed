// Names of hosts: their form, which one a client means, and the extension that says it.
#include "userspace/handshake/host_names.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace tls::test {
namespace {

HostNames names_of(const std::vector<std::string>& names) {
  HostNames all;
  for (const std::string& name : names) {
    EXPECT_TRUE(all.add(name)) << name;
  }
  return all;
}

TEST(HostNames, AreComparedInLowerCaseWithoutATrailingDot) {
  EXPECT_EQ(canonical_name("WWW.Example.ORG."), "www.example.org");
  EXPECT_EQ(canonical_name(""), "");
  EXPECT_EQ(canonical_host_name("*.Example.ORG.").value(), "*.example.org");
  EXPECT_EQ(canonical_host_name("localhost").value(), "localhost");
  EXPECT_EQ(canonical_host_name("xn--bcher-kva.example").value(), "xn--bcher-kva.example");
  EXPECT_EQ(canonical_host_name("_service.1a.example").value(), "_service.1a.example");
}

TEST(HostNames, RefusesWhatIsNoNameAndSaysWhichOne) {
  const std::string label(64, 'a');
  std::string longest;
  for (int i = 0; i < 127; ++i) longest += "a.";
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".example.org"), std::string("a..example"),
        std::string("a.example.."), std::string("*"), std::string("*."), std::string("*.*.example"),
        std::string("a.*.example"), std::string("w*.example"), std::string("-a.example"),
        std::string("a-.example"), std::string("a b.example"), std::string("b\xc3\xbc.example"),
        std::string("192.0.2.1"), std::string("2001:db8::1"), std::string("a.example:443"),
        label + ".example", longest + "a"}) {
    const auto refused = canonical_host_name(name);
    ASSERT_FALSE(refused) << name;
    EXPECT_EQ(refused.error().code, ktls::ErrorCode::kInvalidArgument);
    EXPECT_NE(refused.error().detail.find("\"" + name + "\""), std::string::npos)
        << refused.error().detail;
  }
  EXPECT_TRUE(canonical_host_name(label.substr(1) + ".example"));
  EXPECT_TRUE(canonical_host_name(longest.substr(2) + "a"));
}

TEST(HostNames, RefusesANameThatIsThereAlready) {
  HostNames names = names_of({"a.example", "*.example"});
  for (const std::string name : {"A.example.", "*.EXAMPLE"}) {
    const auto refused = names.add(name);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().detail.find("\"" + name + "\": given twice"), std::string::npos);
  }
  EXPECT_EQ(names.all(), (std::vector<std::string>{"a.example", "*.example"}));
}

TEST(HostNames, FindsAnExactNameBeforeAWildcard) {
  const HostNames names = names_of({"*.example.org", "www.example.org", "*.www.example.org"});
  EXPECT_EQ(names.find("www.example.org"), 1U);
  EXPECT_EQ(names.find("mail.example.org"), 0U);
  EXPECT_EQ(names.find("a.www.example.org"), 2U);
}

TEST(HostNames, AWildcardStandsForExactlyOneLabel) {
  const HostNames names = names_of({"*.example.org"});
  EXPECT_FALSE(names.find("a.b.example.org"));
  EXPECT_FALSE(names.find("example.org"));
  EXPECT_FALSE(names.find(".example.org"));
  EXPECT_FALSE(names.find("*.example.org"));
  EXPECT_FALSE(names.find("a.example.com"));
  EXPECT_FALSE(names.find(""));
}

TEST(HostNames, ReadsTheNameOutOfTheExtension) {
  const std::vector<std::uint8_t> good = {0, 6, 0, 0, 3, 'a', '.', 'b'};
  EXPECT_EQ(server_name_in(good), "a.b");
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_EQ(server_name_in(std::span(good).first(size)), "") << size;
  }
  for (const std::size_t position : {0U, 1U, 2U, 3U, 4U}) {
    auto bad = good;
    ++bad[position];
    EXPECT_EQ(server_name_in(bad), "") << position;
  }
  auto longer = good;
  longer.push_back('c');
  EXPECT_EQ(server_name_in(longer), "");
}

}  // namespace
}  // namespace tls::test
