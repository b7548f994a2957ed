#include "tools/preload/names.h"

#include <cstdlib>
#include <string>
#include <thread>

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include "tools/preload/setting.h"
#include "tools/preload/wrapped.h"

namespace preload {
namespace {

struct Address {
  sockaddr_in6 room{};
  socklen_t size = 0;
  [[nodiscard]] const sockaddr* plain() const { return reinterpret_cast<const sockaddr*>(&room); }
};

Address address_of(const std::string& text) {
  Address address;
  if (text.find(':') != std::string::npos) {
    address.room.sin6_family = AF_INET6;
    address.size = sizeof(sockaddr_in6);
    EXPECT_EQ(::inet_pton(AF_INET6, text.c_str(), &address.room.sin6_addr), 1) << text;
    return address;
  }
  auto* const four = reinterpret_cast<sockaddr_in*>(&address.room);
  four->sin_family = AF_INET;
  address.size = sizeof(sockaddr_in);
  EXPECT_EQ(::inet_pton(AF_INET, text.c_str(), &four->sin_addr), 1) << text;
  return address;
}

void record(const std::string& name, const std::string& text) {
  const Address address = address_of(text);
  const Changing changing;
  record_name(name, address.plain(), address.size);
}

// As a connection to `text` at `port` is verified; empty: it is none of those that become TLS.
std::string name_at(const std::string& text, std::uint16_t port = 443) {
  Address address = address_of(text);
  address.room.sin6_port = htons(port);
  const Changing changing;
  HostName name;
  return choose_name(address.plain(), address.size, name) ? std::string(name.view()) : "";
}

void record_by_another_thread(const std::string& name, const std::string& text) {
  std::thread([&] { record(name, text); }).join();
}

class Names : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    ASSERT_EQ(
        ::setenv(
            kConnectVariable,
            ":443,*:444,*.named.example,other.example:5432,192.0.2.77,[2001:db8::77]:7,localhost:9,"
            "127.0.0.1:10",
            1),
        0);
    read_setting();
    ASSERT_FALSE(is_broken());
  }
};

