// BrokerState: what all requests of a broker share.
#pragma once

#include <cstddef>
#include <memory>
#include <set>

#include "ktls/base/unique_fd.h"
#include "tools/broker/broker_options.h"
#include "tools/broker/client.h"
#include "tools/broker/handed_out_sockets.h"
#include "tools/broker/handshakes.h"
#include "tools/broker/relays.h"
#include "tools/common/log.h"
#include "tools/ktls-bridge/address_limit.h"
#include "tools/ktls-bridge/connection_log.h"
#include "tools/ktls-bridge/phase.h"
#include "tools/ktls-bridge/tls_setting.h"
#include "userspace/broker/protocol.h"
#include "userspace/io/loop.h"

namespace tools {

// What one user may have of the broker besides connections.
inline constexpr std::size_t kChannelsOfUserMax = 1024;
inline constexpr std::size_t kChannelsMax = 4096;
// Descriptors in flight: more than that the kernel refuses to a user whose limit of open files is
// the least that is usual, and a program that takes none must not use up what others need.
inline constexpr std::size_t kUndeliveredMax = 256;

// On one loop's thread.
struct BrokerState {
  BrokerState(bridge::Loop& the_loop, const BrokerOptions& the_options, const TlsSetting& server,
              const TlsSetting& client, std::size_t connections_max);

  bridge::Loop& loop;
  const BrokerOptions& options;
  const Log& log;
  const TlsSetting& as_server;
  const TlsSetting& as_client;

  bridge::Scope open;     // until the broker is to end: channels and listening sockets
  bridge::Scope running;  // until it has ended: the channel of those whose streams it relays
  Places channels;
  Places connections;  // under way, waiting to be taken, or relayed
  AddressLimit addresses;
  Handshakes handshakes;
  Relays relays;
  HandedOutSockets handed_out;
  std::size_t undelivered = 0;  // descriptors that no client has said to have taken
  Doorbell taken;               // there are fewer of them
  std::set<Cancellation*> sessions;
  Doorbell session_ended;

  [[nodiscard]] bool is_ending() const { return open.failure().has_value(); }
};

// A connection in the broker's care, which ends with the broker.
class BrokerSession {
 public:
  explicit BrokerSession(BrokerState& state) : state_(state) {
    state_.sessions.insert(&cancellation_);
  }
  BrokerSession(const BrokerSession&) = delete;
  BrokerSession& operator=(const BrokerSession&) = delete;
  ~BrokerSession() {
    state_.sessions.erase(&cancellation_);
    state_.session_ended.ring();
  }

  [[nodiscard]] Cancellation& cancellation() { return cancellation_; }

 private:
  BrokerState& state_;
  Cancellation cancellation_;
};

}  // namespace tools
