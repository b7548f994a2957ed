// CraftedEnd: a TLS peer of our own making, which sends whatever record a test wants, legal or not.
// CraftedTest: a bridge with such a peer.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/userspace/bridge/bridge_fixture.h"
#include "userspace/record/record_layer.h"
#include "userspace/suite/alert.h"
#include "userspace/suite/content_type.h"

namespace bridge::test {

// Takes the place of stage.tls, whose handshake has not begun; borrows its descriptor.
class CraftedEnd {
 public:
  explicit CraftedEnd(Stage& stage) : stage_(&stage) {}

  // In the other role than the bridge's; false when it failed.
  [[nodiscard]] Task<bool> shake_hands(const Cell& cell);

  // One record of any type, sealed but not sent.
  [[nodiscard]] Bytes seal(tls::ContentType type, std::span<const std::uint8_t> content,
                           std::size_t padding = 0);
  [[nodiscard]] Task<bool> send(tls::ContentType type, Bytes content);
  [[nodiscard]] Task<bool> send_text(std::string text);
  // An application data record without content.
  [[nodiscard]] Task<bool> send_empty() { return send_text({}); }
  // A new writing key, as after a KeyUpdate that was sent.
  void change_write_key();

  // Reads until application data of `size` bytes, an alert, or the end of the stream.
  [[nodiscard]] Task<std::string> read(std::size_t size);

  [[nodiscard]] const std::vector<Bytes>& alerts() const { return alerts_; }
  [[nodiscard]] bool was_told(tls::AlertDescription alert) const {
    return !alerts_.empty() && alerts_.back().back() == tls::code_of(alert);
  }
  [[nodiscard]] bool saw_end() const { return saw_end_; }

 private:
  [[nodiscard]] bool open(std::span<std::uint8_t> wire, std::string& text);

  Stage* stage_;
  const tls::CipherSuite* suite_ = nullptr;
  tls::TrafficSecret write_secret_;
  tls::RecordLayer layer_;
  Bytes wire_;
  std::vector<Bytes> alerts_;
  bool saw_end_ = false;
};

class CraftedTest : public BridgeTest {
 protected:
  // Begins when the handshake is done.
  using CraftedStory = std::function<Task<void>(Stage&, CraftedEnd&)>;
  void run_crafted(BridgeSide& bridge, const CraftedStory& story);
  BridgeSide run_crafted(const CraftedStory& story);
};

}  // namespace bridge::test
