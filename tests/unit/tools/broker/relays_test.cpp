#include "tools/broker/relays.h"

#include "tests/unit/userspace/io/loop_fixture.h"

namespace tools {
namespace {

using bridge::Scope;
using bridge::Task;

std::uint64_t nothing_more() {
  return 0;
}

class RelaysTest : public bridge::LoopTest {};
BRIDGE_ON_BOTH_LOOPS(RelaysTest);

TEST_P(RelaysTest, TakeAProgramThatLetsGoForKilledUnlessItSaidThatItHadSentAll) {
  Relays relays;
  run([&](Scope& scope) -> Task<void> {
    Relays::Relay relay(relays, 1, nothing_more);
    const auto killed = co_await relay.wait(scope);
    bridge::expect_code(killed, ktls::ErrorCode::kAbandoned);
    EXPECT_NE(killed.error().alert, ktls::Error::kNoAlert);
    EXPECT_FALSE(relays.close_in_order(2));
    EXPECT_TRUE(relays.close_in_order(1));
    const auto closed = co_await relay.wait(scope);
    EXPECT_TRUE(closed);
  });
}

TEST_P(RelaysTest, TakeWhatCameAfterTheLastOneLeftInOrderForThatOfAProgramThatWasKilled) {
  Relays relays;
  run([&](Scope& scope) -> Task<void> {
    std::uint64_t arrived = 100;
    Relays::Relay relay(relays, 1, [&arrived] { return arrived; });
    relays.release(2);  // of no stream: nothing
    relays.release(1);
    const auto released = co_await relay.wait(scope);
    EXPECT_TRUE(released);
    arrived = 101;
    const auto killed = co_await relay.wait(scope);
    bridge::expect_code(killed, ktls::ErrorCode::kAbandoned);
    relays.release(1);
    const auto released_again = co_await relay.wait(scope);
    EXPECT_TRUE(released_again);
  });
}

TEST(Relays, KnowWhatEndedInOrder) {
  Relays relays;
  {
    Relays::Relay first(relays, 1, nothing_more);
    const Relays::Relay second(relays, 2, nothing_more);
    // Nothing but close_notify ends a stream that is being relayed.
    EXPECT_TRUE(relays.was_orderly(1));
    first.end_in_order();
  }
  EXPECT_TRUE(relays.was_orderly(1));
  EXPECT_FALSE(relays.was_orderly(2));
  EXPECT_FALSE(relays.was_orderly(3));
  EXPECT_FALSE(relays.close_in_order(1));
}

TEST(Relays, ForgetTheOldestOfVeryMany) {
  Relays relays;
  constexpr std::uint64_t kMany = 70'000;
  for (std::uint64_t cookie = 1; cookie <= kMany; ++cookie) {
    Relays::Relay(relays, cookie, nothing_more).end_in_order();
  }
  EXPECT_FALSE(relays.was_orderly(1));
  EXPECT_TRUE(relays.was_orderly(kMany));
}

TEST(Cookie, IsThatOfTheSocketWhicheverDescriptorLeadsToIt) {
  const bridge::SocketPair pair = bridge::unix_pair();
  const bridge::UniqueFd copy(::dup(pair.ours.get()));
  EXPECT_EQ(cookie_of(pair.ours.get()).value(), cookie_of(copy.get()).value());
  EXPECT_NE(cookie_of(pair.ours.get()).value(), cookie_of(pair.theirs.get()).value());
  EXPECT_FALSE(cookie_of(-1).has_value());
}

}  // namespace
}  // namespace tools
