// Lossless install: whatever the peer sends, cut anywhere, arrives whole on the plain side, though
// the keys change hands while it is under way.
#include <algorithm>
#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/userspace/bridge/bridge_fixture.h"

namespace bridge::test {
namespace {

constexpr std::string_view kFirst = "GET / HTTP/1.1\r\nHost: server.test\r\n";
constexpr std::string_view kSecond = "Content-Length: 4\r\n\r\nbody";
constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\n\r\n";

// KTLSB_CUT_STRIDE: every how many bytes a cut is tried; an emulated machine cannot try them all.
std::size_t cut_stride() {
  const char* const text = std::getenv("KTLSB_CUT_STRIDE");
  const unsigned long stride = text == nullptr ? 1 : std::strtoul(text, nullptr, 10);
  return std::max<std::size_t>(stride, 1);
}

class LosslessInstall : public BridgeTest {
 protected:
  // One connection whose peer sends its last flight of the handshake, two records and close_notify
  // at once, cut at `cut` (0: not at all). Answers how many bytes the peer sent.
  std::size_t exchange(std::size_t cut, const std::string& name) {
    std::size_t sent = 0;
    BridgeSide made = side();
    made.peer_name = name;
    const Story story = [&](Stage& stage) -> Task<void> {
      stage.tls.cut_at(cut, stage.bridge.tls_fd);
      co_await converse(stage);
      sent = stage.tls.bytes_sent();
      if (!cell().is_client()) session_.reset(SSL_get1_session(stage.tls.ssl()));
    };
    run(made, story, false);
    resumed_ = made.resumed;
    EXPECT_FALSE(made.error) << made.error->message();
    EXPECT_EQ(made.report.ending, Ending::kClean) << made.report.detail;
    EXPECT_EQ(made.report.received, kFirst.size() + kSecond.size());
    EXPECT_EQ(made.report.sent, kAnswer.size());
    if (made.plan) {
      EXPECT_EQ(made.plan->receive.in_kernel(), cell().receives_in_kernel());
      EXPECT_EQ(made.plan->transmit.in_kernel(), cell().sends_in_kernel());
    }
    return sent;
  }

  // All cuts at the given distance, from `begin` on.
  template <class Exchange>
  void cut_everywhere(std::size_t stride, const Exchange& exchange_once) {
    std::size_t size = exchange_once(0);
    std::size_t count = 0;
    for (std::size_t cut = 1; cut < size && !HasFailure(); cut += stride, ++count) {
      SCOPED_TRACE("cut at byte " + std::to_string(cut) + " of " + std::to_string(size));
      // A signature of ECDSA is now longer, now shorter.
      size = std::max(size, exchange_once(cut));
    }
    RecordProperty("cuts", std::to_string(count));
    EXPECT_GE(size, kFirst.size() + kSecond.size());
  }

  bool resumed_ = false;
  // The first record of the server goes out before the client's Finished is there.
  bool writes_before_finished_ = false;

 private:
  [[nodiscard]] Task<void> converse(Stage& stage) const {
    if (writes_before_finished_) {
      const bool written = co_await stage.tls.write_before_finished(std::string(kFirst));
      EXPECT_TRUE(written);
    }
    const bool shaken = co_await stage.tls.shake_hands(true);
    EXPECT_TRUE(shaken) << "the peer's handshake failed";
    if (!shaken) co_return;
    for (const std::string_view text : {kFirst, kSecond}) {
      if (writes_before_finished_ && text == kFirst) continue;
      EXPECT_EQ(SSL_write(stage.tls.ssl(), text.data(), static_cast<int>(text.size())),
                static_cast<int>(text.size()));
    }
    const bool closed = co_await stage.tls.close_notify();
    EXPECT_TRUE(closed);

    const std::string received = co_await stage.plain.read_to_end();
    EXPECT_EQ(received, std::string(kFirst) + std::string(kSecond));
    EXPECT_TRUE(stage.plain.saw_fin());
    const bool answered = co_await stage.plain.write(std::string(kAnswer));
    EXPECT_TRUE(answered);
    stage.plain.shut_write();
    const std::string answer = co_await stage.tls.read_to_end();
    EXPECT_EQ(answer, kAnswer);
    EXPECT_TRUE(stage.tls.saw_close_notify());
    EXPECT_TRUE(stage.tls.saw_fin());
  }
};

INSTANTIATE_TEST_SUITE_P(Bridge, LosslessInstall, testing::ValuesIn(all_cells()), cell_name);

TEST_P(LosslessInstall, HoldsForAPeersFlightCutAtEveryByte) {
  std::size_t connections = 0;
  cut_everywhere(cut_stride(), [&](std::size_t cut) {
    // A name of its own for each, so that none is resumed.
    const std::size_t sent = exchange(cut, "n" + std::to_string(connections++) + ".server.test");
    session_.reset();
    EXPECT_FALSE(resumed_);
    return sent;
  });
}

// The record behind the server's Finished is read with the key that has just changed hands.
TEST_P(LosslessInstall, HoldsForDataThatAServerSendsBeforeOurFinished) {
  if (!cell().is_client() || !cell().is_tls13()) GTEST_SKIP() << "only servers in TLS 1.3 can";
  writes_before_finished_ = true;
  std::size_t connections = 0;
  cut_everywhere(3 * cut_stride(), [&](std::size_t cut) {
    return exchange(cut, "e" + std::to_string(connections++) + ".server.test");
  });
}

TEST_P(LosslessInstall, HoldsForResumedHandshakesWhoseTicketsCameCut) {
  static_cast<void>(exchange(0, "server.test"));
  EXPECT_FALSE(resumed_);
  // In TLS 1.3 a ticket serves once, so each connection lives on the tickets of the one before.
  cut_everywhere(7 * cut_stride(), [&](std::size_t cut) {
    const std::size_t sent = exchange(cut, "server.test");
    EXPECT_TRUE(resumed_);
    return sent;
  });
}

}  // namespace
}  // namespace bridge::test
