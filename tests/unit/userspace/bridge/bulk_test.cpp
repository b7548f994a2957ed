// Much data, in many shapes: whatever is written on one side is read on the other.
#include <algorithm>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "tests/unit/userspace/bridge/bridge_fixture.h"
#include "userspace/handshake/openssl/libssl_name.h"
#include "userspace/io/when_both.h"

namespace bridge::test {
namespace {

class Bulk : public BridgeTest {
 protected:
  // Both directions at once, `size` bytes each in writes of `piece`.
  BridgeSide exchange(std::size_t size, std::size_t piece);
};
INSTANTIATE_TEST_SUITE_P(Bridge, Bulk, testing::ValuesIn(all_cells()), cell_name);

// Writes the pattern without waiting for anybody.
Task<bool> write_pattern(StreamEnd& end, std::size_t size, std::size_t piece, std::size_t seed) {
  for (std::size_t position = 0; position < size; position += piece) {
    const std::size_t now = std::min(piece, size - position);
    const bool written = co_await end.write(pattern_text(now, seed + position));
    if (!written) co_return false;
  }
  co_return true;
}

Task<bool> read_pattern(StreamEnd& end, std::size_t size, std::size_t seed) {
  constexpr std::size_t kPiece = 65536;
  for (std::size_t position = 0; position < size; position += kPiece) {
    const std::size_t now = std::min(kPiece, size - position);
    const std::string text = co_await end.read(now);
    if (text != pattern_text(now, seed + position)) {
      ADD_FAILURE() << "the bytes from " << position
                    << " on are not those that were sent: " << text.size() << " of " << now;
      co_return false;
    }
  }
  co_return true;
}

// A task of its own, since only tasks can be awaited together.
Task<bool> both(Task<bool> one, Task<bool> other) {
  const auto [first, second] = co_await when_both(std::move(one), std::move(other));
  co_return first&& second;
}

BridgeSide Bulk::exchange(std::size_t size, std::size_t piece) {
  constexpr std::size_t kOtherSeed = 12345;
  BridgeSide bridge = run([&](Stage& stage) -> Task<void> {
    const bool moved = co_await both(
        both(write_pattern(stage.tls, size, piece, 0), read_pattern(stage.plain, size, 0)),
        both(write_pattern(stage.plain, size, piece, kOtherSeed),
             read_pattern(stage.tls, size, kOtherSeed)));
    EXPECT_TRUE(moved);
    co_await close_in_order(stage);
  });
  EXPECT_EQ(bridge.report.ending, Ending::kClean) << bridge.report.detail;
  EXPECT_EQ(bridge.report.received, size);
  EXPECT_EQ(bridge.report.sent, size);
  return bridge;
}

TEST_P(Bulk, MovesMebibytesBothWaysAtOnce) {
  // The mixed placements are the same code at work, and an emulated machine takes its time.
  const bool is_pure =
      !cell().is_client() && cell().receives_in_kernel() == cell().sends_in_kernel();
  const BridgeSide bridge = exchange(std::size_t{is_pure ? 4U : 1U} << 20U, 100'000);
  EXPECT_EQ(bridge.receive_remark, ktls::Reason::kNone);
  EXPECT_EQ(bridge.transmit_remark, ktls::Reason::kNone);
}

TEST_P(Bulk, MovesManySmallSegments) {
  static_cast<void>(exchange(50'000, 100));
}

TEST_P(Bulk, MovesRecordsAndSegmentsOfOneByte) {
  static_cast<void>(exchange(700, 1));
}

TEST_P(Bulk, MovesPiecesAroundTheSizeOfARecord) {
  for (const std::size_t piece : {16'383, 16'384, 16'385, 65'537}) {
    static_cast<void>(exchange(2 * piece + 1, piece));
    if (HasFailure()) return;
  }
}

TEST_P(Bulk, CopiesWhereNoPipeIsToBeHad) {
  create({.pipes_max = 0});
  const BridgeSide bridge = exchange(300'000, 20'000);
  const auto remark = [](bool in_kernel) {
    return in_kernel ? ktls::Reason::kPipeLimit : ktls::Reason::kNone;
  };
  EXPECT_EQ(bridge.receive_remark, remark(cell().receives_in_kernel()));
  EXPECT_EQ(bridge.transmit_remark, remark(cell().sends_in_kernel()));
}

TEST_P(Bulk, SharesTheOnlyPipe) {
  create({.pipes_max = 1});
  static_cast<void>(exchange(400'000, 20'000));
}

TEST_P(Bulk, EndsWithAnAlertWhereNoPipeIsToBeHadEither) {
  create({.pipes_max = 0});
  const BridgeSide bridge = run([](Stage& stage) -> Task<void> {
    const bool sent = co_await stage.tls.write_damaged("text");
    EXPECT_TRUE(sent);
    static_cast<void>(co_await stage.tls.read_to_end());
    EXPECT_EQ(stage.tls.alert(), SSL_AD_BAD_RECORD_MAC);
  });
  EXPECT_EQ(bridge.report.ending, Ending::kAlert) << bridge.report.detail;
}

TEST_P(Bulk, WaitsForASlowReaderWithoutLoss) {
  constexpr std::size_t kSize = std::size_t{512} << 10U;
  const BridgeSide bridge = run([&](Stage& stage) -> Task<void> {
    const auto slow = [&](StreamEnd& end, std::size_t seed) -> Task<bool> {
      for (std::size_t position = 0; position < kSize; position += kSize / 8) {
        co_await stage.sleep(std::chrono::milliseconds(2));
        const bool read = co_await read_pattern(end, kSize / 8, seed + position);
        if (!read) co_return false;
      }
      co_return true;
    };
    bool moved = co_await both(write_pattern(stage.tls, kSize, 30'000, 0), slow(stage.plain, 0));
    EXPECT_TRUE(moved);
    moved = co_await both(write_pattern(stage.plain, kSize, 30'000, 7), slow(stage.tls, 7));
    EXPECT_TRUE(moved);
    co_await close_in_order(stage);
  });
  EXPECT_EQ(bridge.report.ending, Ending::kClean) << bridge.report.detail;
}

TEST_P(Bulk, WorksWithEverySuite) {
  for (const tls::CipherSuite* suite : tls::handshake_suites()) {
    if (!suite->serves(cell().version)) continue;
    if (suite->name.find("_RSA_") != std::string_view::npos) continue;  // certificates are ECDSA
    SCOPED_TRACE(suite->name);
    const std::string name = tls::libssl_name_of(*suite);
    if (cell().is_tls13()) {
      SSL_CTX_set_ciphersuites(peer_context(), name.c_str());
    } else {
      SSL_CTX_set_cipher_list(peer_context(), name.c_str());
    }
    static_cast<void>(exchange(50'000, 9'000));
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace bridge::test
