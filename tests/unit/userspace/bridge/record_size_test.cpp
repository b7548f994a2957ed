// Records to a peer that takes small ones only, wherever sending runs.
#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "ktls/base/endian.h"
#include "tests/unit/userspace/bridge/bridge_fixture.h"

namespace bridge::test {
namespace {

class RecordSize : public BridgeTest {
 protected:
  // A kernel that knows one size of records only is not asked for another.
  [[nodiscard]] Plan intended(const tls::Negotiated& negotiated) const override {
    Plan intended = BridgeTest::intended(negotiated);
    if (intended.transmit.in_kernel()) {
      intended.transmit = plan(negotiated, capability(), OffloadPolicy::kAuto).transmit;
    }
    return intended;
  }
};
INSTANTIATE_TEST_SUITE_P(Bridge, RecordSize, testing::ValuesIn(all_cells()), cell_name);

// Body size of the largest application_data record of `wire`.
std::size_t largest_record(const Bytes& wire) {
  constexpr std::size_t kHeaderSize = 5;
  constexpr std::uint8_t kApplicationData = 23;
  std::size_t largest = 0;
  for (std::size_t at = 0; at + kHeaderSize <= wire.size();) {
    const std::size_t size = ktls::load_big_endian<std::uint16_t>(&wire[at + 3]);
    if (wire[at] == kApplicationData) largest = std::max(largest, size);
    at += kHeaderSize + size;
  }
  return largest;
}

TEST_P(RecordSize, IsWhatThePeerTakesAtMost) {
  // libssl 3.0 makes records of 512 bytes and more in the handshake; they must not be the largest.
  for (const unsigned limit : {600U, 1000U, 16000U}) {
    SCOPED_TRACE(limit);
    create({});
    if (IsSkipped()) return;
    tls::test::RecordSizeExtension extension{.sent = tls::test::wire_of_limit(limit),
                                             .received = {}};
    extension.add_to(peer_context());
    const std::string text = pattern_text(100'000);
    std::size_t largest = 0;
    const BridgeSide bridge = run([&](Stage& stage) -> Task<void> {
      const bool written = co_await stage.plain.write(text);
      EXPECT_TRUE(written);
      const std::string received = co_await stage.tls.read(text.size());
      EXPECT_TRUE(received == text) << received.size() << " bytes";
      largest = largest_record(stage.tls.wire());
    });
    // TLS 1.3 counts the inner type, and adds the tag alone; with AES-GCM, TLS 1.2 adds 8 bytes
    // of nonce and the tag.
    EXPECT_EQ(largest, limit + (cell().is_tls13() ? 16 : 24));
    ASSERT_TRUE(bridge.plan);
    EXPECT_EQ(bridge.plan->transmit.in_kernel(),
              cell().sends_in_kernel() && capability().payload_max_errno == 0);
  }
}

TEST_P(RecordSize, HoldsForTheSmallestThatAPeerMayTake) {
  tls::test::RecordSizeExtension extension{.sent = tls::test::wire_of_limit(64), .received = {}};
  extension.add_to(peer_context());
  const std::string text = pattern_text(10'000);
  run([&](Stage& stage) -> Task<void> {
    const bool greeted = co_await stage.plain.write("greeting");
    EXPECT_TRUE(greeted);
    const std::string greeting = co_await stage.tls.read(8);
    EXPECT_EQ(greeting, "greeting");
    const std::size_t before = stage.tls.wire().size();  // the tickets are libssl's
    const bool written = co_await stage.plain.write(text);
    EXPECT_TRUE(written);
    const std::string received = co_await stage.tls.read(text.size());
    EXPECT_TRUE(received == text) << received.size() << " bytes";
    const Bytes& wire = stage.tls.wire();
    const Bytes after(wire.begin() + static_cast<std::ptrdiff_t>(before), wire.end());
    EXPECT_EQ(largest_record(after), 64U + (cell().is_tls13() ? 16 : 24));
  });
}

}  // namespace
}  // namespace bridge::test
