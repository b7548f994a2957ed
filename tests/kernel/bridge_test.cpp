// The bridge on the kernel it runs on. Most of it is what tests/unit/userspace/bridge tests, linked
// here once more; this file adds what only a real kernel can show.
#include <cstdlib>
#include <fstream>
#include <string>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/userspace/bridge/bridge_fixture.h"
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
