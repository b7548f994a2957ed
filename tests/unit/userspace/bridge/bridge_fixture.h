// BridgeTest: a bridge between a TLS peer of libssl and a plaintext one, all three on one loop, for
// every loop, role, version and placement that this machine has.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ktls/core/capability.h"
#include "tests/unit/userspace/bridge/ends.h"
#include "tests/unit/userspace/handshake/peers.h"
#include "userspace/bridge/connection.h"
#include "userspace/bridge/plan.h"
#include "userspace/bridge/relay.h"
#include "userspace/io/loop.h"

namespace bridge::test {

// Where the two directions of the bridge run.
enum class Path : std::uint8_t { kUserspace, kKernel, kTransmitInKernel, kReceiveInKernel };

struct Cell {
  LoopKind loop;
  tls::Role role;  // the bridge's
  tls::ProtocolVersion version;
  Path path;

  [[nodiscard]] bool receives_in_kernel() const {
    return path == Path::kKernel || path == Path::kReceiveInKernel;
  }
  [[nodiscard]] bool sends_in_kernel() const {
    return path == Path::kKernel || path == Path::kTransmitInKernel;
  }
  [[nodiscard]] bool is_tls13() const { return version == tls::ProtocolVersion::kTls13; }
  [[nodiscard]] bool is_client() const { return role == tls::Role::kClient; }
};
[[nodiscard]] std::string name_of(const Cell& cell);
// NOLINTNEXTLINE(readability-identifier-naming): GoogleTest looks for this name
inline void PrintTo(const Cell& cell, std::ostream* out) {
  *out << name_of(cell);
}

// The cells of this machine. Where the kernel does no TLS, userspace in all its cells, and one cell
// for the kernel that stands for all of them: its tests skip with the reason. Where it does, both
// directions in the kernel in all their cells, and the others in some that have each pair of loop,
// role and version; KTLSB_ALL_CELLS=1 asks for every one.
[[nodiscard]] std::vector<Cell> all_cells();
template <class Keep>
[[nodiscard]] std::vector<Cell> cells_where(Keep keep) {
  std::vector<Cell> cells = all_cells();
  std::erase_if(cells, [&](const Cell& cell) { return !keep(cell); });
  return cells;
}

// A certificate of the test authority for server.test and all names below it.
[[nodiscard]] const tls::ServerOptions& served();

// What this machine's kernel offers, found once.
[[nodiscard]] const ktls::Capability& capability();

// The bridge's side of one connection: how it is made, and what came of it.
struct BridgeSide {
  std::shared_ptr<tls::Context> context;
  std::string peer_name = "server.test";
  std::chrono::milliseconds handshake_timeout{30'000};
  std::chrono::milliseconds idle_timeout{30'000};
  KeyPolicy keys;
  ktls::Syscalls* syscalls = &ktls::system_calls();
  bool is_socket_of_program = false;  // PlainSide; then it is a unix stream
  // Instead of relay(), where set.
  std::function<Task<void>(Connection&, Scope&, int plain_fd)> instead_of_relay;

  Scope* scope = nullptr;            // while relay() runs
  Connection* connection = nullptr;  // likewise
  int tls_fd = -1;                   // from the start to the end
  bool over = false;

  std::optional<ktls::Error> error;  // of the handshake or of adopt()
  std::optional<Plan> plan;
  bool resumed = false;
  RelayReport report;
  ktls::Reason receive_remark = ktls::Reason::kNone;
  ktls::Reason transmit_remark = ktls::Reason::kNone;
};

// What a test's story plays with. The ends are closed when it ends.
struct Stage {
  Loop& loop;
  Scope& scope;
  BridgeSide& bridge;
  TlsEnd& tls;
  PlainEnd& plain;

  // Until the bridge's side is over. False: it is not, for as long as the scope lasts.
  [[nodiscard]] Task<bool> bridge_is_over();
  [[nodiscard]] Task<void> sleep(std::chrono::milliseconds duration);
};

using Story = std::function<Task<void>(Stage&)>;

// Both sides end in order, the TLS peer first, and nothing came that was not read before.
[[nodiscard]] Task<void> close_in_order(Stage& stage);

class BridgeTest : public testing::TestWithParam<Cell> {
 protected:
  // Far more than any test takes, also under sanitizers on a busy machine.
  static constexpr std::chrono::milliseconds kPatience{60'000};

  void SetUp() override { create({}); }
  // A loop with these options, and new contexts for both peers.
  void create(const LoopOptions& options);

  [[nodiscard]] const Cell& cell() const { return GetParam(); }
  [[nodiscard]] Loop& loop() { return *loop_; }
  [[nodiscard]] SSL_CTX* peer_context() { return peer_context_.get(); }
  [[nodiscard]] const std::shared_ptr<tls::Context>& context() const { return context_; }

  // A side that is the cell's.
  [[nodiscard]] BridgeSide side() const;
  // The plan of the cell's path, whatever plan() would say.
  [[nodiscard]] virtual Plan intended(const tls::Negotiated& negotiated) const;

  // Runs the bridge and `story` to their ends. `shaken`: the TLS handshake is done before the story
  // begins.
  void run(BridgeSide& side, const Story& story, bool shaken = true);
  BridgeSide run(const Story& story);
  // Many at once: story i plays with side i.
  void run_together(std::vector<BridgeSide>& sides, const std::vector<Story>& stories);

  // The session that the next TLS peer in the client role offers.
  tls::SessionPtr session_;

 private:
  [[nodiscard]] Task<void> bridge(BridgeSide& side, ktls::UniqueFd tls, ktls::UniqueFd plain);
  [[nodiscard]] Task<void> establish_and_relay(BridgeSide& side, int tls_fd, int plain_fd);
  [[nodiscard]] Task<void> tell(const Story& story, BridgeSide& side, ktls::UniqueFd tls,
                                ktls::UniqueFd plain, bool shaken);
  void begin(BridgeSide& side, const Story& story, bool shaken);
  void run_to_the_end();
  void one_is_done();

  std::unique_ptr<Loop> loop_;
  tls::SslCtxPtr peer_context_;
  std::shared_ptr<tls::Context> context_;
  int unfinished_ = 0;
};

[[nodiscard]] inline std::string cell_name(const testing::TestParamInfo<Cell>& info) {
  return name_of(info.param);
}

}  // namespace bridge::test
