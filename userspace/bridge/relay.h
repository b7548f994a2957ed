// relay(): moves application data between a TLS connection and a plaintext stream until both have
// ended, and tells how.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "userspace/bridge/connection.h"
#include "userspace/bridge/departure.h"
#include "userspace/io/loop.h"

namespace bridge {

// How a connection ended, as a stable word for logs.
enum class Ending : std::uint8_t {
  kClean,      // close_notify from the peer, end of file from the plain side
  kTruncated,  // the peer's FIN came without close_notify: data may be missing
  kReset,      // either side was reset
  kTimeout,    // nothing moved for the idle timeout
  kAlert,      // a fatal alert, sent or received
  kCancelled,  // we were told to end
  kError,      // anything else: the detail says what
};
[[nodiscard]] std::string_view name_of(Ending ending);  // "clean", "truncated", …

// The ending that an error of a connection stands for; kError where nothing says more.
[[nodiscard]] Ending ending_of(const ktls::Error& error);

// The Reason that an error of a connection stands for; kNone where it needs none.
[[nodiscard]] ktls::Reason reason_of_end(const ktls::Error& error);

struct RelayReport {
  std::uint64_t received = 0;  // bytes of plaintext from the TLS peer, all given to the plain side
  std::uint64_t sent = 0;      // bytes of plaintext to the TLS peer
  std::uint64_t key_updates_received = 0;
  std::uint64_t key_updates_sent = 0;
  std::uint64_t key_update_waits = 0;  // before which sending waited: see KeyUpdateCounts
  Ending ending = Ending::kClean;
  ktls::Reason reason = ktls::Reason::kNone;  // a Reason that ended it, if one did
  std::string detail;
};

// The side that speaks no TLS: one stream socket, or one for each direction.
//   to    application data of the peer is written here
//   from  and what goes to the peer is read here
//   is_socket_of_program  whoever has the other end takes it for the TCP connection itself: when it
//                         is closed, data of the peer is answered by a reset at once. Otherwise it
//                         is thrown away for a moment, in which the peer can read what was sent
struct PlainSide {
  int to;
  int from;
  bool is_socket_of_program = false;
};

// Runs both directions at once; each half closes by itself: close_notify from the peer becomes a
// shutdown of the plain side's writing, and the plain side's end of file becomes close_notify and
// FIN. Truncation and errors are passed on as resets, never as an orderly end. `scope` ends it
// early (kCancelled); it is extended by `idle_timeout` whenever data has moved. `departure`, if
// given, is of the program at the other end of the plain side: where it has let go of that and was
// killed, its end of file is none.
[[nodiscard]] Task<RelayReport> relay(Loop& loop, Scope& scope, Connection& connection,
                                      PlainSide plain, std::chrono::milliseconds idle_timeout,
                                      Departure* departure = nullptr);
// With one socket for both.
[[nodiscard]] inline Task<RelayReport> relay(Loop& loop, Scope& scope, Connection& connection,
                                             int plain_fd, std::chrono::milliseconds idle_timeout) {
  return relay(loop, scope, connection, PlainSide{.to = plain_fd, .from = plain_fd}, idle_timeout);
}

}  // namespace bridge
