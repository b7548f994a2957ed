// BrokerState: what all requests of a broker share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>

#include "ktls/base/unique_fd.h"
#include "tools/broker/broker_options.h"
#include "tools/broker/client.h"
#include "tools/broker/handed_out_sockets.h"
#include "tools/broker/handshakes.h"
#include "tools/broker/held_sockets.h"
#include "tools/broker/listened_sockets.h"
#include "tools/broker/relays.h"
#include "tools/common/log.h"
#include "tools/ktls-bridge/address_limit.h"
#include "tools/ktls-bridge/connection_log.h"
#include "tools/ktls-bridge/phase.h"
#include "tools/ktls-bridge/tls_setting.h"
#include "userspace/broker/protocol.h"
#include "userspace/io/loop.h"

namespace tools {

// Descriptors in flight: more than that the kernel refuses to a user whose limit of open files is
// the least that is usual, and a program that takes none must not use up what others need.
inline constexpr std::size_t kUndeliveredMax = 256;
inline constexpr std::size_t kUndeliveredOfUserMax = 128;
inline constexpr std::size_t kUndeliveredOfListenerMax = 64;

// How much there may be of everything, so that there is a descriptor for all that it needs: what
// has none is lost on its way in.
struct BrokerLimits {
  std::size_t connections;
  std::size_t channels;
  std::size_t listeners;
  std::size_t endings;
  std::size_t controls;
};
// Of so many open files; `wanted`: connections.
[[nodiscard]] BrokerLimits limits_of(std::size_t open_files, std::size_t wanted);

// On one loop's thread.
struct BrokerState {
  BrokerState(bridge::Loop& the_loop, const BrokerOptions& the_options, const TlsSetting& server,
              const TlsSetting& client, const BrokerLimits& limits);

  bridge::Loop& loop;
  const BrokerOptions& options;
  const Log& log;
  const TlsSetting& as_server;
  const TlsSetting& as_client;

  bridge::Scope open;     // until the broker is to end: channels and listening sockets
  bridge::Scope running;  // until it has ended: the channel of those whose streams it relays
  Places channels;
  Places waiting_channels;  // to be one of those
  Places strangers;         // who may not connect, and is told so
  Places listeners;
  Places endings;      // requests that are about an end, for as long as they are in none of these
  Places controls;     // control records, which wait for a peer that does not read
  Places connections;  // under way, waiting to be taken, or relayed
  AddressLimit addresses;
  Handshakes handshakes;
  Relays relays;
  HeldSockets held;
  HandedOutSockets handed_out;
  Places undelivered;  // descriptors that no client has said to have taken
  std::map<std::uint64_t, std::size_t> leaving;  // by cookie: programs that have closed a socket
  std::set<std::uint16_t> ports_listened;        // that programs have handed over
  ListenedSockets listened_sockets;
  bool has_told_of_relay = false;         // a private broker says it once
  bool has_programs = true;               // there may be some who ask
  std::map<Cancellation*, int> sessions;  // and the socket of each
  Doorbell session_ended;

  [[nodiscard]] bool is_ending() const { return open.failure().has_value(); }
};

// Whether the peer of a TCP connection has all that was sent, which was all, and has not ended its
// own side.
[[nodiscard]] bool waits_for_peer_alone(int fd);

// A connection in the broker's care, which ends with the broker.
class BrokerSession {
 public:
  // Borrows `fd`.
  BrokerSession(BrokerState& state, int fd) : state_(state) {
    state_.sessions[&cancellation_] = fd;
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
