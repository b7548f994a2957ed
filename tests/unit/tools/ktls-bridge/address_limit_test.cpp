#include "tools/ktls-bridge/address_limit.h"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tools/common/address.h"

namespace tools {
namespace {

SocketAddress address(const std::string& text) {
  return resolve(parse_address(text).value(), false).value().front();
}

TEST(AddressLimit, GivesEachAddressItsPlacesAndNoMore) {
  AddressLimit limit(2);
  const auto first = limit.take(address("192.0.2.1:1000"));
  const auto second = limit.take(address("192.0.2.1:2000"));
  EXPECT_TRUE(first);
  EXPECT_TRUE(second);
  EXPECT_FALSE(limit.take(address("192.0.2.1:3000")));
  EXPECT_TRUE(limit.take(address("192.0.2.2:3000")));
}

TEST(AddressLimit, HasAPlaceAgainWhenOneIsGivenBack) {
  AddressLimit limit(1);
  {
    auto first = limit.take(address("192.0.2.1:1000"));
    const AddressLimit::Place moved = std::move(first);
    EXPECT_FALSE(limit.take(address("192.0.2.1:2000")));
  }
  EXPECT_TRUE(limit.take(address("192.0.2.1:2000")));
}

// While a client has its only place, `same` counts as that client and `other` does not.
void expect_counted(const std::string& client, const std::string& same, const std::string& other) {
  AddressLimit limit(1);
  const auto place = limit.take(address(client));
  EXPECT_TRUE(place);
  EXPECT_FALSE(limit.take(address(same)));
  EXPECT_TRUE(limit.take(address(other)));
}

TEST(AddressLimit, CountsAnIpv6ClientByItsNetwork) {
  expect_counted("[2001:db8:0:1::1]:1000", "[2001:db8:0:1:ffff::2]:1000", "[2001:db8:0:2::1]:1000");
}

TEST(AddressLimit, CountsMappedIpv4ClientsOneByOneAndWithTheUnmapped) {
  expect_counted("[::ffff:192.0.2.1]:1000", "192.0.2.1:2000", "[::ffff:192.0.2.2]:1000");
}

TEST(AddressLimit, IsNoneForZeroAndForUnixSockets) {
  AddressLimit none(0);
  AddressLimit one(1);
  SocketAddress path;
  path.storage.ss_family = AF_UNIX;
  std::vector<AddressLimit::Place> places;
  for (int i = 0; i < 3; ++i) {
    places.push_back(none.take(address("192.0.2.1:1000")));
    EXPECT_TRUE(places.back());
    places.push_back(one.take(path));
    EXPECT_TRUE(places.back());
  }
}

}  // namespace
}  // namespace tools
