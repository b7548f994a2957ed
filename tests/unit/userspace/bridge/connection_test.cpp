// adopt(): what the kernel refuses goes on in userspace with its reason, and loses nothing on the
// way there and back. The kernel is FakeKernel; the peer is libssl, and the socket a real one.
#include <array>
#include <cerrno>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "ktls/base/endian.h"
#include "ktls/core/socket.h"
#include "tests/support/every_errno.h"
#include "tests/support/fake_kernel.h"
#include "tests/unit/userspace/bridge/bridge_fixture.h"
#include "tests/unit/userspace/bridge/kernel_behind.h"

namespace bridge::test {
namespace {

using ktls::Direction;
using ktls::FakeCall;
using ktls::Placement;
using ktls::Reason;
using ktls::test::for_every_errno;

class Adopt : public BridgeTest {
 protected:
  static constexpr std::string_view kText = "through the record layer";

  // adopt() with both directions meant for the kernel, then `body` instead of a relay.
  template <class Body>
  void adopt(KernelBehind& kernel, const Body& body, const Story& story) {
    BridgeSide made = side();
    made.syscalls = &kernel;
    made.instead_of_relay = body;
    run(made, story);
    EXPECT_FALSE(made.error) << made.error->message();
    EXPECT_TRUE(made.plan);
  }

  [[nodiscard]] Plan intended(const tls::Negotiated& negotiated) const override {
    static_cast<void>(negotiated);
    return intended_;
  }

