#include "tests/unit/userspace/bridge/bridge_fixture.h"

#include <array>
#include <cstdlib>
#include <utility>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "tests/unit/userspace/io/loop_fixture.h"
#include "userspace/bridge/establish.h"

namespace bridge::test {
namespace {

using std::chrono::milliseconds;
using tls::ProtocolVersion;
using tls::Role;

constexpr std::array kPaths = {Path::kUserspace, Path::kKernel, Path::kTransmitInKernel,
                               Path::kReceiveInKernel};
constexpr std::array kPathNames = {"Userspace", "Kernel", "TransmitInKernel", "ReceiveInKernel"};

constexpr std::size_t kProvidedMax = 16;  // userspace/io/provided_buffers.h

void send_at_once(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

DirectionPlan placed(bool in_kernel) {
  if (in_kernel) return {.placement = ktls::Placement::kKernel, .reason = ktls::Reason::kNone};
  return {.placement = ktls::Placement::kUserspace, .reason = ktls::Reason::kPolicyNever};
}

}  // namespace

std::string name_of(const Cell& cell) {
  return std::string(name_of(cell.loop)) + (cell.is_client() ? "Client" : "Server") +
         (cell.is_tls13() ? "Tls13" : "Tls12") + kPathNames.at(static_cast<std::size_t>(cell.path));
}

std::vector<Cell> all_cells() {
  std::vector<Cell> cells;
  for (const LoopKind loop : {LoopKind::kIoUring, LoopKind::kEpoll}) {
    for (const Role role : {Role::kServer, Role::kClient}) {
      for (const auto version : {ProtocolVersion::kTls12, ProtocolVersion::kTls13}) {
        for (const Path path : kPaths) cells.push_back({loop, role, version, path});
      }
    }
  }
  if (capability().attach_errno != 0) {
    bool has_kernel_cell = false;
    std::erase_if(cells, [&](const Cell& cell) {
      if (cell.path == Path::kUserspace) return false;
      const bool is_first = cell.path == Path::kKernel && cell.loop == LoopKind::kEpoll;
      return !is_first || std::exchange(has_kernel_cell, true);
    });
  } else if (std::getenv("KTLSB_ALL_CELLS") == nullptr) {
    std::erase_if(cells, [](const Cell& cell) {
      const bool is_even = ((cell.loop == LoopKind::kEpoll) != cell.is_client()) != cell.is_tls13();
      return cell.path == Path::kUserspace || (cell.path != Path::kKernel && !is_even);
    });
  }
  return cells;
}

const tls::ServerOptions& served() {
  static const tls::ServerOptions options =
      tls::test::pki().serve({.dns_names = {"server.test", "*.server.test"}});
  return options;
}

const ktls::Capability& capability() {
  static const ktls::Capability found = ktls::probe(tls::handshake_kernel_ciphers());
  return found;
}

Task<bool> Stage::bridge_is_over() {
  while (!bridge.over) {
    const auto slept = co_await loop.sleep(scope, milliseconds(1));
    if (!slept) co_return false;
  }
  co_return true;
}

Task<void> Stage::sleep(milliseconds duration) {
  static_cast<void>(co_await loop.sleep(scope, duration));
}

Task<void> close_in_order(Stage& stage) {
  const bool closed = co_await stage.tls.close_notify();
  EXPECT_TRUE(closed);
  const std::string rest = co_await stage.plain.read_to_end();
  EXPECT_EQ(rest, "");
  EXPECT_TRUE(stage.plain.saw_fin());
  stage.plain.shut_write();
  const std::string last = co_await stage.tls.read_to_end();
  EXPECT_EQ(last, "");
  EXPECT_TRUE(stage.tls.saw_close_notify());
  EXPECT_TRUE(stage.tls.saw_fin());
}

void BridgeTest::create(const LoopOptions& options) {
  if (cell().path != Path::kUserspace && capability().attach_errno != 0) {
    GTEST_SKIP() << "no kernel path here: "
                 << ktls::text_of(ktls::reason_of_attach(capability().attach_errno)).sentence;
  }
  loop_.reset();
  auto created = Loop::create(cell().loop, options);
  if (!created) {
    GTEST_SKIP() << "no " << name_of(cell().loop) << " here: " << created.error().message();
  }
  loop_ = std::move(*created);
  peer_context_ =
      cell().is_client() ? tls::test::libssl_server(served()) : tls::test::libssl_client();
  const int version = static_cast<int>(cell().version);
  SSL_CTX_set_min_proto_version(peer_context(), version);
  SSL_CTX_set_max_proto_version(peer_context(), version);
  context_ = cell().is_client() ? tls::test::make_client(tls::test::pki().trust())
                                : tls::test::make_server(served());
}

BridgeSide BridgeTest::side() const {
  BridgeSide side;
  side.context = context_;
  return side;
}

Plan BridgeTest::intended(const tls::Negotiated& negotiated) const {
  if (cell().path == Path::kUserspace) {
    return plan(negotiated, capability(), OffloadPolicy::kNever);
  }
  return {.receive = placed(cell().receives_in_kernel()),
          .transmit = placed(cell().sends_in_kernel()),
          .rekeys = capability().rekey,
          .expect_no_padding = capability().expect_no_padding,
          .zerocopy_transmit = capability().zerocopy_transmit};
}

void BridgeTest::one_is_done() {
  if (--unfinished_ == 0) loop().stop();
}

BridgeSide BridgeTest::run(const Story& story) {
  BridgeSide made = side();
  run(made, story);
  return made;
}

void BridgeTest::run(BridgeSide& side, const Story& story, bool shaken) {
  begin(side, story, shaken);
  run_to_the_end();
}

void BridgeTest::run_together(std::vector<BridgeSide>& sides, const std::vector<Story>& stories) {
  for (std::size_t i = 0; i < sides.size(); ++i) begin(sides[i], stories.at(i), true);
  run_to_the_end();
}

void BridgeTest::begin(BridgeSide& side, const Story& story, bool shaken) {
  SocketPair tls = tcp_pair();
  SocketPair plain = side.is_socket_of_program ? unix_pair() : tcp_pair();
  for (const auto* pair : {&tls, &plain}) {
    send_at_once(pair->ours.get());
    send_at_once(pair->theirs.get());
  }
  unfinished_ += 2;
  side.tls_fd = tls.ours.get();
  loop().spawn(bridge(side, std::move(tls.ours), std::move(plain.ours)));
  loop().spawn(tell(story, side, std::move(tls.theirs), std::move(plain.theirs), shaken));
}

void BridgeTest::run_to_the_end() {
  const auto outcome = loop().run();
  EXPECT_TRUE(outcome) << outcome.error().message();
  EXPECT_EQ(unfinished_, 0);
  // Whatever happened to the connection, nothing of it stays; io_uring keeps what it has provided
  // to the kernel.
  EXPECT_LE(loop().buffers().leased(), cell().loop == LoopKind::kIoUring ? kProvidedMax : 0U);
  EXPECT_EQ(loop().pipes().leased(), 0U);
}

Task<void> BridgeTest::bridge(BridgeSide& side, ktls::UniqueFd tls, ktls::UniqueFd plain) {
  co_await establish_and_relay(side, tls.get(), plain.get());
  side.tls_fd = -1;
  tls.reset();
  plain.reset();
  side.over = true;
  one_is_done();
}

Task<void> BridgeTest::establish_and_relay(BridgeSide& side, int tls_fd, int plain_fd) {
  Scope handshake_scope(loop(), side.handshake_timeout);
  auto handshake = tls::Handshake::create(side.context, cell().role,
                                          cell().is_client() ? side.peer_name : std::string());
  EXPECT_TRUE(handshake);
  if (!handshake) co_return;
  auto finished = co_await establish(loop(), handshake_scope, tls_fd, **handshake);
  if (!finished) {
    side.error = finished.error();
    co_return;
  }
  const Plan plan = intended(finished->negotiated);
  auto adopted =
      Connection::adopt(loop(), tls_fd, std::move(finished->negotiated),
                        std::move(finished->post_handshake), plan, side.keys, *side.syscalls);
  if (!adopted) {
    side.error = adopted.error();
    co_return;
  }
  Connection& connection = **adopted;
  Scope scope(loop(), kPatience);
  side.plan = connection.plan();
  side.resumed = connection.facts().resumed;
  side.scope = &scope;
  side.connection = &connection;
  if (side.instead_of_relay) {
    co_await side.instead_of_relay(connection, scope, plain_fd);
  } else {
    const PlainSide plain{
        .to = plain_fd, .from = plain_fd, .is_socket_of_program = side.is_socket_of_program};
    side.report = co_await relay(loop(), scope, connection, plain, side.idle_timeout);
  }
  side.receive_remark = connection.receiver().remark();
  side.transmit_remark = connection.sender().remark();
  side.scope = nullptr;
  side.connection = nullptr;
}

Task<void> BridgeTest::tell(const Story& story, BridgeSide& side, ktls::UniqueFd tls,
                            ktls::UniqueFd plain, bool shaken) {
  {
    Scope scope(loop(), kPatience);
    const Role role = cell().is_client() ? Role::kServer : Role::kClient;
    TlsEnd tls_end(loop(), scope, std::move(tls), peer_context(), role, side.peer_name,
                   session_.get());
    PlainEnd plain_end(loop(), scope, std::move(plain));
    Stage stage{.loop = loop(), .scope = scope, .bridge = side, .tls = tls_end, .plain = plain_end};
    bool ready = true;
    if (shaken) ready = co_await tls_end.shake_hands();
    EXPECT_TRUE(ready) << "the peer's handshake failed";
    if (ready) co_await story(stage);
    EXPECT_FALSE(scope.expired()) << "something that was awaited did not come";
  }
  one_is_done();
}

}  // namespace bridge::test
