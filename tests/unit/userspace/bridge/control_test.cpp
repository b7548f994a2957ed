// Control records after the hand-over: KeyUpdate, tickets, alerts and renegotiation.
#include <array>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/userspace/bridge/bridge_fixture.h"
#include "tests/unit/userspace/bridge/crafted_end.h"

namespace bridge::test {
namespace {

using ktls::Reason;
using tls::AlertDescription;
using tls::ContentType;

constexpr std::string_view kQuestion = "question";
constexpr std::string_view kAnswer = "answer";

// g++ 12 cannot keep a braced list alive across an await.
template <class... Byte>
Bytes bytes(Byte... byte) {
  return {static_cast<std::uint8_t>(byte)...};
}

const Bytes kKeyUpdate = {24, 0, 0, 1, 0};
constexpr int kInARow = 32;  // control records that are taken without data between them
const Bytes kKeyUpdateAsking = {24, 0, 0, 1, 1};

Task<void> ask(Stage& stage) {
  const bool asked = co_await stage.tls.write(std::string(kQuestion));
  EXPECT_TRUE(asked);
  const std::string question = co_await stage.plain.read(kQuestion.size());
  EXPECT_EQ(question, kQuestion);
}

Task<void> answer(Stage& stage) {
  const bool answered = co_await stage.plain.write(std::string(kAnswer));
  EXPECT_TRUE(answered);
  const std::string text = co_await stage.tls.read(kAnswer.size());
  EXPECT_EQ(text, kAnswer);
}

Task<void> exchange(Stage& stage) {
  co_await ask(stage);
  co_await answer(stage);
}

Task<void> expect_question(Stage& stage, CraftedEnd& peer) {
  const bool sent = co_await peer.send_text(std::string(kQuestion));
  EXPECT_TRUE(sent);
  const std::string question = co_await stage.plain.read(kQuestion.size());
  EXPECT_EQ(question, kQuestion);
}

void expect_clean(const BridgeSide& bridge) {
  EXPECT_EQ(bridge.report.ending, Ending::kClean) << bridge.report.detail;
  EXPECT_EQ(bridge.report.reason, Reason::kNone);
}

// ---- KeyUpdate ---------------------------------------------------------------------------------

class KeyUpdates : public CraftedTest {
 protected:
  // Whether the connection survives a KeyUpdate of the peer.
  [[nodiscard]] bool survives(int type) const {
    if (capability().rekey) return true;
    if (cell().receives_in_kernel()) return false;
    return type == SSL_KEY_UPDATE_NOT_REQUESTED || !cell().sends_in_kernel();
  }