  Plan intended_{.receive = {Placement::kKernel, Reason::kNone},
                 .transmit = {Placement::kKernel, Reason::kNone}};
};

INSTANTIATE_TEST_SUITE_P(Bridge, Adopt, testing::ValuesIn(cells_where([](const Cell& cell) {
                           return cell.path == Path::kUserspace && cell.loop == LoopKind::kEpoll;
                         })),
                         cell_name);

// Sends one record with the keys that the kernel was given.
Task<void> send_installed(Connection& connection, Scope& scope, KernelBehind& kernel,
                          std::string_view text) {
  auto state = kernel.installed(Direction::kTransmit, *connection.facts().suite);
  auto buffer = co_await scope.loop().lease(scope);
  EXPECT_TRUE(state && buffer);
  if (!state || !buffer) co_return;
  const std::vector<std::uint8_t> content(text.begin(), text.end());
  const auto size =
      state->seal({.type = tls::ContentType::kApplicationData, .content = content}, buffer->tail());
  EXPECT_TRUE(size);
  if (!size) co_return;
  buffer->commit(*size);
  const auto sent = co_await scope.loop().send(scope, connection.fd(), *buffer, 0, *size);
  EXPECT_TRUE(sent);
}

// Opens what comes, tickets and then `text`, with the keys that the kernel was given.
Task<void> open_installed(Connection& connection, Scope& scope, KernelBehind& kernel,
                          std::string_view text) {
  auto state = kernel.installed(Direction::kReceive, *connection.facts().suite);
  EXPECT_TRUE(state);
  if (!state) co_return;
  tls::RecordLayer layer;
  layer.set_pending_read(*std::move(state));
  EXPECT_TRUE(layer.change_read_state());
  std::string opened;
  std::vector<std::uint8_t> wire;
  while (opened.size() < text.size()) {
    const auto received = co_await scope.loop().receive_pooled(scope, connection.fd());
    EXPECT_TRUE(received && !received->empty());
    if (!received || received->empty()) co_return;
    wire.insert(wire.end(), received->bytes().begin(), received->bytes().end());
    layer.feed(wire);
    for (;;) {
      const auto next = layer.next_record();
      EXPECT_TRUE(next) << next.error().message();
      if (!next) co_return;
      const auto* record = std::get_if<tls::Record>(&*next);
      if (record == nullptr) break;
      if (record->type != tls::ContentType::kApplicationData) continue;
      opened.append(record->content.begin(), record->content.end());
    }
    wire.assign(layer.unread().begin(), layer.unread().end());
  }
  EXPECT_EQ(opened, text) << "the keys that went to the kernel are not the peer's";
}

// Several records of the peer, through the Receiver.
Task<void> expect_received(Connection& connection, Scope& scope, int plain_fd) {
  for (std::size_t size = 0; size < 3 * 24;) {
    auto step = co_await connection.receiver().move_to(scope, plain_fd);
    EXPECT_TRUE(step) << step.error().message();
    if (!step) co_return;
    if (const auto* moved = std::get_if<Moved>(&*step)) {
      size += moved->size;
    } else if (auto* record = std::get_if<ControlRecord>(&*step)) {
      const auto control = co_await connection.act_on(scope, *record);  // tickets
      EXPECT_TRUE(control);
    } else {
      ADD_FAILURE() << "the stream ended";
      co_return;
    }
  }
}

// TLS 1.2 with AES-GCM carries the explicit nonce of each record: they count up, since one that
// came twice would give the key away.
void expect_nonces_that_count(const Bytes& wire) {
  constexpr std::size_t kHeaderSize = 5;
  std::optional<std::uint64_t> last;
  std::size_t count = 0;
  bool is_protected = false;
  for (std::size_t at = 0; at + kHeaderSize <= wire.size();) {
    const std::size_t size = ktls::load_big_endian<std::uint16_t>(&wire[at + 3]);
    if (is_protected) {
      const auto nonce = ktls::load_big_endian<std::uint64_t>(&wire[at + kHeaderSize]);
      EXPECT_EQ(nonce, last ? *last + 1 : nonce) << "record " << count;
      last = nonce;
      ++count;
    }
    is_protected = is_protected || wire[at] == 20;
    at += kHeaderSize + size;
  }
  EXPECT_GE(count, 2U) << "Finished and some data";
}

// Three records each way that the connection has in userspace, against libssl.
Task<void> exchange_receiving(Stage& stage, std::string_view text) {
  std::string expected;
  for (int i = 0; i < 3; ++i) {
    const bool written = co_await stage.tls.write(std::string(text));
    EXPECT_TRUE(written);
    expected += text;
  }
  const std::string received = co_await stage.plain.read(expected.size());
  EXPECT_EQ(received, expected);
}

Task<void> exchange_sending(Stage& stage, std::string_view text) {
  for (int i = 0; i < 3; ++i) {
    const bool written = co_await stage.plain.write(std::string(text));
    EXPECT_TRUE(written);
    const std::string received = co_await stage.tls.read(text.size());
    EXPECT_EQ(received, text);
  }
  if (SSL_version(stage.tls.ssl()) == TLS1_2_VERSION) expect_nonces_that_count(stage.tls.wire());
}

Task<void> send_three(Connection& connection, Scope& scope, int plain_fd) {
  for (int i = 0; i < 3; ++i) {
    const auto step = co_await connection.sender().move_from(scope, plain_fd);
    EXPECT_TRUE(step) << step.error().message();
  }
}

// Which Reason each errno stands for, and all others.
Reason expected_of(const std::map<int, Reason>& named, Reason otherwise, int sys_errno) {
  const auto found = named.find(sys_errno);
  return found == named.end() ? otherwise : found->second;
}

Reason refusal_to_attach(int sys_errno) {
  return expected_of({{ENOENT, Reason::kUlpUnavailable},
                      {EEXIST, Reason::kOtherUlp},
                      {ENOTCONN, Reason::kNotEstablished},
                      {ENOPROTOOPT, Reason::kNotTcp},
                      {EOPNOTSUPP, Reason::kNotTcp},
                      {ENOTSOCK, Reason::kNotTcp}},
                     Reason::kUlpRefused, sys_errno);
}

Reason refusal_to_install(int sys_errno) {
  return expected_of({{ENOENT, Reason::kCipherModuleMissing}, {EBUSY, Reason::kRekeyImpossible}},
                     Reason::kInstallRefused, sys_errno);
}

std::string words_for(const DirectionPlan& direction) {
  return std::string(ktls::name_of(direction.placement)) + ", " +
         std::string(ktls::text_of(direction.reason).code);
}

TEST_P(Adopt, GoesOnInUserspaceWithAnyErrnoAtAttach) {
  for_every_errno([&](int sys_errno) {
    const Reason reason = refusal_to_attach(sys_errno);
    std::string outcome;
    KernelBehind kernel;
    kernel.fake().fail(FakeCall::kAttach, 1, sys_errno);
    const auto body = [&](Connection& connection, Scope& scope, int plain_fd) -> Task<void> {
      EXPECT_EQ(connection.plan().receive.reason, reason);
      outcome = words_for(connection.plan().receive);
      EXPECT_EQ(connection.plan().transmit.reason, reason);
      EXPECT_FALSE(connection.plan().satisfies(OffloadPolicy::kRequireKernel));
      EXPECT_FALSE(kernel.installed(Direction::kReceive, *connection.facts().suite));
      EXPECT_FALSE(kernel.installed(Direction::kTransmit, *connection.facts().suite));
      co_await send_three(connection, scope, plain_fd);
      co_await expect_received(connection, scope, plain_fd);
    };
    adopt(kernel, body, [](Stage& stage) -> Task<void> {
      co_await exchange_sending(stage, kText);
      co_await exchange_receiving(stage, kText);
    });
    EXPECT_EQ(kernel.fake().calls(FakeCall::kInstallReceive), 0U);
    EXPECT_EQ(kernel.fake().calls(FakeCall::kInstallTransmit), 0U);
    return outcome;
  });
}

TEST_P(Adopt, ReceivesInUserspaceWithAnyErrnoAtRxWhileTxGoesToTheKernel) {
  for_every_errno([&](int sys_errno) {
    const Reason reason = refusal_to_install(sys_errno);
    std::string outcome;
    KernelBehind kernel;
    kernel.fake().fail(FakeCall::kInstallReceive, 1, sys_errno);
    const auto body = [&](Connection& connection, Scope& scope, int plain_fd) -> Task<void> {
      EXPECT_EQ(connection.plan().receive.placement, Placement::kUserspace);
      EXPECT_EQ(connection.plan().receive.reason, reason);
      outcome = words_for(connection.plan().receive);
      EXPECT_EQ(connection.plan().transmit.placement, Placement::kKernel);
      EXPECT_EQ(connection.plan().transmit.reason, Reason::kNone);
      EXPECT_FALSE(connection.plan().satisfies(OffloadPolicy::kRequireKernel));
      EXPECT_FALSE(kernel.installed(Direction::kReceive, *connection.facts().suite));
      co_await expect_received(connection, scope, plain_fd);
      co_await send_installed(connection, scope, kernel, kText);
    };
    adopt(kernel, body, [&](Stage& stage) -> Task<void> {
      co_await exchange_receiving(stage, kText);
      const std::string received = co_await stage.tls.read(kText.size());
      EXPECT_EQ(received, kText) << "the keys that went to the kernel are not the peer's";
      if (!cell().is_tls13()) expect_nonces_that_count(stage.tls.wire());
    });
    return outcome;
  });
}

TEST_P(Adopt, SendsFromUserspaceWithAnyErrnoAtTxWhileRxStaysInTheKernel) {
  for_every_errno([&](int sys_errno) {
    const Reason reason = refusal_to_install(sys_errno);
    std::string outcome;
    KernelBehind kernel;
    kernel.fake().fail(FakeCall::kInstallTransmit, 1, sys_errno);
    const auto body = [&](Connection& connection, Scope& scope, int plain_fd) -> Task<void> {
      EXPECT_EQ(connection.plan().transmit.placement, Placement::kUserspace);
      EXPECT_EQ(connection.plan().transmit.reason, reason);
      outcome = words_for(connection.plan().transmit);
      EXPECT_EQ(connection.plan().receive.placement, Placement::kKernel);
      EXPECT_EQ(connection.plan().receive.reason, Reason::kNone);
      EXPECT_FALSE(connection.plan().satisfies(OffloadPolicy::kRequireKernel));
      EXPECT_FALSE(kernel.installed(Direction::kTransmit, *connection.facts().suite));
      co_await send_three(connection, scope, plain_fd);
      co_await open_installed(connection, scope, kernel, kText);
    };
    adopt(kernel, body, [](Stage& stage) -> Task<void> {
      co_await exchange_sending(stage, kText);
      const bool written = co_await stage.tls.write(std::string(kText));
      EXPECT_TRUE(written);
      const bool over = co_await stage.bridge_is_over();
      EXPECT_TRUE(over);
    });
    return outcome;
  });
}

TEST_P(Adopt, GoesOnInUserspaceWhenBothInstallsAreRefused) {
  KernelBehind kernel;
  kernel.fake().fail(FakeCall::kInstallReceive, 1, ENOENT);
  kernel.fake().fail(FakeCall::kInstallTransmit, 1, ENOMEM);
  const auto body = [&](Connection& connection, Scope& scope, int plain_fd) -> Task<void> {
    EXPECT_EQ(connection.plan().receive.reason, Reason::kCipherModuleMissing);
    EXPECT_EQ(connection.plan().transmit.reason, Reason::kInstallRefused);
    co_await send_three(connection, scope, plain_fd);
    co_await expect_received(connection, scope, plain_fd);
  };
  adopt(kernel, body, [](Stage& stage) -> Task<void> {
    co_await exchange_sending(stage, kText);
    co_await exchange_receiving(stage, kText);
  });
}

TEST_P(Adopt, InstallsBothDirectionsWithTheKeysOfThePeer) {
  KernelBehind kernel;
  const auto body = [&](Connection& connection, Scope& scope, int) -> Task<void> {
    EXPECT_TRUE(connection.plan().satisfies(OffloadPolicy::kRequireKernel));
    EXPECT_FALSE(connection.receiver().can_change_state());
    EXPECT_FALSE(connection.sender().can_update_key());
    co_await send_installed(connection, scope, kernel, kText);
    co_await open_installed(connection, scope, kernel, kText);
  };
  adopt(kernel, body, [](Stage& stage) -> Task<void> {
    const std::string received = co_await stage.tls.read(kText.size());
    EXPECT_EQ(received, kText);
    const bool written = co_await stage.tls.write(std::string(kText));
    EXPECT_TRUE(written);
    const bool over = co_await stage.bridge_is_over();
    EXPECT_TRUE(over);
  });
  EXPECT_EQ(kernel.fake().calls(FakeCall::kAttach), 1U);
  EXPECT_EQ(kernel.fake().calls(FakeCall::kInstallReceive), 1U);
  EXPECT_EQ(kernel.fake().calls(FakeCall::kInstallTransmit), 1U);
}

// EXPECT_NO_PAD, above all: 6.12 writes behind what it returns where a record is not as expected.
TEST_P(Adopt, SetsNoOptionThatTheConnectionDoesNotNeed) {
  KernelBehind kernel;
  adopt(
      kernel, [](Connection&, Scope&, int) -> Task<void> { co_return; },
      [](Stage&) -> Task<void> { co_return; });
  EXPECT_EQ(kernel.fake().calls(FakeCall::kInstallReceive), 1U);
  EXPECT_EQ(kernel.fake().calls(FakeCall::kOtherOption), 0U);
}

TEST_P(Adopt, SendsFromUserspaceWithAnyErrnoAtThePeersRecordSize) {
  tls::test::RecordSizeExtension extension{.sent = tls::test::wire_of_limit(1000), .received = {}};
  extension.add_to(peer_context());
  for_every_errno([&](int sys_errno) {
    std::string outcome;
    KernelBehind kernel;
    kernel.fake().fail(FakeCall::kOtherOption, 1, sys_errno);
    const auto body = [&](Connection& connection, Scope& scope, int plain_fd) -> Task<void> {
      EXPECT_EQ(connection.plan().transmit.placement, Placement::kUserspace);
      EXPECT_EQ(connection.plan().transmit.reason, Reason::kRecordSizeLimited);
      outcome = words_for(connection.plan().transmit);
      EXPECT_EQ(connection.plan().receive.placement, Placement::kKernel);
      EXPECT_FALSE(kernel.installed(Direction::kTransmit, *connection.facts().suite));
      co_await send_three(connection, scope, plain_fd);
    };
    adopt(kernel, body,
          [](Stage& stage) -> Task<void> { co_await exchange_sending(stage, kText); });
    EXPECT_EQ(kernel.fake().calls(FakeCall::kInstallTransmit), 0U);
    return outcome;
  });
}

TEST_P(Adopt, TellsTheKernelThePeersRecordSize) {
  tls::test::RecordSizeExtension extension{.sent = tls::test::wire_of_limit(1000), .received = {}};
  extension.add_to(peer_context());
  KernelBehind kernel;
  const auto body = [&](Connection& connection, Scope&, int) -> Task<void> {
    EXPECT_TRUE(connection.plan().satisfies(OffloadPolicy::kRequireKernel));
    constexpr int kTlsTxMaxPayloadLen = 5;
    std::uint16_t size = 0;
    socklen_t size_of_size = sizeof size;
    EXPECT_EQ(kernel.getsockopt(0, kSolTls, kTlsTxMaxPayloadLen, &size, &size_of_size), 0);
    EXPECT_EQ(size, cell().is_tls13() ? 999 : 1000);
    co_return;
  };
  adopt(kernel, body, [](Stage&) -> Task<void> { co_return; });
}

TEST_P(Adopt, AsksTheKernelForNothingThatThePlanKeepsInUserspace) {
  KernelBehind kernel;
  intended_.receive = {Placement::kUserspace, Reason::kRekeyImpossible};
  kernel.fake().fail(FakeCall::kAttach, 1, ENOENT);
  const auto body = [&](Connection& connection, Scope&, int) -> Task<void> {
    // The reason that the plan gave is not overwritten by that of the attach, which was for TX.
    EXPECT_EQ(connection.plan().receive.reason, Reason::kRekeyImpossible);
    EXPECT_EQ(connection.plan().transmit.reason, Reason::kUlpUnavailable);
    co_return;
  };
  const Story nothing = [](Stage&) -> Task<void> { co_return; };
  adopt(kernel, body, nothing);

  intended_.transmit = {Placement::kUserspace, Reason::kPolicyNever};
  KernelBehind untouched;
  adopt(
      untouched, [](Connection&, Scope&, int) -> Task<void> { co_return; }, nothing);
  EXPECT_EQ(untouched.fake().calls(FakeCall::kAttach), 0U);
}

}  // namespace
}  // namespace bridge::test
