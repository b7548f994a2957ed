// The bridge on the kernel it runs on. Most of it is what tests/unit/userspace/bridge tests, linked
// here once more; this file adds what only a real kernel can show.
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/userspace/bridge/bridge_fixture.h"
#include "tests/unit/userspace/bridge/crafted_end.h"
#include "userspace/bridge/fixed_content.h"

namespace bridge::test {
namespace {

// An emulated machine cannot try every cut in a minute. KTLSB_CUT_STRIDE=1 tries all.
const int stride_is_set = ::setenv("KTLSB_CUT_STRIDE", "61", 0);

// A counter of /proc/net/tls_stat.
long statistic(const std::string& wanted) {
  std::ifstream file("/proc/net/tls_stat");
  std::string name;
  for (long count = 0; file >> name >> count;) {
    if (name == wanted) return count;
  }
  return -1;
}

// linux/tls.h, which only ktls/ includes.
constexpr int kSolTls = 282;
constexpr int kTlsTxZerocopyRo = 3;
constexpr int kTlsRxExpectNoPad = 4;

// The value of an option of SOL_TLS; -1 where the socket has it not.
int option_of(int fd, int name) {
  int value = 0;
  socklen_t size = sizeof value;
  return ::getsockopt(fd, kSolTls, name, &value, &size) == 0 ? value : -1;
}

class RunningKernel : public BridgeTest {};
INSTANTIATE_TEST_SUITE_P(Bridge, RunningKernel, testing::ValuesIn(all_cells()), cell_name);

TEST_P(RunningKernel, CountsTheDirectionsThatItWasGiven) {
  const long received = statistic("TlsRxSw");
  const long sent = statistic("TlsTxSw");
  if (received < 0) GTEST_SKIP() << "this kernel counts nothing";
  const BridgeSide bridge = run([&](Stage& stage) -> Task<void> {
    const bool asked = co_await stage.tls.write("question");
    EXPECT_TRUE(asked);
    const std::string question = co_await stage.plain.read(8);
    EXPECT_EQ(question, "question");
    EXPECT_EQ(statistic("TlsRxSw") - received, cell().receives_in_kernel() ? 1 : 0);
    EXPECT_EQ(statistic("TlsTxSw") - sent, cell().sends_in_kernel() ? 1 : 0);
  });
  ASSERT_TRUE(bridge.plan);
  EXPECT_EQ(bridge.plan->receive.in_kernel(), cell().receives_in_kernel());
  EXPECT_EQ(bridge.plan->transmit.in_kernel(), cell().sends_in_kernel());
}

// No card encrypts here, so that the kernel copies all the same; the bytes are what counts, and
// that the option is on and off again when it should be, also over a change of keys.
TEST_P(RunningKernel, SendsAFileThatCannotChangeWithoutACopyWhereACardWouldTakeIt) {
  const std::string text = pattern_text(300'000);
  const ktls::UniqueFd file(::memfd_create("file", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::write(file.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  ASSERT_EQ(::fcntl(file.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK), 0);
  const FileRange range{.fd = file.get(),
                        .offset = 0,
                        .size = text.size(),
                        .content = content_of(fixed_by(file.get()))};
  const bool has_option = cell().sends_in_kernel() && capability().zerocopy_transmit;
  // Closing with something unread would be a reset.
  if (cell().is_client()) SSL_CTX_set_num_tickets(peer_context(), 0);
  BridgeSide bridge = side();
  bridge.instead_of_relay = [&](Connection& connection, Scope& scope, int) -> Task<void> {
    auto sent = co_await connection.sender().send_file(scope, range);
    EXPECT_TRUE(sent) << sent.error().message();
    EXPECT_EQ(option_of(connection.fd(), kTlsTxZerocopyRo) == 1, has_option);
    if (connection.sender().can_update_key()) {
      const auto updated = co_await connection.sender().update_key(scope);
      EXPECT_TRUE(updated) << updated.error().message();
      EXPECT_EQ(option_of(connection.fd(), kTlsTxZerocopyRo) == 1, has_option);
    }
    FileRange as_any_file = range;
    as_any_file.content = Content::kMayChange;
    sent = co_await connection.sender().send_file(scope, as_any_file);
    EXPECT_TRUE(sent) << sent.error().message();
    EXPECT_NE(option_of(connection.fd(), kTlsTxZerocopyRo), 1);
  };
  run(bridge, [&](Stage& stage) -> Task<void> {
    const std::string received = co_await stage.tls.read(2 * text.size());
    EXPECT_TRUE(received == text + text) << received.size();
  });
}

// Receiving in the kernel, without a pipe.
class CopyingReceiver : public CraftedTest {
 protected:
  void SetUp() override { create({.pipes_max = 0}); }

  // Sends `text` in `records` records with so much padding each, and expects it on the plain side.
  static Task<void> send_padded(Stage& stage, CraftedEnd& peer, std::string_view text, int records,
                                std::size_t padding) {
    const Bytes content(text.begin(), text.end());
    for (int i = 0; i < records; ++i) {
      Bytes wire = peer.seal(tls::ContentType::kApplicationData, content, padding);
      const bool sent = co_await stage.tls.send_bytes(std::move(wire));
      EXPECT_TRUE(sent);
      const std::string received = co_await stage.plain.read(text.size());
      EXPECT_TRUE(received == text) << received.size();
    }
  }
  // 1 or 0, or -1 where this kernel is not asked to expect no padding.
  [[nodiscard]] int expected(bool on) const {
    if (!cell().is_tls13()) return -1;
    return on && capability().expect_no_padding ? 1 : 0;
  }
  [[nodiscard]] static int option(const Stage& stage) {
    return option_of(stage.bridge.tls_fd, kTlsRxExpectNoPad);
  }
};
INSTANTIATE_TEST_SUITE_P(Bridge, CopyingReceiver,
                         testing::ValuesIn(cells_where([](const Cell& cell) {
                           return cell.path == Path::kKernel;
                         })),
                         cell_name);

constexpr int kReceivesPerLook = 16;

TEST_P(CopyingReceiver, ExpectsNoPaddingUntilThePeerPads) {
  const std::string text = pattern_text(9000);
  static_cast<void>(run_crafted([&](Stage& stage, CraftedEnd& peer) -> Task<void> {
    const std::size_t padding = cell().is_tls13() ? 1 : 0;
    co_await send_padded(stage, peer, text, 4 * kReceivesPerLook, 0);
    EXPECT_EQ(option(stage), expected(true));
    const long violations = statistic("TlsRxNoPadViolation");
    co_await send_padded(stage, peer, text, 3 * kReceivesPerLook, padding);
    EXPECT_EQ(option(stage), expected(false));
    // The kernel decrypted twice what came before the next look, and nothing after it.
    const long twice = statistic("TlsRxNoPadViolation") - violations;
    EXPECT_EQ(twice != 0, expected(true) == 1) << twice;
    EXPECT_LE(twice, 2 * kReceivesPerLook);
    co_await send_padded(stage, peer, text, 8 * kReceivesPerLook, 0);
    EXPECT_EQ(option(stage), expected(true));
    co_await send_padded(stage, peer, text, 3 * kReceivesPerLook, 7000 * padding);
    EXPECT_EQ(option(stage), expected(false));
  }));
}

// Records that lie close together, padded or not and with warnings between
// them, come out as they went in, whatever was written behind them.
TEST_P(CopyingReceiver, ReceivesWhatWasSentUnderPaddingOfEverySize) {
  const std::string text = pattern_text(16'384);
  const Bytes warning = {1, tls::code_of(tls::AlertDescription::kUserCanceled)};
  static_cast<void>(run_crafted([&](Stage& stage, CraftedEnd& peer) -> Task<void> {
    for (std::size_t round = 0; round < 40; ++round) {
      Bytes wire;
      std::string sent_text;
      for (std::size_t i = 0; i < 12; ++i) {
        const std::size_t size = (round * 12 + i) * 769 % 16'000 + 1;
        const std::size_t padding = cell().is_tls13() && i % 3 == 1 ? 16'384 - size : 0;
        const Bytes content(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(size));
        sent_text.append(content.begin(), content.end());
        Bytes record = peer.seal(tls::ContentType::kApplicationData, content, padding);
        wire.insert(wire.end(), record.begin(), record.end());
        if (i % 5 != 2) continue;
        record = peer.seal(tls::ContentType::kAlert, warning);
        wire.insert(wire.end(), record.begin(), record.end());
      }
      const bool sent = co_await stage.tls.send_bytes(std::move(wire));
      EXPECT_TRUE(sent);
      const std::string received = co_await stage.plain.read(sent_text.size());
      EXPECT_TRUE(received == sent_text) << round;
    }
  }));
}

TEST_P(CopyingReceiver, ExpectsNoPaddingOverAChangeOfKeys) {
  if (!cell().is_tls13() || !capability().rekey) GTEST_SKIP() << "keys cannot be changed here";
  const Bytes key_update = {24, 0, 0, 1, 0};
  static_cast<void>(run_crafted([&](Stage& stage, CraftedEnd& peer) -> Task<void> {
    for (int i = 0; i < 4; ++i) {
      co_await send_padded(stage, peer, "text", kReceivesPerLook, 0);
      const bool sent = co_await peer.send(tls::ContentType::kHandshake, key_update);
      EXPECT_TRUE(sent);
      peer.change_write_key();
      co_await send_padded(stage, peer, "text", kReceivesPerLook, 0);
      EXPECT_EQ(option(stage), expected(true));
    }
    co_await send_padded(stage, peer, "text", 3 * kReceivesPerLook, 1);
    EXPECT_EQ(option(stage), expected(false));
  }));
}

// What plan() says with the default policy, from what the probe found.
class DefaultPolicy : public BridgeTest {
 protected:
  [[nodiscard]] Plan intended(const tls::Negotiated& negotiated) const override {
    return plan(negotiated, capability(), OffloadPolicy::kAuto);
  }
};
INSTANTIATE_TEST_SUITE_P(Bridge, DefaultPolicy, testing::ValuesIn(cells_where([](const Cell& cell) {
                           return cell.path == Path::kKernel;
                         })),
                         cell_name);

TEST_P(DefaultPolicy, SendsInTheKernelAndReceivesThereWhereKeysCanChange) {
  const BridgeSide bridge = run([](Stage& stage) -> Task<void> {
    const bool asked = co_await stage.tls.write("question");
    EXPECT_TRUE(asked);
    const std::string question = co_await stage.plain.read(8);
    EXPECT_EQ(question, "question");
  });
  ASSERT_TRUE(bridge.plan);
  EXPECT_TRUE(bridge.plan->transmit.in_kernel());
  EXPECT_EQ(bridge.plan->receive.in_kernel(), !cell().is_tls13() || capability().rekey);
}

}  // namespace
}  // namespace bridge::test
