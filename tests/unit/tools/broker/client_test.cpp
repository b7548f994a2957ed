#include "tools/broker/client.h"

#include <unistd.h>

#include "tests/unit/userspace/io/loop_fixture.h"

namespace tools {
namespace {

using bridge::Scope;
using bridge::Task;

TEST(Client, IsWhoeverConnected) {
  const bridge::SocketPair pair = bridge::unix_pair();
  const auto client = client_of(pair.ours.get());
  ASSERT_TRUE(client.has_value());
  EXPECT_EQ(client->user, ::geteuid());
  EXPECT_EQ(client->group, ::getegid());
  EXPECT_EQ(client->process, ::getpid());
}

TEST(Client, IsLetInByItsUserOrAnyOfItsGroups) {
  const uid_t other = ::geteuid() + 1000;
  BrokerOptions options;
  const auto client = [other](gid_t group, std::vector<gid_t> groups) {
    return Client{.user = other, .group = group, .process = 1, .groups = std::move(groups)};
  };
  EXPECT_FALSE(may_connect(client(7, {8}), options));
  options.groups = {8};
  EXPECT_TRUE(may_connect(client(7, {8}), options));
  EXPECT_TRUE(may_connect(client(8, {}), options));
  EXPECT_FALSE(may_connect(client(7, {9}), options));
  options.users = {other};
  EXPECT_TRUE(may_connect(client(7, {9}), options));
  EXPECT_TRUE(may_connect({.user = 0, .group = 0, .process = 1, .groups = {}}, {}));
  EXPECT_TRUE(may_connect({.user = ::geteuid(), .group = 5, .process = 1, .groups = {}}, {}));
}

TEST(Places, AreLimitedForEachUserAndForAll) {
  Places places(2, 3);
  std::vector<Places::Place> taken;
  const auto take = [&](uid_t user) {
    auto place = places.take(user);
    const bool is_there = place.has_value();
    if (place) taken.push_back(*std::move(place));
    return is_there;
  };
  EXPECT_TRUE(take(1));
  EXPECT_TRUE(take(1));
  EXPECT_FALSE(take(1));
  EXPECT_TRUE(take(2));
  EXPECT_FALSE(take(3));
  EXPECT_EQ(places.taken(), 3U);
  taken.pop_back();
  EXPECT_FALSE(take(1));
  EXPECT_TRUE(take(3));
  taken.clear();
  EXPECT_EQ(places.taken(), 0U);
}

class PlacesTest : public bridge::LoopTest {};
BRIDGE_ON_BOTH_LOOPS(PlacesTest);

TEST_P(PlacesTest, AreWaitedForUntilOneIsGivenBack) {
  Places places(1, 1);
  auto first = places.take(1);
  bool is_given_back = false;
  const auto give_back = [&](Scope& scope) -> Task<void> {
    const auto slept = co_await loop().sleep(scope, std::chrono::milliseconds(5));
    EXPECT_TRUE(slept);
    is_given_back = true;
    first.reset();
  };
  run([&](Scope& scope) -> Task<void> {
    loop().spawn(give_back(scope));
    const auto place = co_await places.wait(loop(), scope, 1);
    EXPECT_TRUE(place.has_value());
    EXPECT_TRUE(is_given_back);
    Scope soon(scope, std::chrono::milliseconds(5));
    const auto second = co_await places.wait(loop(), soon, 2);
    bridge::expect_code(second, ktls::ErrorCode::kTimeout);
  });
}

}  // namespace
}  // namespace tools
