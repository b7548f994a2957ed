// The bridge on the kernel it runs on. Most of it is what tests/unit/userspace/bridge tests, linked
// here once more; this file adds what only a real kernel can show.
#include <cstdlib>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/userspace/bridge/bridge_fixture.h"

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
