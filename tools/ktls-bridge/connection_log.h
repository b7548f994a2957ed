// ConnectionLog: the one line that each connection leaves behind.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ktls/base/result.h"
#include "tools/common/log.h"
#include "tools/ktls-bridge/origin.h"
#include "userspace/bridge/connection.h"
#include "userspace/bridge/relay.h"

namespace tools {

// What a program has of its connection.
enum class HandedOut : std::uint8_t {
  kNothing,  // there is no program, or it has none yet
  kGuarded,  // the TLS socket to write to, and a stream of ours to read from
  kDirect,   // the TLS socket
  kRelay,    // a stream of ours
};

// Gathered while the connection lives; written once, at its end.
struct ConnectionLog {
  std::string peer;
  std::string via;                               // empty: no balancer has told of the peer
  std::string to;                                // empty: the connection goes nowhere on
  std::optional<bridge::ConnectionFacts> facts;  // none: the handshake did not finish
  std::optional<bridge::Plan> placement;         // none: it was never adopted
  ktls::Reason transmit_remark = ktls::Reason::kNone;
  ktls::Reason receive_remark = ktls::Reason::kNone;
  std::uint64_t key_updates_sent = 0;
  std::uint64_t key_update_waits = 0;  // for the interval between two of them
  std::uint64_t key_updates_received = 0;
  std::optional<std::uint64_t> requests;  // none: of no protocol that has any
  std::uint64_t received = 0;             // bytes of plaintext from the TLS peer
  std::uint64_t sent = 0;                 // bytes of plaintext to the TLS peer
  std::optional<std::uint64_t> program;   // process number; none: it has no program of its own
  HandedOut handed_out = HandedOut::kNothing;
  std::optional<int> exit;  // of the program, as the shell says it
  std::string ended;        // clean, truncated, reset, timeout, alert, …
  std::string reason;       // code of a Reason that ended it, if one did
  std::string detail;
  std::optional<ktls::ErrorCode> failure;  // what end() was told
  std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();

  // Who it is for.
  void take(const Origin& origin);
  // What the connection came to besides its bytes: remarks and key changes. At its end, and before
  // it is destroyed.
  void take(bridge::Connection& connection);
  // How the connection ended, and what moved.
  void take(const bridge::RelayReport& report);

  // Ends it with `error`: by the name of its ending if that says what happened, else by
  // `otherwise`, the name of the phase that failed.
  void end(const ktls::Error& error, std::string_view otherwise);

  [[nodiscard]] LogFields fields() const;
};

}  // namespace tools