TEST_F(Names, AnAddressThatWasNotLookedUpIsItsText) {
  EXPECT_EQ(name_at("192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(name_at("2001:db8::1"), "2001:db8::1");
}

TEST_F(Names, AnAddressHasTheNameThatItWasLookedUpByLastWhereAPatternLeavesTheHostOpen) {
  record("first.example", "192.0.2.2");
  EXPECT_EQ(name_at("192.0.2.2"), "first.example");
  record("second.example", "192.0.2.2");
  EXPECT_EQ(name_at("192.0.2.2"), "second.example");
  EXPECT_EQ(name_at("192.0.2.2", 444), "second.example");
  record("first.example", "192.0.2.2");
  EXPECT_EQ(name_at("192.0.2.2"), "first.example");
  record("six.example", "2001:db8::2");
  EXPECT_EQ(name_at("2001:db8::2"), "six.example");
  EXPECT_EQ(name_at("2001:db8::2", 445), "");
}

TEST_F(Names, WhatThisThreadHasLookedUpGoesBeforeWhatOthersHave) {
  record("own.example", "192.0.2.10");
  record_by_another_thread("others.example", "192.0.2.10");
  EXPECT_EQ(name_at("192.0.2.10"), "own.example");
  record("own.named.example", "192.0.2.10");
  record_by_another_thread("others.named.example", "192.0.2.10");
  EXPECT_EQ(name_at("192.0.2.10", 80), "own.named.example");
}

TEST_F(Names, WhatOthersHaveLookedUpLastCountsWhereThisThreadHasLookedUpNothing) {
  record_by_another_thread("one.example", "192.0.2.11");
  record_by_another_thread("two.example", "192.0.2.11");
  EXPECT_EQ(name_at("192.0.2.11"), "two.example");
}

TEST_F(Names, AnyNameThatAPatternNamesMakesTlsWhateverWasLookedUpLater) {
  record("db.named.example", "192.0.2.12");
  record("later.example", "192.0.2.12");
  EXPECT_EQ(name_at("192.0.2.12", 80), "db.named.example");
  record_by_another_thread("latest.example", "192.0.2.12");
  EXPECT_EQ(name_at("192.0.2.12", 80), "db.named.example");
}

TEST_F(Names, ANameThatNoPatternNamesIsNotVerifiedWhereAnotherIsNamed) {
  record_by_another_thread("db.named.example", "192.0.2.13");
  record("attacker.example", "192.0.2.13");
  EXPECT_EQ(name_at("192.0.2.13", 80), "db.named.example");
  // Also where another pattern would leave the host open.
  EXPECT_EQ(name_at("192.0.2.13", 443), "db.named.example");
  record("attacker.example", "192.0.2.77");
  EXPECT_EQ(name_at("192.0.2.77", 80), "192.0.2.77");
  EXPECT_EQ(name_at("192.0.2.77", 443), "192.0.2.77");
}

TEST_F(Names, APatternIsAboutItsPortAlone) {
  record("other.example", "192.0.2.14");
  record("unnamed.example", "192.0.2.14");
  EXPECT_EQ(name_at("192.0.2.14", 5432), "other.example");
  EXPECT_EQ(name_at("192.0.2.14", 5433), "");
  EXPECT_EQ(name_at("192.0.2.14", 443), "unnamed.example");
}

TEST_F(Names, AnAddressThatAPatternNamesIsTlsWhateverNamesItHas) {
  record("unnamed.example", "192.0.2.77");
  EXPECT_EQ(name_at("192.0.2.77", 1), "192.0.2.77");
  EXPECT_EQ(name_at("192.0.2.76", 1), "");
  record("unnamed.example", "2001:db8::77");
  EXPECT_EQ(name_at("2001:db8::77", 7), "2001:db8::77");
  // A name that is named as well is what the program asked for.
  record("db.named.example", "192.0.2.77");
  EXPECT_EQ(name_at("192.0.2.77", 1), "db.named.example");
}

TEST_F(Names, Ipv4ThatIsWrittenAsIpv6IsTheSameAddress) {
  record("four.example", "192.0.2.3");
  EXPECT_EQ(name_at("::ffff:192.0.2.3"), "four.example");
  record("mapped.example", "::ffff:192.0.2.4");
  EXPECT_EQ(name_at("192.0.2.4"), "mapped.example");
  EXPECT_EQ(name_at("::ffff:192.0.2.5"), "192.0.2.5");
}

TEST_F(Names, TheDotAtTheEndIsNoPartOfTheName) {
  record("dot.example.", "192.0.2.6");
  EXPECT_EQ(name_at("192.0.2.6"), "dot.example");
}

TEST_F(Names, AnAddressInTheFormsOfTheResolverIsNoName) {
  record("before.example", "127.0.0.1");
  record("127.1", "127.0.0.1");
  record("0x7f000001", "127.0.0.1");
  record(".", "127.0.0.1");
  EXPECT_EQ(name_at("127.0.0.1"), "before.example");
  record("fe80::1%lo", "fe80::1");
  EXPECT_EQ(name_at("fe80::1"), "fe80::1");
}

TEST_F(Names, ANameThatIsTooLongForDnsIsNotKept) {
  record(std::string(kHostNameMax, 'a'), "192.0.2.7");
  EXPECT_EQ(name_at("192.0.2.7"), std::string(kHostNameMax, 'a'));
  record(std::string(kHostNameMax + 1, 'b'), "192.0.2.7");
  EXPECT_EQ(name_at("192.0.2.7"), std::string(kHostNameMax, 'a'));
}

TEST_F(Names, TheLoopbackIsLocalhostAlsoWhereNobodyHasLookedThatUp) {
  EXPECT_EQ(name_at("127.0.0.1", 9), "localhost");
  EXPECT_EQ(name_at("::1", 9), "localhost");
  EXPECT_EQ(name_at("192.0.2.1", 9), "");
  EXPECT_EQ(name_at("127.0.0.1", 11), "");
}

TEST_F(Names, TheAddressThatStandsForAnyIsTheLoopback) {
  EXPECT_EQ(name_at("0.0.0.0", 9), "localhost");
  EXPECT_EQ(name_at("::", 9), "localhost");
  EXPECT_EQ(name_at("::ffff:0.0.0.0", 10), "127.0.0.1");
  EXPECT_EQ(name_at("0.0.0.0", 10), "127.0.0.1");
}

std::string numbered(std::size_t number, const std::string& rest) {
  return "n" + std::to_string(number) + rest;
}

TEST_F(Names, ANameThatIsLookedUpAgainTakesNoMoreRoom) {
  record("old.example", "192.0.2.8");
  for (std::size_t i = 0; i < kNamesMax; ++i) record("new.example", "192.0.2.9");
  EXPECT_EQ(name_at("192.0.2.8"), "old.example");
}

TEST_F(Names, TheOldestIsForgottenForOneMoreThanAreRemembered) {
  record("old.example", "192.0.2.20");
  for (std::size_t i = 0; i < kNamesMax; ++i) record(numbered(i, ".example"), "192.0.2.21");
  EXPECT_EQ(name_at("192.0.2.20"), "192.0.2.20");
  EXPECT_EQ(name_at("192.0.2.21"), numbered(kNamesMax - 1, ".example"));
}

TEST_F(Names, WhatAPatternNamesIsForgottenOnlyForAnotherSuchName) {
  record("old.named.example", "192.0.2.22");
  for (std::size_t i = 0; i < 2 * kNamesMax; ++i) record(numbered(i, ".example"), "192.0.2.23");
  EXPECT_EQ(name_at("192.0.2.22", 80), "old.named.example");
  for (std::size_t i = 0; i < kNamesMax; ++i) record(numbered(i, ".named.example"), "192.0.2.24");
  EXPECT_EQ(name_at("192.0.2.22", 80), "");
  EXPECT_EQ(name_at("192.0.2.24", 80), numbered(kNamesMax - 1, ".named.example"));
  // Nothing else has a place any more.
  record("unnamed.example", "192.0.2.25");
  EXPECT_EQ(name_at("192.0.2.25"), "192.0.2.25");
}

TEST_F(Names, AnotherFamilyHasNone) {
  sockaddr local{};
  local.sa_family = AF_UNIX;
  const Changing changing;
  HostName name;
  EXPECT_FALSE(choose_name(&local, sizeof local, name));
  EXPECT_FALSE(choose_name(nullptr, 0, name));
  const Address cut = address_of("2001:db8::1");
  EXPECT_FALSE(choose_name(cut.plain(), sizeof(sockaddr_in), name));
}

}  // namespace
}  // namespace preload
