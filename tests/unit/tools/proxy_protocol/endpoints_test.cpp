#include "tools/proxy_protocol/endpoints.h"

#include <string>

#include <gtest/gtest.h>

#include "tests/unit/tools/proxy_protocol/socket_addresses.h"

namespace proxy_protocol {
namespace {

std::string made_of(const std::string& source, const std::string& destination) {
  const Endpoints made = make_endpoints(socket_address(source), socket_address(destination));
  return made.source.text() + " " + made.destination.text();
}

TEST(Endpoints, AreWhatTheSocketsHave) {
  EXPECT_EQ(made_of("192.0.2.1:5", "192.0.2.2:443"), "192.0.2.1:5 192.0.2.2:443");
  EXPECT_EQ(made_of("[2001:db8::1]:5", "[::1]:443"), "[2001:db8::1]:5 [::1]:443");
  EXPECT_EQ(made_of("unix:/a", "unix:/b"), "unix:/a unix:/b");
}

TEST(Endpoints, AreIpv4AgainWhereASocketForBothHasAcceptedIt) {
  EXPECT_EQ(made_of("[::ffff:192.0.2.1]:5", "[::ffff:192.0.2.2]:443"), "192.0.2.1:5 192.0.2.2:443");
  EXPECT_EQ(made_of("[::ffff:192.0.2.1]:5", "192.0.2.2:443"), "192.0.2.1:5 192.0.2.2:443");
}

TEST(Endpoints, AreOfOneFamilyOrNone) {
  EXPECT_EQ(made_of("192.0.2.1:5", "[2001:db8::1]:443"), "[::ffff:192.0.2.1]:5 [2001:db8::1]:443");
  EXPECT_EQ(made_of("[2001:db8::1]:5", "192.0.2.1:443"), "[2001:db8::1]:5 [::ffff:192.0.2.1]:443");
  EXPECT_EQ(made_of("unix:/a", "192.0.2.1:443"), "? ?");
  EXPECT_EQ(make_endpoints(socket_address("unix:/a"), {}).source.family(), AF_UNSPEC);
}

}  // namespace
}  // namespace proxy_protocol
