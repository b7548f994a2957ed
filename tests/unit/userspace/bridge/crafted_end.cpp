#include "tests/unit/userspace/bridge/crafted_end.h"

#include <utility>
#include <variant>

#include "userspace/bridge/establish.h"
#include "userspace/handshake/openssl/handshake.h"

namespace bridge::test {

using tls::ContentType;

Task<bool> CraftedEnd::shake_hands(const Cell& cell) {
  const tls::Role role = cell.is_client() ? tls::Role::kServer : tls::Role::kClient;
  const auto context =
      role == tls::Role::kServer
          ? tls::test::make_server(tls::test::only_version(served(), cell.version))
          : tls::test::make_client(tls::test::only_version(tls::test::pki().trust(), cell.version));
  auto handshake = tls::Handshake::create(
      context, role, role == tls::Role::kClient ? "server.test" : std::string());
  if (!handshake) co_return false;
  auto finished = co_await establish(stage_->loop, stage_->scope, stage_->tls.fd(), **handshake);
  if (!finished) co_return false;
  suite_ = finished->negotiated.suite;
  write_secret_ = std::move(finished->negotiated.write_secret);
  layer_.set_pending_read(std::move(finished->negotiated.read));
  layer_.set_pending_write(std::move(finished->negotiated.write));
  co_return layer_.change_read_state() && layer_.change_write_state();
}

// As one record, and under protection whatever its type is: what a layer would not do, too.
Bytes CraftedEnd::seal(ContentType type, std::span<const std::uint8_t> content,
                       std::size_t padding) {
  tls::ConnectionState& state = *layer_.write_state();
  Bytes wire(state.sealed_size(content.size(), padding));
  const auto size = state.seal({.type = type, .content = content, .padding = padding}, wire);
  EXPECT_EQ(size, wire.size());
  return wire;
}

Task<bool> CraftedEnd::send(ContentType type, Bytes content) {
  Bytes wire = seal(type, content);
  co_return co_await stage_->tls.send_bytes(std::move(wire));
}

Task<bool> CraftedEnd::send_text(std::string text) {
  Bytes wire = seal(ContentType::kApplicationData, Bytes(text.begin(), text.end()));
  co_return co_await stage_->tls.send_bytes(std::move(wire));
}

void CraftedEnd::change_write_key() {
  auto secret = tls::derive_next_traffic_secret(*suite_, write_secret_);
  write_secret_ = std::move(secret).value();
  auto keys = tls::derive_traffic_keys(*suite_, write_secret_);
  layer_.set_pending_write(
      tls::ConnectionState::create(tls::ProtocolVersion::kTls13, *suite_, std::move(keys).value())
          .value());
  EXPECT_TRUE(layer_.change_write_state());
}

bool CraftedEnd::open(std::span<std::uint8_t> wire, std::string& text) {
  layer_.feed(wire);
  for (;;) {
    const auto next = layer_.next_record();
    EXPECT_TRUE(next) << next.error().message();
    if (!next) return false;
    const auto* record = std::get_if<tls::Record>(&*next);
    if (record == nullptr) return true;
    if (record->type == ContentType::kApplicationData) {
      text.append(record->content.begin(), record->content.end());
    } else if (record->type == ContentType::kAlert) {
      alerts_.emplace_back(record->content.begin(), record->content.end());
    }
  }
}

Task<std::string> CraftedEnd::read(std::size_t size) {
  std::string text;
  const std::size_t alerts = alerts_.size();
  while (text.size() < size && alerts_.size() == alerts) {
    const auto received = co_await stage_->loop.receive_pooled(stage_->scope, stage_->tls.fd());
    saw_end_ = !received || received->empty();
    if (saw_end_) break;
    wire_.insert(wire_.end(), received->bytes().begin(), received->bytes().end());
    if (!open(wire_, text)) break;
    wire_.erase(wire_.begin(), wire_.end() - static_cast<std::ptrdiff_t>(layer_.unread().size()));
  }
  co_return text;
}

void CraftedTest::run_crafted(BridgeSide& bridge, const CraftedStory& story) {
  const Story with_peer = [&](Stage& stage) -> Task<void> {
    CraftedEnd peer(stage);
    const bool shaken = co_await peer.shake_hands(cell());
    EXPECT_TRUE(shaken);
    if (shaken) co_await story(stage, peer);
  };
  run(bridge, with_peer, false);
}

BridgeSide CraftedTest::run_crafted(const CraftedStory& story) {
  BridgeSide made = side();
  run_crafted(made, story);
  return made;
}

}  // namespace bridge::test
