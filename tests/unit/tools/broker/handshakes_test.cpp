#include "tools/broker/handshakes.h"

#include <memory>
#include <vector>

#include "tests/unit/userspace/io/loop_fixture.h"

namespace tools {
namespace {

// One that is under way, whose peer has or has not said something.
struct Peer {
  Peer(Handshakes& handshakes, bool speaks) : pair(bridge::tcp_pair()) {
    if (speaks) {
      EXPECT_EQ(::send(pair.theirs.get(), "x", 1, 0), 1);
      char byte = 0;  // waits until it is there
      EXPECT_EQ(::recv(pair.ours.get(), &byte, 1, MSG_PEEK), 1);
    }
    under_way = std::make_unique<Handshakes::UnderWay>(handshakes, cancellation, pair.ours.get());
  }

  bridge::SocketPair pair;
  Cancellation cancellation;
  std::unique_ptr<Handshakes::UnderWay> under_way;
};

std::vector<bool> dropped(const std::vector<std::unique_ptr<Peer>>& peers) {
  std::vector<bool> found;
  for (const auto& each : peers) found.push_back(each->cancellation.cancelled());
  return found;
}

TEST(Handshakes, DropTheOldestWhosePeerIsSilent) {
  Handshakes handshakes(3);
  std::vector<std::unique_ptr<Peer>> peers;
  for (const bool speaks : {true, false, false}) {
    peers.push_back(std::make_unique<Peer>(handshakes, speaks));
  }
  EXPECT_EQ(dropped(peers), std::vector<bool>({false, false, false}));
  peers.push_back(std::make_unique<Peer>(handshakes, true));
  EXPECT_EQ(dropped(peers), std::vector<bool>({false, true, false, false}));
  peers.push_back(std::make_unique<Peer>(handshakes, true));
  EXPECT_EQ(dropped(peers), std::vector<bool>({false, true, true, false, false}));
  EXPECT_EQ(handshakes.size(), 3U);
}

TEST(Handshakes, DropTheOldestWhereAllHaveSpoken) {
  Handshakes handshakes(2);
  std::vector<std::unique_ptr<Peer>> peers;
  for (int i = 0; i < 3; ++i) peers.push_back(std::make_unique<Peer>(handshakes, true));
  EXPECT_EQ(dropped(peers), std::vector<bool>({true, false, false}));
}

TEST(Handshakes, AreForgottenWhenTheyAreOver) {
  Handshakes handshakes(1);
  { const Peer peer(handshakes, false); }
  EXPECT_EQ(handshakes.size(), 0U);
  const Peer next(handshakes, false);
  EXPECT_FALSE(next.cancellation.cancelled());
}

}  // namespace
}  // namespace tools
