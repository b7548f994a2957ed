// relay(): how each end of either side becomes an ending, and what the other side sees of it.
#include <array>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <string>

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "tests/unit/userspace/bridge/bridge_fixture.h"
#include "tests/unit/userspace/io/loop_fixture.h"
#include "userspace/bridge/closing.h"

namespace bridge::test {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kQuestion = "question";
constexpr std::string_view kAnswer = "answer";

class Relaying : public BridgeTest {};
INSTANTIATE_TEST_SUITE_P(Bridge, Relaying, testing::ValuesIn(all_cells()), cell_name);

// Costs time by its nature, so that few cells do.
class Idling : public BridgeTest {};
INSTANTIATE_TEST_SUITE_P(Bridge, Idling, testing::ValuesIn(cells_where([](const Cell& cell) {
                           return cell.is_tls13() && !cell.is_client();
                         })),
                         cell_name);

// Both directions work.
Task<void> exchange(Stage& stage) {
  const bool asked = co_await stage.tls.write(std::string(kQuestion));
  EXPECT_TRUE(asked);
  const std::string question = co_await stage.plain.read(kQuestion.size());
  EXPECT_EQ(question, kQuestion);
  const bool answered = co_await stage.plain.write(std::string(kAnswer));
  EXPECT_TRUE(answered);
  const std::string answer = co_await stage.tls.read(kAnswer.size());
  EXPECT_EQ(answer, kAnswer);
}

// Neither side was told that all is well.
Task<void> expect_plain_reset(Stage& stage) {
  static_cast<void>(co_await stage.plain.read_to_end());
  EXPECT_TRUE(stage.plain.was_reset()) << (stage.plain.saw_fin() ? "a FIN came" : "nothing came");
}

TEST_P(Relaying, CountsWhatItMovesAndEndsClean) {
  const BridgeSide bridge = run([](Stage& stage) -> Task<void> {
    co_await exchange(stage);
    co_await exchange(stage);
    co_await close_in_order(stage);
  });
  EXPECT_EQ(bridge.report.ending, Ending::kClean) << bridge.report.detail;
  EXPECT_EQ(bridge.report.received, 2 * kQuestion.size());
  EXPECT_EQ(bridge.report.sent, 2 * kAnswer.size());
  EXPECT_EQ(bridge.report.reason, ktls::Reason::kNone);
  EXPECT_EQ(bridge.report.detail, "");
}

TEST_P(Relaying, LetsThePlainSideGoOnAfterCloseNotifyOfThePeer) {
  const BridgeSide bridge = run([](Stage& stage) -> Task<void> {
    const bool closed = co_await stage.tls.close_notify();
    EXPECT_TRUE(closed);
    const std::string nothing = co_await stage.plain.read_to_end();
    EXPECT_EQ(nothing, "");
    EXPECT_TRUE(stage.plain.saw_fin());
    for (int i = 0; i < 3; ++i) {
      const bool written = co_await stage.plain.write(std::string(kAnswer));
      EXPECT_TRUE(written);
      const std::string answer = co_await stage.tls.read(kAnswer.size());
      EXPECT_EQ(answer, kAnswer);
    }
    stage.plain.shut_write();
    static_cast<void>(co_await stage.tls.read_to_end());
    EXPECT_TRUE(stage.tls.saw_close_notify());
    EXPECT_TRUE(stage.tls.saw_fin());
  });
  EXPECT_EQ(bridge.report.ending, Ending::kClean) << bridge.report.detail;
}

TEST_P(Relaying, LetsThePeerGoOnAfterTheEndOfThePlainSide) {
  const BridgeSide bridge = run([](Stage& stage) -> Task<void> {
    stage.plain.shut_write();
    static_cast<void>(co_await stage.tls.read_to_end());
    EXPECT_TRUE(stage.tls.saw_close_notify());
    EXPECT_TRUE(stage.tls.saw_fin());
    for (int i = 0; i < 3; ++i) {
      const bool written = co_await stage.tls.write(std::string(kQuestion));
      EXPECT_TRUE(written);
      const std::string question = co_await stage.plain.read(kQuestion.size());
      EXPECT_EQ(question, kQuestion);
    }
    const bool closed = co_await stage.tls.close_notify();
    EXPECT_TRUE(closed);
    static_cast<void>(co_await stage.plain.read_to_end());
    EXPECT_TRUE(stage.plain.saw_fin());
  });
  EXPECT_EQ(bridge.report.ending, Ending::kClean) << bridge.report.detail;
}

TEST_P(Relaying, ReportsABareFinAsTruncationAndResetsThePlainSide) {
  const BridgeSide bridge = run([](Stage& stage) -> Task<void> {
    co_await exchange(stage);
    stage.tls.shut_write();
    co_await expect_plain_reset(stage);
  });
  EXPECT_EQ(bridge.report.ending, Ending::kTruncated) << bridge.report.detail;
  EXPECT_EQ(bridge.report.received, kQuestion.size());
}

TEST_P(Relaying, ReportsAFinWithinARecordAsTruncation) {
  const BridgeSide bridge = run([](Stage& stage) -> Task<void> {
    co_await exchange(stage);
    SSL_write(stage.tls.ssl(), kQuestion.data(), static_cast<int>(kQuestion.size()));
    Bytes record = stage.tls.take_output();
    record.resize(record.size() - 3);
    const bool sent = co_await stage.tls.send_bytes(record);
    EXPECT_TRUE(sent);
    stage.tls.shut_write();
    co_await expect_plain_reset(stage);
  });
  EXPECT_EQ(bridge.report.ending, Ending::kTruncated) << bridge.report.detail;
  EXPECT_EQ(bridge.report.received, kQuestion.size());
}

TEST_P(Relaying, ReportsAResetOfThePeerAndResetsThePlainSide) {
  const BridgeSide bridge = run([](Stage& stage) -> Task<void> {
    co_await exchange(stage);
    stage.tls.reset();
    co_await expect_plain_reset(stage);
  });
  EXPECT_EQ(bridge.report.ending, Ending::kReset) << bridge.report.detail;
}

TEST_P(Relaying, ReportsAResetOfThePlainSideAndSendsNoCloseNotify) {
  const BridgeSide bridge = run([](Stage& stage) -> Task<void> {
    co_await exchange(stage);
    stage.plain.reset();
    static_cast<void>(co_await stage.tls.read_to_end());
    EXPECT_FALSE(stage.tls.saw_close_notify());
    EXPECT_TRUE(stage.tls.was_reset());
  });
  EXPECT_EQ(bridge.report.ending, Ending::kReset) << bridge.report.detail;
}

// A send that waits is told of the reset, and then reading ends as if all had come.
TEST_P(Relaying, ReportsAResetOfThePeerThatMeetsASend) {
  const BridgeSide bridge = run([](Stage& stage) -> Task<void> {
    const int small = 4096;
    ::setsockopt(stage.bridge.tls_fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    ::setsockopt(stage.tls.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    co_await exchange(stage);
    const bool answered = co_await stage.plain.write(pattern_text(500'000));
    EXPECT_TRUE(answered);
    co_await stage.sleep(milliseconds(20));
    const bool asked = co_await stage.tls.write(pattern_text(30'000));
    EXPECT_TRUE(asked);
    stage.tls.reset();
    co_await expect_plain_reset(stage);
  });
  EXPECT_EQ(bridge.report.ending, Ending::kReset) << bridge.report.detail;
}

milliseconds processor_time() {
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return std::chrono::duration_cast<milliseconds>(std::chrono::seconds(used.tv_sec) +
                                                  std::chrono::nanoseconds(used.tv_nsec));
}

// Linux 6.1 calls a socket readable that has part of a record, and then has nothing to give.
TEST_P(Idling, SpendsNoProcessorOnHalfARecord) {
  constexpr milliseconds kPause(500);
  const BridgeSide bridge = run([&](Stage& stage) -> Task<void> {
    SSL_write(stage.tls.ssl(), kQuestion.data(), static_cast<int>(kQuestion.size()));
    const Bytes record = stage.tls.take_output();
    const auto middle = record.begin() + static_cast<std::ptrdiff_t>(record.size() / 2);
    bool sent = co_await stage.tls.send_bytes(Bytes(record.begin(), middle));
    const milliseconds before = processor_time();
    co_await stage.sleep(kPause);
    EXPECT_LT(processor_time() - before, kPause / 4);
    sent = sent && co_await stage.tls.send_bytes(Bytes(middle, record.end()));
    EXPECT_TRUE(sent);
    const std::string question = co_await stage.plain.read(kQuestion.size());
    EXPECT_EQ(question, kQuestion);
    co_await close_in_order(stage);
  });
  EXPECT_EQ(bridge.report.ending, Ending::kClean) << bridge.report.detail;
}

TEST_P(Idling, EndsAtItsTimeoutWhichDataThatMovesExtends) {
  // An emulated machine may take some hundred milliseconds for one exchange.
  const milliseconds pause =
      cell().path == Path::kUserspace ? milliseconds(100) : milliseconds(300);
  constexpr int kPauses = 6;
  BridgeSide bridge = side();
  bridge.idle_timeout = 5 * pause;
  run(bridge, [&](Stage& stage) -> Task<void> {
    for (int i = 0; i < kPauses; ++i) {
      co_await stage.sleep(pause);
      co_await exchange(stage);
    }
    static_cast<void>(co_await stage.tls.read_to_end());
    EXPECT_FALSE(stage.tls.saw_close_notify());
    co_await expect_plain_reset(stage);
  });
  EXPECT_EQ(bridge.report.ending, Ending::kTimeout) << bridge.report.detail;
  EXPECT_EQ(bridge.report.received, kPauses * kQuestion.size());
}

TEST_P(Relaying, EndsWhenItIsCancelled) {
  const BridgeSide bridge = run([](Stage& stage) -> Task<void> {
    co_await exchange(stage);
    stage.bridge.scope->cancel();
    static_cast<void>(co_await stage.tls.read_to_end());
    EXPECT_FALSE(stage.tls.saw_close_notify());
    co_await expect_plain_reset(stage);
  });
  EXPECT_EQ(bridge.report.ending, Ending::kCancelled) << bridge.report.detail;
}

TEST_P(Relaying, AnswersARecordThatDoesNotOpenWithBadRecordMac) {
  const BridgeSide bridge = run([](Stage& stage) -> Task<void> {
    co_await exchange(stage);
    const bool sent = co_await stage.tls.write_damaged(kQuestion);
    EXPECT_TRUE(sent);
    static_cast<void>(co_await stage.tls.read_to_end());
    EXPECT_EQ(stage.tls.alert(), SSL_AD_BAD_RECORD_MAC);
    EXPECT_EQ(stage.tls.alert_level(), SSL3_AL_FATAL);
    co_await expect_plain_reset(stage);
  });
  EXPECT_EQ(bridge.report.ending, Ending::kAlert) << bridge.report.detail;
  EXPECT_EQ(bridge.report.received, kQuestion.size());
}

TEST_P(Relaying, PassesOnWhatCameBeforeARecordThatDoesNotOpen) {
  const BridgeSide bridge = run([](Stage& stage) -> Task<void> {
    SSL_write(stage.tls.ssl(), kQuestion.data(), static_cast<int>(kQuestion.size()));
    Bytes records = stage.tls.take_output();
    SSL_write(stage.tls.ssl(), kAnswer.data(), static_cast<int>(kAnswer.size()));
    Bytes broken = stage.tls.take_output();
    broken.back() ^= 1U;
    records.insert(records.end(), broken.begin(), broken.end());
    const bool sent = co_await stage.tls.send_bytes(records);
    EXPECT_TRUE(sent);
    const std::string question = co_await stage.plain.read(kQuestion.size());
    EXPECT_EQ(question, kQuestion);
    static_cast<void>(co_await stage.tls.read_to_end());
    EXPECT_EQ(stage.tls.alert(), SSL_AD_BAD_RECORD_MAC);
    co_await expect_plain_reset(stage);
  });
  EXPECT_EQ(bridge.report.ending, Ending::kAlert) << bridge.report.detail;
}

TEST_P(Relaying, AnswersPlaintextAfterTheHandshakeWithAnAlert) {
  const BridgeSide bridge = run([](Stage& stage) -> Task<void> {
    const std::string_view text = "GET / HTTP/1.1\r\nHost: server.test\r\n\r\n";
    const bool sent = co_await stage.tls.send_bytes(Bytes(text.begin(), text.end()));
    EXPECT_TRUE(sent);
    static_cast<void>(co_await stage.tls.read_to_end());
    EXPECT_TRUE(stage.tls.alert());
    EXPECT_EQ(stage.tls.alert_level(), SSL3_AL_FATAL);
    co_await expect_plain_reset(stage);
  });
  EXPECT_EQ(bridge.report.ending, Ending::kAlert) << bridge.report.detail;
  EXPECT_EQ(bridge.report.received, 0U);
}

TEST_P(Relaying, AnswersAHeaderThatIsNoneWithAnAlert) {
  // Too long, too short for its protection, of another major version.
  const Bytes headers[] = {{23, 3, 3, 0xff, 0xff}, {23, 3, 3, 0, 1}, {23, 9, 9, 0, 100}};
  for (const Bytes& header : headers) {
    SCOPED_TRACE(testing::PrintToString(header));
    const BridgeSide bridge = run([&](Stage& stage) -> Task<void> {
      co_await exchange(stage);
      Bytes record = header;
      record.resize(header.size() + 16);
      const bool sent = co_await stage.tls.send_bytes(record);
      EXPECT_TRUE(sent);
      static_cast<void>(co_await stage.tls.read_to_end());
      EXPECT_TRUE(stage.tls.alert());
      EXPECT_TRUE(header[3] != 0xff || stage.tls.alert() == SSL_AD_RECORD_OVERFLOW);
      co_await expect_plain_reset(stage);
    });
    EXPECT_EQ(bridge.report.ending, Ending::kAlert) << bridge.report.detail;
    EXPECT_EQ(bridge.report.received, kQuestion.size());
  }
}

TEST_P(Relaying, ReportsAFatalAlertOfThePeerByName) {
  const BridgeSide bridge = run([](Stage& stage) -> Task<void> {
    co_await exchange(stage);
    const bool broken = co_await stage.tls.object();
    EXPECT_TRUE(broken);
    co_await expect_plain_reset(stage);
  });
  EXPECT_EQ(bridge.report.ending, Ending::kAlert) << bridge.report.detail;
  EXPECT_NE(bridge.report.detail.find("bad_record_mac"), std::string::npos) << bridge.report.detail;
}

TEST_P(Relaying, EndsCleanWhenThePeerClosesAllAtOnce) {
  const BridgeSide bridge = run([](Stage& stage) -> Task<void> {
    co_await exchange(stage);
    // As curl does: close_notify and close, without waiting for ours.
    const bool closed = co_await stage.tls.close_notify();
    EXPECT_TRUE(closed);
    stage.tls.shut_write();
    static_cast<void>(co_await stage.plain.read_to_end());
    EXPECT_TRUE(stage.plain.saw_fin());
    stage.plain.close();
    const bool over = co_await stage.bridge_is_over();
    EXPECT_TRUE(over);
  });
  EXPECT_EQ(bridge.report.ending, Ending::kClean) << bridge.report.detail;
}

TEST_P(Relaying, LosesNothingWhenBothSidesCloseAtOnce) {
  const BridgeSide bridge = run([](Stage& stage) -> Task<void> {
    const bool asked = co_await stage.tls.write(std::string(kQuestion));
    const bool closed = co_await stage.tls.close_notify();
    const bool answered = co_await stage.plain.write(std::string(kAnswer));
    EXPECT_TRUE(asked && closed && answered);
    stage.plain.shut_write();
    const std::string question = co_await stage.plain.read_to_end();
    EXPECT_EQ(question, kQuestion);
    const std::string answer = co_await stage.tls.read_to_end();
    EXPECT_EQ(answer, kAnswer);
    EXPECT_TRUE(stage.tls.saw_close_notify());
  });
  EXPECT_EQ(bridge.report.ending, Ending::kClean) << bridge.report.detail;
}

// What a web server does that will not have the whole upload.
TEST_P(Relaying, DeliversTheAnswerOfAPlainSideThatClosesBeforeItHasReadAll) {
  const std::string answer = pattern_text(20'000);  // has left when it was written
  const BridgeSide bridge = run([&](Stage& stage) -> Task<void> {
    const bool answered = co_await stage.plain.write(answer);
    const bool asked = co_await stage.tls.write(pattern_text(100'000, 1));
    EXPECT_TRUE(answered && asked);
    co_await stage.sleep(milliseconds(50));  // so that something unread makes a reset of it
    stage.plain.close();
    // Whatever of it fails: the answer is there.
    static_cast<void>(co_await stage.tls.write(pattern_text(100'000, 2)));
    const std::string received = co_await stage.tls.read_to_end();
    EXPECT_EQ(received.size(), answer.size());
    EXPECT_TRUE(received == answer);
    EXPECT_FALSE(stage.tls.saw_close_notify());
    EXPECT_TRUE(stage.tls.was_reset());
  });
  EXPECT_EQ(bridge.report.ending, Ending::kReset) << bridge.report.detail;
}

// Without the time that a peer of others has to hear its last words.
TEST_P(Relaying, ResetsAPeerThatSendsMoreWhenTheProgramHasClosedItsSocket) {
  const std::string answer = pattern_text(20'000);
  BridgeSide bridge = side();
  bridge.is_socket_of_program = true;
  run(bridge, [&](Stage& stage) -> Task<void> {
    co_await exchange(stage);
    const bool answered = co_await stage.plain.write(answer);
    EXPECT_TRUE(answered);
    stage.plain.close();
    const std::string received = co_await stage.tls.read_to_end();
    EXPECT_TRUE(received == answer);
    EXPECT_TRUE(stage.tls.saw_close_notify());
    EXPECT_TRUE(stage.tls.saw_fin());
    // Who only closes leaves the other direction open as far as anybody can tell.
    EXPECT_FALSE(is_gone(stage.tls.fd()));
    const bool asked = co_await stage.tls.write(std::string(kQuestion));
    EXPECT_TRUE(asked);
    const bool over = co_await stage.bridge_is_over();
    EXPECT_TRUE(over);
    EXPECT_TRUE(is_gone(stage.tls.fd()));
  });
  EXPECT_EQ(bridge.report.ending, Ending::kReset) << bridge.report.detail;
  EXPECT_EQ(bridge.report.received, kQuestion.size());
}

// It ended in order, so that only a program that writes can notice.
TEST_P(Relaying, FailsTheWritesOfAProgramWhosePeerIsGone) {
  BridgeSide bridge = side();
  bridge.is_socket_of_program = true;
  run(bridge, [](Stage& stage) -> Task<void> {
    co_await exchange(stage);
    const bool closed = co_await stage.tls.close_notify();
    EXPECT_TRUE(closed);
    const std::string nothing = co_await stage.plain.read_to_end();
    EXPECT_EQ(nothing, "");
    stage.tls.reset();
    bool is_written = true;
    while (is_written && !stage.scope.failure()) {
      is_written = co_await stage.plain.write(std::string(kAnswer));
      co_await stage.sleep(milliseconds(1));
    }
    EXPECT_FALSE(is_written);
    const bool over = co_await stage.bridge_is_over();
    EXPECT_TRUE(over);
    // The end that it has read is still what it reads.
    char byte = 0;
    EXPECT_EQ(::recv(stage.plain.fd(), &byte, 1, 0), 0);
  });
  EXPECT_EQ(bridge.report.ending, Ending::kReset) << bridge.report.detail;
}

TEST(RefusingMore, FailsWritesAndLeavesWhatIsToBeRead) {
  SocketPair plain = unix_pair();
  const int ours = plain.ours.get();
  const int theirs = plain.theirs.get();
  ASSERT_EQ(::send(ours, "last", 4, 0), 4);
  ASSERT_EQ(::send(theirs, "unread", 6, 0), 6);
  refuse_more(ours);
  EXPECT_EQ(::send(theirs, "x", 1, MSG_NOSIGNAL), -1);
  EXPECT_EQ(errno, EPIPE);
  plain.ours.reset();
  std::array<char, 8> text{};
  EXPECT_EQ(::recv(theirs, text.data(), text.size(), 0), 4);
  EXPECT_EQ(::recv(theirs, text.data(), text.size(), 0), 0);
}

TEST(RefusingMore, IsNothingToOtherSockets) {
  const SocketPair plain = tcp_pair();
  refuse_more(plain.ours.get());
  EXPECT_EQ(::send(plain.theirs.get(), "more", 4, 0), 4);
  std::array<char, 8> text{};
  EXPECT_EQ(::recv(plain.ours.get(), text.data(), text.size(), 0), 4);
}

// The same in the other direction: a TLS server that answers, says so, and closes.
TEST_P(Relaying, DeliversTheAnswerOfATlsPeerThatClosesBeforeItHasReadAll) {
  const std::string answer = pattern_text(20'000);  // has left when it was written
  const BridgeSide bridge = run([&](Stage& stage) -> Task<void> {
    const bool asked = co_await stage.plain.write(pattern_text(100'000, 1));
    const bool answered = co_await stage.tls.write(answer);
    const bool closed = co_await stage.tls.close_notify();
    EXPECT_TRUE(asked && answered && closed);
    co_await stage.sleep(milliseconds(50));
    stage.tls.close();
    static_cast<void>(co_await stage.plain.write(pattern_text(100'000, 2)));
    const std::string received = co_await stage.plain.read_to_end();
    EXPECT_EQ(received.size(), answer.size());
    EXPECT_TRUE(received == answer);
    EXPECT_TRUE(stage.plain.saw_fin());
  });
  EXPECT_EQ(bridge.report.ending, Ending::kReset) << bridge.report.detail;
}

TEST_P(Relaying, DeliversItsAlertToAPeerThatGoesOnSending) {
  const BridgeSide bridge = run([this](Stage& stage) -> Task<void> {
    SSL_write(stage.tls.ssl(), kQuestion.data(), static_cast<int>(kQuestion.size()));
    Bytes record = stage.tls.take_output();
    record.back() ^= 1U;
    record.resize(record.size() + 100'000);
    const bool sent = co_await stage.tls.send_bytes(std::move(record));
    EXPECT_TRUE(sent);
    co_await stage.sleep(milliseconds(50));
    const bool still_sent = co_await stage.tls.send_bytes(Bytes(1000));
    // The kernel reads nothing after a record that did not open: closing is a reset then.
    EXPECT_TRUE(still_sent || cell().receives_in_kernel()) << "the bridge reset the connection";
    static_cast<void>(co_await stage.tls.read_to_end());
    EXPECT_EQ(stage.tls.alert(), SSL_AD_BAD_RECORD_MAC);
    EXPECT_TRUE(stage.tls.saw_fin());
  });
  EXPECT_EQ(bridge.report.ending, Ending::kAlert) << bridge.report.detail;
}

}  // namespace
}  // namespace bridge::test
