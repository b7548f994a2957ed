// Mixed traffic for as long as is asked for: data both ways, KeyUpdates of both sides, tickets,
// alerts, and every kind of end, on many connections at once. KTLSB_MIXED_SECONDS and
// KTLSB_MIXED_SEED choose how long and which.
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/unit/userspace/bridge/bridge_fixture.h"

namespace bridge::test {
namespace {

constexpr std::size_t kTogether = 8;
constexpr int kActsMax = 12;
constexpr std::size_t kDataMax = 60'000;
constexpr double kSecondsDefault = 1;
// What an allocator may keep more of than it did at first.
constexpr long kGrowthKiB = 8'192;
// Both ends of a pipe for each pump, which a busier batch than those before may add to the pool.
constexpr std::ptrdiff_t kGrowthDescriptors = 4 * kTogether;

enum class End : std::uint8_t { kPeerCloses, kPlainCloses, kAlert, kBareFin, kReset };

double seconds_asked_for() {
  const char* const text = std::getenv("KTLSB_MIXED_SECONDS");
  return text == nullptr ? kSecondsDefault : std::strtod(text, nullptr);
}

unsigned seed_asked_for() {
  const char* const text = std::getenv("KTLSB_MIXED_SEED");
  return text == nullptr ? std::random_device()()
                         : static_cast<unsigned>(std::strtoul(text, nullptr, 10));
}

long resident_kib() {
  std::ifstream file("/proc/self/statm");
  long total = 0;
  long resident = 0;
  file >> total >> resident;
  return resident * (::sysconf(_SC_PAGESIZE) / 1024);
}

std::ptrdiff_t open_descriptors() {
  const std::filesystem::directory_iterator entries("/proc/self/fd");
  return std::distance(begin(entries), end(entries));
}

using Random = std::mt19937;

std::size_t below(Random& random, std::size_t bound) {
  return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random);
}

Task<void> move_data(StreamEnd& from, StreamEnd& to, std::size_t size, std::size_t seed) {
  const std::string text = pattern_text(size, seed);
  const bool written = co_await from.write(text);
  EXPECT_TRUE(written);
  const std::string received = co_await to.read(size);
  EXPECT_TRUE(received == text) << received.size() << " of " << size;
}

class MixedTraffic : public BridgeTest {
 protected:
  [[nodiscard]] bool changes_keys() const {
    const bool is_in_kernel = cell().receives_in_kernel() || cell().sends_in_kernel();
    return cell().is_tls13() && (!is_in_kernel || capability().rekey);
  }
  // One act, of those that leave the connection open.
  [[nodiscard]] Task<void> act(Stage& stage, Random& random);
  [[nodiscard]] Task<void> change_a_key(Stage& stage, Random& random);
  [[nodiscard]] static Task<void> end(Stage& stage, End way);
  // A connection with its acts, as `seed` has it.
  [[nodiscard]] Story story_of(unsigned seed, End way) {
    return [this, seed, way](Stage& stage) -> Task<void> {
      Random random(seed);
      co_await move_data(stage.plain, stage.tls, 1, 0);  // the bridge is there from here on
      const std::size_t acts = 1 + below(random, kActsMax);
      for (std::size_t i = 0; i < acts; ++i) co_await act(stage, random);
      co_await end(stage, way);
    };
  }
  void run_batch(Random& random);