  void expect_ended_by_key_update(const BridgeSide& bridge) {
    EXPECT_EQ(bridge.report.ending, Ending::kAlert) << bridge.report.detail;
    EXPECT_EQ(bridge.report.reason, Reason::kRekeyImpossible);
  }
};
INSTANTIATE_TEST_SUITE_P(Bridge, KeyUpdates, testing::ValuesIn(cells_where([](const Cell& cell) {
                           return cell.is_tls13();
                         })),
                         cell_name);

// The bridge says why it ends the connection: the peer sees internal_error, the plain side a reset.
Task<void> expect_polite_end(Stage& stage) {
  static_cast<void>(co_await stage.tls.read_to_end());
  EXPECT_EQ(stage.tls.alert(), SSL_AD_INTERNAL_ERROR);
  EXPECT_EQ(stage.tls.alert_level(), SSL3_AL_FATAL);
  static_cast<void>(co_await stage.plain.read_to_end());
  EXPECT_TRUE(stage.plain.was_reset());
}

TEST_P(KeyUpdates, OfThePeerChangeTheReadingKey) {
  const bool survives_it = survives(SSL_KEY_UPDATE_NOT_REQUESTED);
  const BridgeSide bridge = run([&](Stage& stage) -> Task<void> {
    co_await exchange(stage);
    for (int i = 0; i < 3; ++i) {
      const bool updated = co_await stage.tls.update_key(SSL_KEY_UPDATE_NOT_REQUESTED);
      EXPECT_TRUE(updated);
      if (!survives_it) co_return co_await expect_polite_end(stage);
      co_await exchange(stage);
    }
    EXPECT_EQ(stage.tls.key_updates_received(), 0) << "nobody asked for our key";
    co_await close_in_order(stage);
  });
  survives_it ? expect_clean(bridge) : expect_ended_by_key_update(bridge);
}

TEST_P(KeyUpdates, ThatAskAreAnsweredWithOurs) {
  const bool survives_it = survives(SSL_KEY_UPDATE_REQUESTED);
  const BridgeSide bridge = run([&](Stage& stage) -> Task<void> {
    co_await exchange(stage);
    for (int i = 1; i <= 3; ++i) {
      const bool updated = co_await stage.tls.update_key(SSL_KEY_UPDATE_REQUESTED);
      EXPECT_TRUE(updated);
      if (!survives_it) co_return co_await expect_polite_end(stage);
      co_await exchange(stage);
      EXPECT_EQ(stage.tls.key_updates_received(), i);
    }
    co_await close_in_order(stage);
  });
  survives_it ? expect_clean(bridge) : expect_ended_by_key_update(bridge);
}

TEST_P(KeyUpdates, ComeManyInARowWithDataBetweenThemInOneWrite) {
  if (!survives(SSL_KEY_UPDATE_REQUESTED)) GTEST_SKIP() << "ends at the first KeyUpdate";
  const BridgeSide bridge = run([](Stage& stage) -> Task<void> {
    constexpr int kCount = 20;
    std::string expected;
    for (int i = 0; i < kCount; ++i) {
      const int type = i % 2 == 0 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED;
      EXPECT_EQ(SSL_key_update(stage.tls.ssl(), type), 1);
      const std::string text = "text under key " + std::to_string(i) + ";";
      SSL_write(stage.tls.ssl(), text.data(), static_cast<int>(text.size()));
      expected += text;
    }
    const bool sent = co_await stage.tls.flush();
    EXPECT_TRUE(sent);
    const std::string received = co_await stage.plain.read(expected.size());
    EXPECT_EQ(received, expected);
    co_await exchange(stage);
    EXPECT_EQ(stage.tls.key_updates_received(), kCount / 2);
    co_await close_in_order(stage);
  });
  expect_clean(bridge);
}

TEST_P(KeyUpdates, OfOursAreUnderstoodByThePeer) {
  const bool is_possible = !cell().sends_in_kernel() || capability().rekey;
  const BridgeSide bridge = run([&](Stage& stage) -> Task<void> {
    co_await exchange(stage);
    for (int i = 1; i <= 3; ++i) {
      const auto updated =
          co_await stage.bridge.connection->sender().update_key(*stage.bridge.scope);
      EXPECT_EQ(updated.has_value(), is_possible);
      EXPECT_TRUE(updated || updated.error().code == ktls::ErrorCode::kUnsupported);
      co_await exchange(stage);
      EXPECT_EQ(stage.tls.key_updates_received(), is_possible ? i : 0);
    }
    co_await close_in_order(stage);
  });
  expect_clean(bridge);
}

TEST_P(KeyUpdates, ThatAskThePeerAreAnsweredByIt) {
  const bool is_possible =
      (!cell().sends_in_kernel() && !cell().receives_in_kernel()) || capability().rekey;
  const BridgeSide bridge = run([&](Stage& stage) -> Task<void> {
    co_await exchange(stage);
    for (int i = 1; i <= 3; ++i) {
      const auto asked = co_await stage.bridge.connection->exchange_keys(*stage.bridge.scope);
      EXPECT_EQ(asked.has_value(), is_possible);
      EXPECT_TRUE(asked || asked.error().code == ktls::ErrorCode::kUnsupported);
      // The answer, then ours, so that the peer has taken the one and answers with the other.
      co_await answer(stage);
      co_await exchange(stage);
      EXPECT_EQ(stage.tls.key_updates_received(), is_possible ? i : 0);
    }
    co_await close_in_order(stage);
  });
  expect_clean(bridge);
  EXPECT_EQ(bridge.report.key_updates_received, is_possible ? 3U : 0U);
}

TEST_P(KeyUpdates, KeepDataOfThePlainSideWholeWhileItFlows) {
  if (!survives(SSL_KEY_UPDATE_REQUESTED)) GTEST_SKIP() << "ends at the first KeyUpdate";
  const BridgeSide bridge = run([](Stage& stage) -> Task<void> {
    constexpr std::size_t kPiece = 40'000;
    std::string expected;
    for (std::size_t i = 0; i < 8; ++i) {
      std::string text = pattern_text(kPiece, i);
      expected += text;
      const bool written = co_await stage.plain.write(std::move(text));
      const bool updated = co_await stage.tls.update_key(SSL_KEY_UPDATE_REQUESTED);
      EXPECT_TRUE(written && updated);
    }
    const std::string received = co_await stage.tls.read(expected.size());
    EXPECT_TRUE(received == expected);
    co_await close_in_order(stage);
  });
  expect_clean(bridge);
}

// We have sent close_notify and FIN: there is nothing left to send under a new key.
TEST_P(KeyUpdates, ThatAskAfterWeHaveClosedAreNotAnswered) {
  if (!survives(SSL_KEY_UPDATE_NOT_REQUESTED)) GTEST_SKIP() << "ends at the first KeyUpdate";
  const BridgeSide bridge = run([](Stage& stage) -> Task<void> {
    stage.plain.shut_write();
    static_cast<void>(co_await stage.tls.read_to_end());
    EXPECT_TRUE(stage.tls.saw_close_notify());
    const bool updated = co_await stage.tls.update_key(SSL_KEY_UPDATE_REQUESTED);
    EXPECT_TRUE(updated);
    co_await ask(stage);
    const bool closed = co_await stage.tls.close_notify();
    EXPECT_TRUE(closed);
    const std::string rest = co_await stage.plain.read_to_end();
    EXPECT_EQ(rest, "");
    EXPECT_TRUE(stage.plain.saw_fin());
  });
  expect_clean(bridge);
}

TEST_P(KeyUpdates, MayBeSplitOverRecordsButNotInterrupted) {
  if (!survives(SSL_KEY_UPDATE_NOT_REQUESTED)) GTEST_SKIP() << "ends at the first KeyUpdate";
  const BridgeSide split = run_crafted([](Stage& stage, CraftedEnd& peer) -> Task<void> {
    bool done = co_await peer.send(ContentType::kHandshake, bytes(24, 0));
    done = done && co_await peer.send(ContentType::kHandshake, bytes(0, 1, 0));
    EXPECT_TRUE(done);
    peer.change_write_key();
    co_await expect_question(stage, peer);
    done = co_await peer.send(ContentType::kHandshake, bytes(24, 0));
    done = done && co_await peer.send(ContentType::kAlert, bytes(1, 0));
    EXPECT_TRUE(done);
    static_cast<void>(co_await peer.read(1));
    EXPECT_TRUE(peer.was_told(AlertDescription::kUnexpectedMessage));
  });
  EXPECT_EQ(split.report.ending, Ending::kAlert) << split.report.detail;
}

// ---- tickets -----------------------------------------------------------------------------------

class Tickets : public CraftedTest {
 protected:
  // A connection that moves data both ways and ends in order.
  BridgeSide exchange_once(const Story& first = {}) {
    BridgeSide bridge = run([&](Stage& stage) -> Task<void> {
      if (first) co_await first(stage);
      co_await exchange(stage);
      co_await close_in_order(stage);
    });
    expect_clean(bridge);
    return bridge;
  }
};
INSTANTIATE_TEST_SUITE_P(Bridge, Tickets, testing::ValuesIn(cells_where([](const Cell& cell) {
                           return cell.is_client();
                         })),
                         cell_name);

TEST_P(Tickets, OfThePeerResumeTheNextConnection) {
  for (int i = 0; i < 3; ++i) {
    const BridgeSide bridge = exchange_once();
    EXPECT_EQ(bridge.resumed, i != 0);
    EXPECT_GT(context()->session_count(), 0U);
  }
}

// A ticket in TLS 1.3, whenever libssl's server is asked for one.
Task<void> send_ticket(Stage& stage) {
  EXPECT_EQ(SSL_new_session_ticket(stage.tls.ssl()), 1);
  EXPECT_EQ(SSL_do_handshake(stage.tls.ssl()), 1);
  const bool sent = co_await stage.tls.flush();
  EXPECT_TRUE(sent);
}

TEST_P(Tickets, MayComeAmongApplicationData) {
  if (!cell().is_tls13()) GTEST_SKIP() << "in TLS 1.2 tickets are part of the handshake";
  SSL_CTX_set_num_tickets(peer_context(), 0);
  const Story late = [&](Stage& stage) -> Task<void> {
    co_await exchange(stage);
    EXPECT_EQ(context()->session_count(), 0U);
    for (std::size_t i = 1; i <= 3; ++i) {
      co_await send_ticket(stage);
      co_await exchange(stage);
      EXPECT_EQ(context()->session_count(), i);
    }
  };
  EXPECT_FALSE(exchange_once(late).resumed);
  EXPECT_TRUE(exchange_once().resumed);
}

// More than one record of 512 bytes takes.
int add_to_ticket(SSL* ssl, void* /*unused*/) {
  const std::string text = pattern_text(2'000);
  return SSL_SESSION_set1_ticket_appdata(SSL_get0_session(ssl), text.data(), text.size());
}
SSL_TICKET_RETURN use_ticket(SSL* /*ssl*/, SSL_SESSION* /*session*/, const unsigned char* /*name*/,
                             std::size_t /*size*/, SSL_TICKET_STATUS status, void* /*unused*/) {
  const bool is_good = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW;
  return is_good ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_IGNORE_RENEW;
}

TEST_P(Tickets, MayBeSplitOverRecords) {
  if (!cell().is_tls13()) GTEST_SKIP() << "in TLS 1.2 tickets are part of the handshake";
  SSL_CTX_set_num_tickets(peer_context(), 0);
  SSL_CTX_set_session_ticket_cb(peer_context(), add_to_ticket, use_ticket, nullptr);
  const Story late = [&](Stage& stage) -> Task<void> {
    co_await exchange(stage);
    SSL_set_max_send_fragment(stage.tls.ssl(), 512);
    EXPECT_EQ(SSL_new_session_ticket(stage.tls.ssl()), 1);
    EXPECT_EQ(SSL_do_handshake(stage.tls.ssl()), 1);
    Bytes output = stage.tls.take_output();
    EXPECT_GT(output.size(), 2'000U);
    // Each part of it apart: the kernel has one record after the other.
    for (std::size_t at = 0; at < output.size();) {
      const std::size_t size =
          5U + (static_cast<std::size_t>(output[at + 3]) << 8U | output[at + 4]);
      const auto from = output.begin() + static_cast<std::ptrdiff_t>(at);
      Bytes record(from, from + static_cast<std::ptrdiff_t>(size));
      const bool sent = co_await stage.tls.send_bytes(std::move(record));
      EXPECT_TRUE(sent);
      co_await stage.sleep(std::chrono::milliseconds(1));
      at += size;
    }
    co_await exchange(stage);
    EXPECT_EQ(context()->session_count(), 1U);
  };
  EXPECT_FALSE(exchange_once(late).resumed);
  EXPECT_TRUE(exchange_once().resumed);
}

TEST_P(Tickets, MayComeSeveralInOneRecord) {
  if (!cell().is_tls13()) GTEST_SKIP() << "in TLS 1.2 tickets are part of the handshake";
  // NewSessionTicket: lifetime, age_add, nonce, a ticket of eight bytes, no extensions.
  Bytes tickets;
  for (std::uint8_t number = 1; number <= 2; ++number) {
    const Bytes ticket = {4,      0, 0, 22, 0, 0, 14, 16, 1, 2, 3,      4, 1,
                          number, 0, 8, 1,  2, 3, 4,  5,  6, 7, number, 0, 0};
    tickets.insert(tickets.end(), ticket.begin(), ticket.end());
  }
  const BridgeSide bridge = run_crafted([&](Stage& stage, CraftedEnd& peer) -> Task<void> {
    co_await expect_question(stage, peer);
    const std::size_t before = context()->session_count();
    const bool sent = co_await peer.send(ContentType::kHandshake, tickets);
    EXPECT_TRUE(sent);
    co_await expect_question(stage, peer);
    EXPECT_EQ(context()->session_count(), before + 2);
    const bool closed = co_await peer.send(ContentType::kAlert, bytes(1, 0));
    EXPECT_TRUE(closed);
    stage.plain.shut_write();
    static_cast<void>(co_await peer.read(1));
  });
  expect_clean(bridge);
}

TEST_P(Tickets, AreDroppedAfterTheRelease) {
  if (!cell().is_tls13()) GTEST_SKIP() << "in TLS 1.2 tickets are part of the handshake";
  SSL_CTX_set_num_tickets(peer_context(), 0);
  const Story late = [&](Stage& stage) -> Task<void> {
    co_await exchange(stage);
    stage.bridge.connection->release_handshake();
    co_await send_ticket(stage);
    co_await exchange(stage);
    EXPECT_EQ(context()->session_count(), 0U);
  };
  EXPECT_FALSE(exchange_once(late).resumed);
  EXPECT_FALSE(exchange_once().resumed);
}

TEST_P(Tickets, SurviveAKeyUpdateBeforeThem) {
  if (!cell().is_tls13()) GTEST_SKIP() << "no KeyUpdate here";
  if (cell().receives_in_kernel() && !capability().rekey) {
    GTEST_SKIP() << "ends at the first KeyUpdate";
  }
  SSL_CTX_set_num_tickets(peer_context(), 0);
  const Story late = [&](Stage& stage) -> Task<void> {
    const bool updated = co_await stage.tls.update_key(SSL_KEY_UPDATE_NOT_REQUESTED);
    EXPECT_TRUE(updated);
    co_await send_ticket(stage);
    co_await exchange(stage);
    EXPECT_EQ(context()->session_count(), 1U);
  };
  EXPECT_FALSE(exchange_once(late).resumed);
  EXPECT_TRUE(exchange_once().resumed);
}

// ---- alerts and renegotiation ------------------------------------------------------------------

class ControlRecords : public CraftedTest {
 protected:
  // Sends one record and expects that the bridge ends the connection with `alert`.
  void expect_refused(ContentType type, const Bytes& content, AlertDescription alert) {
    SCOPED_TRACE(tls::name_of(type));
    const BridgeSide bridge = run_crafted([&](Stage& stage, CraftedEnd& peer) -> Task<void> {
      const bool sent = co_await peer.send(type, content);
      EXPECT_TRUE(sent);
      static_cast<void>(co_await peer.read(1));
      EXPECT_TRUE(peer.was_told(alert)) << tls::name_of(alert);
      static_cast<void>(co_await stage.plain.read_to_end());
      EXPECT_TRUE(stage.plain.was_reset());
    });
    EXPECT_EQ(bridge.report.ending, Ending::kAlert) << bridge.report.detail;
  }
};
INSTANTIATE_TEST_SUITE_P(Bridge, ControlRecords, testing::ValuesIn(all_cells()), cell_name);

TEST_P(ControlRecords, MayComeInARowUpToALimit) {
  constexpr int kTicketsMax = 2;  // of a TLS 1.3 server, which count too
  const Bytes warning = {1, tls::code_of(AlertDescription::kUserCanceled)};
  const BridgeSide bridge = run_crafted([&](Stage& stage, CraftedEnd& peer) -> Task<void> {
    for (int i = 0; i < kInARow - kTicketsMax; ++i) {
      const bool sent = co_await peer.send(ContentType::kAlert, warning);
      EXPECT_TRUE(sent);
    }
    co_await expect_question(stage, peer);
    for (int i = 0; i < kInARow + 1; ++i) {
      const bool sent = co_await peer.send(ContentType::kAlert, warning);
      EXPECT_TRUE(sent);
    }
    static_cast<void>(co_await peer.read(1));
    EXPECT_TRUE(peer.was_told(AlertDescription::kUnexpectedMessage));
  });
  EXPECT_EQ(bridge.report.ending, Ending::kAlert) << bridge.report.detail;
  EXPECT_EQ(bridge.report.received, kQuestion.size());
}

TEST_P(ControlRecords, AtTheirLimitLeaveRoomForKeyUpdates) {
  if (!cell().is_tls13()) GTEST_SKIP() << "TLS 1.2 has no KeyUpdate";
  if (cell().receives_in_kernel() && !capability().rekey) {
    GTEST_SKIP() << "ends at the first KeyUpdate";
  }
  const Bytes warning = {1, tls::code_of(AlertDescription::kUserCanceled)};
  const BridgeSide bridge = run_crafted([&](Stage& stage, CraftedEnd& peer) -> Task<void> {
    co_await expect_question(stage, peer);
    for (int i = 0; i < kInARow; ++i) {
      const bool sent = co_await peer.send(ContentType::kAlert, warning);
      EXPECT_TRUE(sent);
    }
    const bool updated = co_await peer.send(ContentType::kHandshake, kKeyUpdate);
    EXPECT_TRUE(updated);
    peer.change_write_key();
    const bool sent = co_await peer.send(ContentType::kAlert, warning);
    EXPECT_TRUE(sent);
    static_cast<void>(co_await peer.read(1));
    EXPECT_TRUE(peer.was_told(AlertDescription::kUnexpectedMessage));
  });
  EXPECT_EQ(bridge.report.ending, Ending::kAlert) << bridge.report.detail;
  EXPECT_EQ(bridge.report.key_updates_received, 1U);
}

TEST_P(ControlRecords, ThatBringAMessageByteByByteAreCounted) {
  if (!cell().is_tls13() || !cell().is_client()) GTEST_SKIP() << "no message is so long here";
  const Bytes header = {4, 0, 1, 0};  // of a NewSessionTicket
  const BridgeSide bridge = run_crafted([&](Stage& stage, CraftedEnd& peer) -> Task<void> {
    co_await expect_question(stage, peer);
    for (std::size_t i = 0; i < kInARow + 1; ++i) {
      const bool sent =
          co_await peer.send(ContentType::kHandshake, bytes(i < header.size() ? header[i] : 0));
      EXPECT_TRUE(sent);
    }
    static_cast<void>(co_await peer.read(1));
    EXPECT_TRUE(peer.was_told(AlertDescription::kUnexpectedMessage));
  });
  EXPECT_EQ(bridge.report.ending, Ending::kAlert) << bridge.report.detail;
  EXPECT_NE(bridge.report.detail.find("in a row"), std::string::npos) << bridge.report.detail;
}

TEST_P(ControlRecords, WithAFatalAlertEndTheConnectionWithoutAnAnswer) {
  const BridgeSide bridge = run_crafted([&](Stage& stage, CraftedEnd& peer) -> Task<void> {
    const bool sent = co_await peer.send(ContentType::kAlert, bytes(2, 80));
    EXPECT_TRUE(sent);
    static_cast<void>(co_await peer.read(1));
    EXPECT_TRUE(peer.alerts().empty());
    EXPECT_TRUE(peer.saw_end());
    static_cast<void>(co_await stage.plain.read_to_end());
    EXPECT_TRUE(stage.plain.was_reset());
  });
  EXPECT_EQ(bridge.report.ending, Ending::kAlert);
  EXPECT_NE(bridge.report.detail.find("internal_error"), std::string::npos) << bridge.report.detail;
}

// RFC 8446 section 6: the level means nothing in TLS 1.3, so that this one is fatal there.
TEST_P(ControlRecords, WithAWarningOfAnErrorAreFatalInTls13Only) {
  const BridgeSide bridge = run_crafted([&](Stage& stage, CraftedEnd& peer) -> Task<void> {
    const bool sent = co_await peer.send(ContentType::kAlert, bytes(1, 112));
    EXPECT_TRUE(sent);
    if (cell().is_tls13()) {
      static_cast<void>(co_await peer.read(1));
      EXPECT_TRUE(peer.saw_end());
      co_return;
    }
    co_await expect_question(stage, peer);
    const bool closed = co_await peer.send(ContentType::kAlert, bytes(1, 0));
    EXPECT_TRUE(closed);
    stage.plain.shut_write();
    static_cast<void>(co_await peer.read(1));
    EXPECT_TRUE(peer.was_told(AlertDescription::kCloseNotify));
  });
  EXPECT_EQ(bridge.report.ending, cell().is_tls13() ? Ending::kAlert : Ending::kClean)
      << bridge.report.detail;
}

TEST_P(ControlRecords, ThatBelongNowhereAreRefusedByName) {
  expect_refused(ContentType::kAlert, {1}, AlertDescription::kDecodeError);
  expect_refused(ContentType::kAlert, {1, 0, 1, 0}, AlertDescription::kDecodeError);
  expect_refused(ContentType::kHandshake, {20, 0, 0, 0}, AlertDescription::kUnexpectedMessage);
  const Bytes other = cell().is_tls13() ? Bytes{0, 0, 0, 0} : kKeyUpdate;
  expect_refused(ContentType::kHandshake, other, AlertDescription::kUnexpectedMessage);
  expect_refused(ContentType::kChangeCipherSpec, {1}, AlertDescription::kUnexpectedMessage);
  constexpr auto kHeartbeat = static_cast<ContentType>(24);
  expect_refused(kHeartbeat, {1, 0, 0}, AlertDescription::kUnexpectedMessage);
}

// RFC 8446 section 5.4; RFC 5246 section 6.2.1 only says that nobody may send them.
TEST_P(ControlRecords, WithoutContentAreRefusedByName) {
  expect_refused(ContentType::kHandshake, {}, AlertDescription::kUnexpectedMessage);
  expect_refused(
      ContentType::kAlert, {},
      cell().is_tls13() ? AlertDescription::kUnexpectedMessage : AlertDescription::kDecodeError);
}

TEST_P(ControlRecords, OfKeyUpdateAreCheckedBeforeAKeyIsChanged) {
  if (!cell().is_tls13()) GTEST_SKIP() << "TLS 1.2 has no KeyUpdate";
  expect_refused(ContentType::kHandshake, {24, 0, 0, 1, 2}, AlertDescription::kIllegalParameter);
  expect_refused(ContentType::kHandshake, {24, 0, 0, 0}, AlertDescription::kDecodeError);
  Bytes twice = kKeyUpdateAsking;
  twice.insert(twice.end(), kKeyUpdate.begin(), kKeyUpdate.end());
  expect_refused(ContentType::kHandshake, twice, AlertDescription::kUnexpectedMessage);
}

TEST_P(ControlRecords, ThatAskToRenegotiateAreDeclined) {
  if (cell().is_tls13()) GTEST_SKIP() << "TLS 1.3 has no renegotiation";
  // HelloRequest, or the beginning and the end of a ClientHello.
  const Bytes request = cell().is_client() ? Bytes{0, 0, 0, 0} : Bytes{1, 0, 0, 3, 1, 2, 3};
  const BridgeSide bridge = run_crafted([&](Stage& stage, CraftedEnd& peer) -> Task<void> {
    for (std::size_t i = 1; i <= 4; ++i) {
      const bool sent = co_await peer.send(ContentType::kHandshake, request);
      EXPECT_TRUE(sent);
      static_cast<void>(co_await peer.read(1));
      EXPECT_EQ(peer.alerts().size(), i);
      EXPECT_EQ(peer.alerts().back(), bytes(1, 100));
      co_await expect_question(stage, peer);
    }
    for (int i = 0; i < kInARow + 1; ++i) {
      const bool sent = co_await peer.send(ContentType::kHandshake, request);
      EXPECT_TRUE(sent);
    }
    while (!peer.saw_end() && !peer.was_told(AlertDescription::kUnexpectedMessage)) {
      static_cast<void>(co_await peer.read(1));
    }
    EXPECT_TRUE(peer.was_told(AlertDescription::kUnexpectedMessage));
  });
  EXPECT_EQ(bridge.report.ending, Ending::kAlert) << bridge.report.detail;
  EXPECT_EQ(bridge.report.received, 4 * kQuestion.size());
}

TEST_P(ControlRecords, OfLibsslThatAskToRenegotiateAreDeclined) {
  if (cell().is_tls13()) GTEST_SKIP() << "TLS 1.3 has no renegotiation";
  static_cast<void>(run([](Stage& stage) -> Task<void> {
    co_await exchange(stage);
    EXPECT_EQ(SSL_renegotiate(stage.tls.ssl()), 1);
    SSL_do_handshake(stage.tls.ssl());
    const bool sent = co_await stage.tls.flush();
    EXPECT_TRUE(sent);
    // libssl takes no for an error: it asked because it had to.
    static_cast<void>(co_await stage.tls.read(1));
    EXPECT_EQ(stage.tls.alert(), SSL_AD_NO_RENEGOTIATION);
    EXPECT_EQ(stage.tls.alert_level(), SSL3_AL_WARNING);
  }));
}

TEST_P(ControlRecords, WithoutContentAreTakenAsPaddingIfTheyAreData) {
  const BridgeSide bridge = run_crafted([&](Stage& stage, CraftedEnd& peer) -> Task<void> {
    for (int i = 0; i < 10; ++i) {
      const bool sent = co_await peer.send_empty();
      EXPECT_TRUE(sent);
      if (i % 3 == 0) co_await expect_question(stage, peer);
    }
    co_await expect_question(stage, peer);
    const bool empty = co_await peer.send_empty();
    const bool closed = co_await peer.send(ContentType::kAlert, bytes(1, 0));
    EXPECT_TRUE(empty && closed);
    static_cast<void>(co_await stage.plain.read_to_end());
    EXPECT_TRUE(stage.plain.saw_fin());
    stage.plain.shut_write();
    static_cast<void>(co_await peer.read(1));
    EXPECT_TRUE(peer.was_told(AlertDescription::kCloseNotify));
  });
  expect_clean(bridge);
  EXPECT_EQ(bridge.report.received, 5 * kQuestion.size());
}

// What comes behind close_notify is nobody's.
TEST_P(ControlRecords, AfterCloseNotifyAreIgnored) {
  const BridgeSide bridge = run_crafted([&](Stage& stage, CraftedEnd& peer) -> Task<void> {
    Bytes wire =
        peer.seal(ContentType::kApplicationData, Bytes(kQuestion.begin(), kQuestion.end()));
    for (const Bytes& more : {peer.seal(ContentType::kAlert, bytes(1, 0)),
                              peer.seal(ContentType::kApplicationData, bytes('n', 'o'))}) {
      wire.insert(wire.end(), more.begin(), more.end());
    }
    const bool sent = co_await stage.tls.send_bytes(wire);
    EXPECT_TRUE(sent);
    const std::string question = co_await stage.plain.read_to_end();
    EXPECT_EQ(question, kQuestion);
    EXPECT_TRUE(stage.plain.saw_fin());
    stage.plain.shut_write();
    static_cast<void>(co_await peer.read(1));
    EXPECT_TRUE(peer.was_told(AlertDescription::kCloseNotify));
  });
  expect_clean(bridge);
}

}  // namespace
}  // namespace bridge::test
