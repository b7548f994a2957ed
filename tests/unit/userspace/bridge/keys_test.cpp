// Keys that change while data flows: budgets, files, floods, and KeyUpdates that somebody else
// took.
#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ktls/core/socket.h"
#include "tests/unit/userspace/bridge/bridge_fixture.h"
#include "tests/unit/userspace/bridge/crafted_end.h"
#include "tests/unit/userspace/bridge/take_control.h"
#include "userspace/io/when_both.h"

namespace bridge::test {
namespace {

using ktls::ErrorCode;
using ktls::Reason;
using std::chrono::milliseconds;
using tls::AlertDescription;
using tls::ContentType;

constexpr std::uint64_t kBudget = 4;
constexpr int kSocketBuffer = 65'536;  // little, so that a file is on its way for a while
constexpr std::size_t kHeaderSize = 5;
// KeyUpdate, its content type, and the tag of every AEAD here: nothing else in this file is so
// long.
constexpr std::size_t kKeyUpdateRecord = 5 + 1 + 16;

// How many records each key sealed, of those that began at `from` on the wire or behind it; the
// KeyUpdate that ends a key is one of them.
std::vector<std::size_t> records_by_key(const Bytes& wire, std::size_t from) {
  std::vector<std::size_t> counts = {0};
  for (std::size_t at = 0; at + kHeaderSize <= wire.size();) {
    const std::size_t size = static_cast<std::size_t>(wire[at + 3]) << 8U | wire[at + 4];
    if (at >= from) ++counts.back();
    if (at >= from && size == kKeyUpdateRecord) counts.push_back(0);
    at += kHeaderSize + size;
  }
  return counts;
}

ktls::UniqueFd file_of(const std::string& text) {
  ktls::UniqueFd fd(::memfd_create("file", MFD_CLOEXEC));
  EXPECT_TRUE(fd);
  EXPECT_EQ(::write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  return fd;
}

class Keys : public CraftedTest {
 protected:
  [[nodiscard]] bool can_update() const {
    return cell().is_tls13() && (!cell().sends_in_kernel() || capability().rekey);
  }
  [[nodiscard]] bool can_follow() const {
    return cell().is_tls13() && (!cell().receives_in_kernel() || capability().rekey);
  }
  [[nodiscard]] BridgeSide budgeted(milliseconds interval = milliseconds(0)) const {
    BridgeSide made = side();
    made.keys = {.records_max = kBudget, .update_interval = interval};
    return made;
  }
  // Sends a file instead of relaying, with what the peer sends taken meanwhile.
  static void send_file_on(BridgeSide& bridge, int file, FileRange range,
                           ktls::Result<std::uint64_t>& sent) {
    range.fd = file;
    bridge.instead_of_relay = [range, &sent](Connection& connection, Scope& scope,
                                             int plain_fd) -> Task<void> {
      auto [done, taken] = co_await when_both(send_and_close(connection, scope, range),
                                              take_control(connection, scope, plain_fd));
      EXPECT_TRUE(taken) << taken.error().message();
      sent = std::move(done);
    };
  }

 private:
  static Task<ktls::Result<std::uint64_t>> send_and_close(Connection& connection, Scope& scope,
                                                          FileRange range) {
    ::setsockopt(connection.fd(), SOL_SOCKET, SO_SNDBUF, &kSocketBuffer, sizeof kSocketBuffer);
    auto sent = co_await connection.sender().send_file(scope, range);
    auto closed = co_await connection.send_alert(scope, AlertDescription::kCloseNotify);
    EXPECT_TRUE(closed) << closed.error().message();
    ::shutdown(connection.fd(), SHUT_WR);
    co_return sent;
  }
};
INSTANTIATE_TEST_SUITE_P(Bridge, Keys, testing::ValuesIn(all_cells()), cell_name);

void expect_within_budget(const Bytes& wire, std::size_t from) {
  const std::vector<std::size_t> counts = records_by_key(wire, from);
  EXPECT_LE(*std::max_element(counts.begin(), counts.end()), kBudget);
}

TEST_P(Keys, AreChangedBeforeTheirBudgetIsSpent) {
  constexpr std::size_t kSize = 500'000;
  const bool updates = can_update();
  BridgeSide bridge = budgeted();
  run(bridge, [&](Stage& stage) -> Task<void> {
    const std::size_t from = stage.tls.wire().size();
    const std::string text = pattern_text(kSize);
    const bool written = co_await stage.plain.write(text);
    if (!updates) {
      static_cast<void>(co_await stage.tls.read_to_end());
      EXPECT_EQ(stage.tls.alert(), SSL_AD_INTERNAL_ERROR);
    } else {
      EXPECT_TRUE(written);
      const std::string received = co_await stage.tls.read(kSize);
      EXPECT_TRUE(received == text);
      EXPECT_GE(stage.tls.key_updates_received(), static_cast<int>(kSize / 16384 / kBudget));
      co_await close_in_order(stage);
    }
    expect_within_budget(stage.tls.wire(), from);
  });
  EXPECT_EQ(bridge.report.ending, updates ? Ending::kClean : Ending::kAlert)
      << bridge.report.detail;
  EXPECT_EQ(bridge.report.reason, updates ? Reason::kNone : Reason::kKeyBudgetSpent);
  EXPECT_EQ(bridge.report.key_updates_sent != 0, updates);
}

TEST_P(Keys, AreChangedInTheMiddleOfAFile) {
  if (!can_update()) GTEST_SKIP() << "the key of this direction cannot be changed";
  const std::string text = pattern_text(700'001);
  const ktls::UniqueFd file = file_of(text);
  constexpr FileRange kRange{.fd = -1, .offset = 5, .size = 1'000'000};  // past its end
  ktls::Result<std::uint64_t> sent = 0;
  BridgeSide bridge = budgeted();
  send_file_on(bridge, file.get(), kRange, sent);
  run(bridge, [&](Stage& stage) -> Task<void> {
    const std::size_t from = stage.tls.wire().size();
    const std::string received = co_await stage.tls.read_to_end();
    EXPECT_TRUE(received == text.substr(kRange.offset)) << received.size();
    EXPECT_TRUE(stage.tls.saw_close_notify());
    EXPECT_GE(stage.tls.key_updates_received(), 10);
    expect_within_budget(stage.tls.wire(), from);
    const bool closed = co_await stage.tls.close_notify();
    EXPECT_TRUE(closed);
  });
  ASSERT_TRUE(sent) << sent.error().message();
  EXPECT_EQ(*sent, text.size() - kRange.offset);
}

TEST_P(Keys, ThatThePeerAsksForComeInTheMiddleOfAFile) {
  if (!can_update() || !can_follow()) GTEST_SKIP() << "keys cannot be changed here";
  const std::string text = pattern_text(3'000'000);  // much more than the sockets hold
  const ktls::UniqueFd file = file_of(text);
  ktls::Result<std::uint64_t> sent = 0;
  BridgeSide bridge = side();
  send_file_on(bridge, file.get(), {.fd = -1, .offset = 0, .size = text.size()}, sent);
  run(bridge, [&](Stage& stage) -> Task<void> {
    ::setsockopt(stage.tls.fd(), SOL_SOCKET, SO_RCVBUF, &kSocketBuffer, sizeof kSocketBuffer);
    std::string received = co_await stage.tls.read(100'000);
    const bool asked = co_await stage.tls.update_key(SSL_KEY_UPDATE_REQUESTED);
    EXPECT_TRUE(asked);
    received += co_await stage.tls.read(text.size() - received.size() - 1'000'000);
    EXPECT_EQ(stage.tls.key_updates_received(), 1);
    EXPECT_LT(received.size(), text.size());
    received += co_await stage.tls.read_to_end();
    EXPECT_TRUE(received == text) << received.size();
    const bool closed = co_await stage.tls.close_notify();
    EXPECT_TRUE(closed);
  });
  EXPECT_TRUE(sent) << sent.error().message();
}

TEST_P(Keys, AreNotChangedMoreOftenThanTheIntervalAllows) {
  if (!can_update()) GTEST_SKIP() << "the key of this direction cannot be changed";
  constexpr milliseconds kInterval(40);
  constexpr std::size_t kSize = 200'000;
  BridgeSide bridge = budgeted(kInterval);
  run(bridge, [&](Stage& stage) -> Task<void> {
    const std::size_t from = stage.tls.wire().size();
    const auto started = Clock::now();
    const bool written = co_await stage.plain.write(pattern_text(kSize));
    EXPECT_TRUE(written);
    const std::string received = co_await stage.tls.read(kSize);
    EXPECT_TRUE(received == pattern_text(kSize));
    const int updates = stage.tls.key_updates_received();
    EXPECT_GE(updates, 3);
    EXPECT_GE(Clock::now() - started, (updates - 1) * kInterval);
    expect_within_budget(stage.tls.wire(), from);
  });
  EXPECT_GE(bridge.report.key_update_waits, 2U);
  EXPECT_LE(bridge.report.key_update_waits, bridge.report.key_updates_sent);
}

// --- the end of records, and of the stream -------------------------------------------------------

TEST_P(Keys, NeverSealWhatWasLeftOpenUnderTheOneBefore) {
  const bool updates = can_update();
  BridgeSide bridge = side();
  bridge.instead_of_relay = [&](Connection& connection, Scope& scope, int) -> Task<void> {
    Sender& sender = connection.sender();
    const auto send = [&](std::string_view text, ktls::More more) {
      return sender.send_data(
          scope, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, more);
    };
    auto sent = co_await send("one ", ktls::More::kYes);
    EXPECT_TRUE(sent);
    if (updates) {
      sent = co_await sender.update_key(scope);
      EXPECT_TRUE(sent) << sent.error().message();
    }
    sent = co_await send("two ", ktls::More::kYes);
    EXPECT_TRUE(sent);
    sent = co_await send("three ", ktls::More::kNo);
    EXPECT_TRUE(sent);
    sent = co_await send("four", ktls::More::kYes);
    EXPECT_TRUE(sent);
    sent = co_await connection.send_alert(scope, AlertDescription::kCloseNotify);
    EXPECT_TRUE(sent);
    // The kernel would say yes to all of this, and send none of it.
    ::shutdown(connection.fd(), SHUT_WR);
    sent = co_await send("five", ktls::More::kNo);
    EXPECT_TRUE(!sent && sent.error().code == ErrorCode::kProtocolViolation);
    sent = co_await connection.send_alert(scope, AlertDescription::kInternalError);
    EXPECT_TRUE(!sent && sent.error().code == ErrorCode::kProtocolViolation);
  };
  run(bridge, [&](Stage& stage) -> Task<void> {
    const std::string text = co_await stage.tls.read_to_end();
    EXPECT_EQ(text, "one two three four");
    EXPECT_TRUE(stage.tls.saw_close_notify());
    EXPECT_EQ(stage.tls.objection(), "");
  });
}

TEST_P(Keys, ThatDoNotOpenARecordStayRefused) {
  BridgeSide bridge = side();
  bridge.instead_of_relay = [](Connection& connection, Scope& scope, int plain_fd) -> Task<void> {
    auto taken = co_await take_control(connection, scope, plain_fd);
    EXPECT_TRUE(!taken && taken.error().code == ErrorCode::kBadRecordMac);
    for (int i = 0; i < 3; ++i) {
      auto again = co_await connection.receiver().move_to(scope, plain_fd);
      EXPECT_TRUE(!again && again.error().code == ErrorCode::kBadRecordMac);
    }
  };
  run(bridge, [](Stage& stage) -> Task<void> {
    Bytes record = {23, 3, 3, 0, 64};
    record.resize(record.size() + 64, 7);
    const bool sent = co_await stage.tls.send_bytes(std::move(record));
    EXPECT_TRUE(sent);
    const bool over = co_await stage.bridge_is_over();
    EXPECT_TRUE(over);
  });
}

// --- keys of the peer ----------------------------------------------------------------------------

TEST_P(Keys, OfAPeerThatFloodsAreCutOff) {
  if (!can_follow()) GTEST_SKIP() << "ends at the first KeyUpdate";
  constexpr std::uint32_t kAllowed = 20;
  // An emulated machine would take its time to make so many.
  const int flood = capability().attach_errno == 0 ? 1'000 : 100'000;
  const Bytes key_update = {24, 0, 0, 1, 0};
  BridgeSide bridge = side();
  bridge.keys.peer_updates_a_second = kAllowed;
  run_crafted(bridge, [&](Stage& stage, CraftedEnd& peer) -> Task<void> {
    constexpr int kBatch = 1'000;
    bool sent = true;
    for (int i = 0; i < flood && sent && !stage.bridge.over; i += kBatch) {
      Bytes wire;
      for (int k = 0; k < kBatch; ++k) {
        const Bytes record = peer.seal(ContentType::kHandshake, key_update);
        wire.insert(wire.end(), record.begin(), record.end());
        peer.change_write_key();
      }
      sent = co_await stage.tls.send_bytes(std::move(wire));
    }
    static_cast<void>(co_await peer.read(1));
    stage.tls.shut_write();
  });
  EXPECT_EQ(bridge.report.ending, Ending::kAlert) << bridge.report.detail;
  EXPECT_EQ(bridge.report.reason, Reason::kKeyUpdateFlood);
  // A second's allowance, and what it grew by meanwhile on a slow machine. What comes after the
  // alert is read and thrown away, which costs no keys.
  EXPECT_GE(bridge.report.key_updates_received, kAllowed);
  EXPECT_LE(bridge.report.key_updates_received, 10 * kAllowed);
}

// Another reader of the socket takes a record away.
bool steal_record(int fd) {
  ktls::TlsSocket socket(fd);
  std::array<std::uint8_t, 64> buffer{};
  for (int i = 0; i < 1'000; ++i) {
    const auto received = socket.receive(buffer);
    if (received) return received->type == 22;
    ::usleep(100);
  }
  return false;
}

TEST_P(Keys, ThatTheKernelWaitsForInVainAreNamed) {
  if (!cell().is_tls13() || !cell().receives_in_kernel() || !capability().rekey) {
    GTEST_SKIP() << "nothing waits for a key here";
  }
  BridgeSide bridge = side();
  bridge.keys.key_wait_max = milliseconds(50);
  run(bridge, [](Stage& stage) -> Task<void> {
    const bool asked = co_await stage.tls.write("question");
    EXPECT_TRUE(asked);
    static_cast<void>(co_await stage.plain.read(8));
    const bool updated = co_await stage.tls.update_key(SSL_KEY_UPDATE_NOT_REQUESTED);
    EXPECT_TRUE(updated && steal_record(stage.bridge.tls_fd));
    const bool over = co_await stage.bridge_is_over();
    EXPECT_TRUE(over);
  });
  EXPECT_EQ(bridge.report.reason, Reason::kKeyMissing) << bridge.report.detail;
}

// Whoever asks the kernel must not open what its receiver is about to be woken by.
TEST_P(Keys, ThatComeWhileTheKernelIsAskedForThemAreFollowed) {
  if (!can_follow()) GTEST_SKIP() << "ends at the first KeyUpdate";
  BridgeSide bridge = side();
  bridge.keys.key_wait_max = milliseconds(1);
  bridge.keys.peer_updates_a_second = 10'000;
  constexpr int kUpdates = 100;
  run(bridge, [](Stage& stage) -> Task<void> {
    for (int i = 0; i < kUpdates; ++i) {
      const bool updated = co_await stage.tls.update_key(SSL_KEY_UPDATE_NOT_REQUESTED);
      EXPECT_TRUE(updated);
      if (i % 3 == 0) co_await stage.sleep(milliseconds(1));
      const bool asked = co_await stage.tls.write("question");
      EXPECT_TRUE(asked);
      const std::string question = co_await stage.plain.read(8);
      EXPECT_EQ(question, "question");
    }
    co_await close_in_order(stage);
  });
  EXPECT_EQ(bridge.report.ending, Ending::kClean) << bridge.report.detail;
  EXPECT_EQ(bridge.report.key_updates_received, kUpdates);
}

// The kernel opens it together with the data, and poll says nothing of it.
TEST_P(Keys, BehindDataThatIsCopiedAreFollowed) {
  create({.pipes_max = 0});
  if (IsSkipped()) return;
  if (!can_follow()) GTEST_SKIP() << "ends at the first KeyUpdate";
  const BridgeSide bridge = run([](Stage& stage) -> Task<void> {
    for (int i = 0; i < 10; ++i) {
      SSL_write(stage.tls.ssl(), "question", 8);
      const bool updated = co_await stage.tls.update_key(SSL_KEY_UPDATE_NOT_REQUESTED);
      EXPECT_TRUE(updated);
      const std::string question = co_await stage.plain.read(8);
      EXPECT_EQ(question, "question");
      co_await stage.sleep(milliseconds(5));
      const bool asked = co_await stage.tls.write("once more");
      EXPECT_TRUE(asked);
      const std::string more = co_await stage.plain.read(9);
      EXPECT_EQ(more, "once more");
    }
    co_await close_in_order(stage);
  });
  EXPECT_EQ(bridge.report.ending, Ending::kClean) << bridge.report.detail;
}

// As one handshake record each.
Task<void> send_in_records(CraftedEnd& peer, std::vector<Bytes> parts) {
  for (Bytes& part : parts) {
    const bool sent = co_await peer.send(ContentType::kHandshake, std::move(part));
    EXPECT_TRUE(sent);
  }
}

// The kernel takes a record that begins with 24 for a KeyUpdate, wherever in a message that is.
TEST_P(Keys, StayWhereARecordOnlyLooksLikeAKeyUpdate) {
  if (!cell().is_tls13() || !cell().is_client()) GTEST_SKIP() << "no ticket comes here";
  // NewSessionTicket: lifetime, age_add, nonce, a ticket of eight bytes, no extensions.
  const std::vector<Bytes> parts = {
      {4, 0, 0, 22, 0, 0, 14, 16, 1, 2, 3, 4, 1, 0, 0, 8, 1, 2, 3},
      {24, 5, 6, 7, 8, 0, 0},
  };
  const BridgeSide bridge = run_crafted([&](Stage& stage, CraftedEnd& peer) -> Task<void> {
    co_await send_in_records(peer, parts);
    const bool sent = co_await peer.send_text("after the ticket");
    EXPECT_TRUE(sent);
    const std::string text = co_await stage.plain.read(16);
    EXPECT_EQ(text, "after the ticket");
    const Bytes close_notify = {1, 0};
    const bool closed = co_await peer.send(ContentType::kAlert, close_notify);
    EXPECT_TRUE(closed);
    stage.plain.shut_write();
    static_cast<void>(co_await peer.read(1));
  });
  EXPECT_EQ(bridge.report.ending, Ending::kClean) << bridge.report.detail;
}

// Nor does it ask for the version; TLS 1.2 has no other key to give it.
TEST_P(Keys, AreMissingWhereTls12OnlyLooksLikeAKeyUpdate) {
  const bool stalls = !cell().is_tls13() && cell().receives_in_kernel() && capability().rekey;
  if (!stalls || cell().is_client()) GTEST_SKIP() << "nothing stalls here";
  // Something like a ClientHello, whose second record begins with 24.
  const std::vector<Bytes> parts = {{1, 0, 0, 8, 1, 2, 3}, {24, 5, 6, 7, 8}};
  const BridgeSide bridge = run_crafted([&](Stage&, CraftedEnd& peer) -> Task<void> {
    co_await send_in_records(peer, parts);
    static_cast<void>(co_await peer.read(1));
  });
  EXPECT_EQ(bridge.report.ending, Ending::kAlert) << bridge.report.detail;
  EXPECT_EQ(bridge.report.reason, Reason::kKeyMissing);
}

}  // namespace
}  // namespace bridge::test
