#include "tools/preload/names.h"

#include <string>

#include <arpa/inet.h>
#include <gtest/gtest.h>

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

std::string name_at(const std::string& text) {
  const Address address = address_of(text);
  const Changing changing;
  return std::string(name_of(address.plain(), address.size).view());
}

TEST(Names, AnAddressThatWasNotLookedUpIsItsText) {
  EXPECT_EQ(name_at("192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(name_at("2001:db8::1"), "2001:db8::1");
}

TEST(Names, AnAddressHasTheNameThatItWasLookedUpByLast) {
  record("first.example", "192.0.2.2");
  EXPECT_EQ(name_at("192.0.2.2"), "first.example");
  record("second.example", "192.0.2.2");
  EXPECT_EQ(name_at("192.0.2.2"), "second.example");
  record("six.example", "2001:db8::2");
  EXPECT_EQ(name_at("2001:db8::2"), "six.example");
}

TEST(Names, Ipv4ThatIsWrittenAsIpv6IsTheSameAddress) {
  record("four.example", "192.0.2.3");
  EXPECT_EQ(name_at("::ffff:192.0.2.3"), "four.example");
  record("mapped.example", "::ffff:192.0.2.4");
  EXPECT_EQ(name_at("192.0.2.4"), "mapped.example");
  EXPECT_EQ(name_at("::ffff:192.0.2.5"), "192.0.2.5");
}

TEST(Names, TheDotAtTheEndIsNoPartOfTheName) {
  record("dot.example.", "192.0.2.6");
  EXPECT_EQ(name_at("192.0.2.6"), "dot.example");
}

TEST(Names, AnAddressInTheFormsOfTheResolverIsNoName) {
  record("before.example", "127.0.0.1");
  record("127.1", "127.0.0.1");
  record("0x7f000001", "127.0.0.1");
  record(".", "127.0.0.1");
  EXPECT_EQ(name_at("127.0.0.1"), "before.example");
  record("fe80::1%lo", "fe80::1");
  EXPECT_EQ(name_at("fe80::1"), "fe80::1");
}

TEST(Names, ANameThatIsTooLongForDnsIsNotKept) {
  record(std::string(kHostNameMax, 'a'), "192.0.2.7");
  EXPECT_EQ(name_at("192.0.2.7"), std::string(kHostNameMax, 'a'));
  record(std::string(kHostNameMax + 1, 'b'), "192.0.2.7");
  EXPECT_EQ(name_at("192.0.2.7"), std::string(kHostNameMax, 'a'));
}

TEST(Names, TheOldestIsForgottenForOneMoreThanAreRemembered) {
  record("old.example", "192.0.2.8");
  for (std::size_t i = 1; i < kNamesMax; ++i) record("new.example", "192.0.2.9");
  EXPECT_EQ(name_at("192.0.2.8"), "old.example");
  record("new.example", "192.0.2.9");
  EXPECT_EQ(name_at("192.0.2.8"), "192.0.2.8");
}

TEST(Names, AnotherFamilyHasNone) {
  sockaddr local{};
  local.sa_family = AF_UNIX;
  const Changing changing;
  EXPECT_EQ(name_of(&local, sizeof local).size, 0U);
  EXPECT_EQ(text_of_address(nullptr, 0).size, 0U);
  const Address cut = address_of("2001:db8::1");
  EXPECT_EQ(name_of(cut.plain(), sizeof(sockaddr_in)).size, 0U);
}

}  // namespace
}  // namespace preload
