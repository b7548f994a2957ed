// What an observer hears of a connection: alerts and KeyUpdates, each when it happens.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/userspace/bridge/bridge_fixture.h"
#include "userspace/bridge/connection_observer.h"

namespace bridge::test {
namespace {

using tls::AlertDescription;
using Alerts = std::vector<AlertDescription>;

class Notes final : public ConnectionObserver {
 public:
  void alert_sent(AlertDescription alert) override { sent.push_back(alert); }
  void alert_received(AlertDescription alert) override { received.push_back(alert); }
  void key_update_sent() override { ++updates_sent; }
  void key_update_received() override { ++updates_received; }

  Alerts sent;
  Alerts received;
  int updates_sent = 0;
  int updates_received = 0;
};

class Observer : public BridgeTest {
 protected:
  [[nodiscard]] BridgeSide observed() {
    BridgeSide made = side();
    made.instead_of_relay = [this](Connection& connection, Scope& scope,
                                   int plain_fd) -> Task<void> {
      connection.observe(notes_);
      const RelayReport report = co_await relay(loop(), scope, connection, plain_fd, kPatience);
      static_cast<void>(report);
    };
    return made;
  }
  [[nodiscard]] bool can_change_keys() const {
    const bool is_in_kernel = cell().sends_in_kernel() || cell().receives_in_kernel();
    return cell().is_tls13() && (!is_in_kernel || capability().rekey);
  }

  Notes notes_;
};
INSTANTIATE_TEST_SUITE_P(Bridge, Observer, testing::ValuesIn(all_cells()), cell_name);

TEST_P(Observer, HearsTheCloseNotifyOfBothSides) {
  BridgeSide bridge = observed();
  run(bridge, [](Stage& stage) -> Task<void> { co_await close_in_order(stage); });
  EXPECT_EQ(notes_.sent, Alerts{AlertDescription::kCloseNotify});
  EXPECT_EQ(notes_.received, Alerts{AlertDescription::kCloseNotify});
  EXPECT_EQ(notes_.updates_sent + notes_.updates_received, 0);
}

TEST_P(Observer, HearsAFatalAlertOfThePeer) {
  BridgeSide bridge = observed();
  run(bridge, [](Stage& stage) -> Task<void> {
    const bool objected = co_await stage.tls.object();
    EXPECT_TRUE(objected);
    const bool is_over = co_await stage.bridge_is_over();
    EXPECT_TRUE(is_over);
  });
  EXPECT_EQ(notes_.received, Alerts{AlertDescription::kBadRecordMac});
  EXPECT_EQ(notes_.sent, Alerts{});
}

TEST_P(Observer, HearsAFatalAlertOfOurs) {
  BridgeSide bridge = observed();
  run(bridge, [](Stage& stage) -> Task<void> {
    const bool written = co_await stage.tls.write_damaged("text");
    EXPECT_TRUE(written);
    static_cast<void>(co_await stage.tls.read_to_end());
    EXPECT_EQ(stage.tls.alert(), SSL_AD_BAD_RECORD_MAC);
  });
  EXPECT_EQ(notes_.sent, Alerts{AlertDescription::kBadRecordMac});
  EXPECT_EQ(notes_.received, Alerts{});
}

TEST_P(Observer, HearsEachKeyUpdateWhileTheConnectionGoesOn) {
  if (!can_change_keys()) GTEST_SKIP() << "keys cannot be changed here";
  BridgeSide bridge = observed();
  run(bridge, [this](Stage& stage) -> Task<void> {
    for (int i = 1; i <= 3; ++i) {
      const bool updated = co_await stage.tls.update_key(i == 3 ? SSL_KEY_UPDATE_NOT_REQUESTED
                                                                : SSL_KEY_UPDATE_REQUESTED);
      EXPECT_TRUE(updated);
      const bool asked = co_await stage.tls.write("question");
      EXPECT_TRUE(asked);
      const std::string question = co_await stage.plain.read(8);
      EXPECT_EQ(question, "question");
      const bool answered = co_await stage.plain.write("answer");
      EXPECT_TRUE(answered);
      const std::string answer = co_await stage.tls.read(6);
      EXPECT_EQ(answer, "answer");
      EXPECT_EQ(notes_.updates_received, i);
    }
    EXPECT_EQ(notes_.updates_sent, 2);
    co_await close_in_order(stage);
  });
}

}  // namespace
}  // namespace bridge::test