  std::size_t connections_ = 0;
  std::uint64_t updates_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Bridge, MixedTraffic, testing::ValuesIn(all_cells()), cell_name);

Task<void> MixedTraffic::change_a_key(Stage& stage, Random& random) {
  if (below(random, 2) == 0) {
    const auto updated = co_await stage.bridge.connection->sender().update_key(*stage.bridge.scope);
    EXPECT_TRUE(updated);
    co_return;
  }
  const bool asks = below(random, 2) == 0;
  const bool updated =
      co_await stage.tls.update_key(asks ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
  EXPECT_TRUE(updated);
}

Task<void> MixedTraffic::act(Stage& stage, Random& random) {
  const std::size_t size = 1 + below(random, kDataMax);
  const std::size_t seed = random();
  switch (below(random, 4)) {
    case 0:
      co_return co_await move_data(stage.tls, stage.plain, size, seed);
    case 1:
      co_return co_await move_data(stage.plain, stage.tls, size, seed);
    case 2:
      if (changes_keys()) co_await change_a_key(stage, random);
      break;
    default:
      if (cell().is_client() && cell().is_tls13()) {
        EXPECT_EQ(SSL_new_session_ticket(stage.tls.ssl()), 1);
        EXPECT_EQ(SSL_do_handshake(stage.tls.ssl()), 1);
        const bool sent = co_await stage.tls.flush();
        EXPECT_TRUE(sent);
      }
  }
  // Both ways, so that what was changed is used, and whoever acts next finds nothing under way.
  co_await move_data(stage.tls, stage.plain, 100, seed);
  co_await move_data(stage.plain, stage.tls, 100, seed);
}

Task<void> MixedTraffic::end(Stage& stage, End way) {
  switch (way) {
    case End::kPeerCloses:
      co_return co_await close_in_order(stage);
    case End::kPlainCloses: {
      stage.plain.shut_write();
      static_cast<void>(co_await stage.tls.read_to_end());
      EXPECT_TRUE(stage.tls.saw_close_notify());
      const bool closed = co_await stage.tls.close_notify();
      EXPECT_TRUE(closed);
      break;
    }
    case End::kAlert: {
      const bool objected = co_await stage.tls.object();
      EXPECT_TRUE(objected);
      break;
    }
    case End::kBareFin:
      stage.tls.shut_write();
      break;
    case End::kReset:
      stage.tls.reset();
      break;
  }
  const bool over = co_await stage.bridge_is_over();
  EXPECT_TRUE(over);
}

Ending expected_of(End way) {
  switch (way) {
    case End::kAlert:
      return Ending::kAlert;
    case End::kBareFin:
      return Ending::kTruncated;
    case End::kReset:
      return Ending::kReset;
    default:
      return Ending::kClean;
  }
}

void MixedTraffic::run_batch(Random& random) {
  std::vector<BridgeSide> sides(kTogether, side());
  std::vector<Story> stories;
  std::vector<End> ends;
  for (BridgeSide& each : sides) {
    each.keys.peer_updates_a_second = 1'000;
    ends.push_back(static_cast<End>(below(random, 5)));
    stories.push_back(story_of(static_cast<unsigned>(random()), ends.back()));
  }
  run_together(sides, stories);
  for (std::size_t i = 0; i < sides.size(); ++i) {
    EXPECT_FALSE(sides[i].error) << sides[i].error->message();
    EXPECT_EQ(sides[i].report.ending, expected_of(ends[i])) << sides[i].report.detail;
    updates_ += sides[i].report.key_updates_received + sides[i].report.key_updates_sent;
  }
  connections_ += sides.size();
}

TEST_P(MixedTraffic, LosesNothingAndDoesNotGrow) {
  // Unless told otherwise, a client of libssl keeps 20,480 sessions, with their certificates.
  SSL_CTX_sess_set_cache_size(peer_context(), kTogether);
  const unsigned seed = seed_asked_for();
  const std::chrono::duration<double> length(seconds_asked_for());
  SCOPED_TRACE("KTLSB_MIXED_SEED=" + std::to_string(seed));
  Random random(seed);
  const auto started = std::chrono::steady_clock::now();
  const auto passed = [&] { return std::chrono::steady_clock::now() - started; };
  do run_batch(random);
  while (passed() < length / 4 && !HasFailure());
  const long resident = resident_kib();
  const std::ptrdiff_t descriptors = open_descriptors();
  while (passed() < length && !HasFailure()) run_batch(random);
  EXPECT_LE(resident_kib(), resident + kGrowthKiB);
  EXPECT_LE(open_descriptors(), descriptors + kGrowthDescriptors);
  std::cout << connections_ << " connections, " << updates_ << " KeyUpdates, " << resident
            << " KiB resident and " << descriptors << " descriptors after a quarter of the time, "
            << resident_kib() << " and " << open_descriptors() << " in the end\n";
}

}  // namespace
}  // namespace bridge::test
