// Closing: how connections end, so that the other side has all that was sent, and knows whether it
// was all.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "ktls/base/result.h"
#include "userspace/bridge/connection.h"
#include "userspace/io/loop.h"
#include "userspace/io/scope.h"
#include "userspace/io/task.h"
#include "userspace/suite/alert.h"

namespace bridge {

// A peer that does not read, or does not stop sending, may not keep a connection alive that has
// ended already.
inline constexpr std::chrono::milliseconds kLastWordsTimeout = std::chrono::seconds(2);

// Both directions of the socket are over: reading never waits again, writing never succeeds.
[[nodiscard]] bool is_gone(int fd);

// Whether what reads as an orderly end was a reset, whose error a send met first. To be asked while
// we may still write: a FIN alone leaves that direction open.
[[nodiscard]] bool was_reset(int fd);

// Has `fd` closed with a reset: the other side must not take what it has for the whole. The reset
// goes out when the owner closes the descriptor; a unix socket knows none, and just ends.
void reset_on_close(int fd);

// Has whoever writes to the other end of a unix stream fail from now on (EPIPE), as a reset of TCP
// does, and throws away what was written there: closing with something unread would be an error for
// the other side's reading, too. Nothing of other sockets.
void refuse_more(int fd);

// Sends FIN and reads what still comes, until the other side has ended, too: closing with something
// unread would be a reset, which can overtake what was sent last. `scope` bounds it.
[[nodiscard]] Task<void> close_gently(Loop& loop, Scope& scope, int fd);

// How much of what was sent the other side is waited for to take.
enum class Delivery : std::uint8_t { kRoomForMore, kAll };

// Waits for a peer that is slow, in steps that grow: until it has what `delivery` says, or has left
// the connection. Errors: those of `scope`, which bounds it.
[[nodiscard]] Task<ktls::Result<void>> await_delivery(Loop& loop, Scope& scope, int fd,
                                                      Delivery delivery);

// Sends the alert that is the last of this connection, and FIN. Errors: those of send_alert().
[[nodiscard]] Task<ktls::Result<void>> send_last_alert(Loop& loop, Scope& scope,
                                                       Connection& connection,
                                                       tls::AlertDescription alert);

[[nodiscard]] inline Task<ktls::Result<void>> send_close_notify(Loop& loop, Scope& scope,
                                                                Connection& connection) {
  return send_last_alert(loop, scope, connection, tls::AlertDescription::kCloseNotify);
}

// The alert of ours that tells the peer of `failure`, if there is one.
[[nodiscard]] std::optional<tls::AlertDescription> alert_for(const ktls::Error& failure);

// How the TLS peer learns that `failure` was no orderly end: by the alert that the error carries,
// or else by a reset. `has_ended`: close_notify is out, and stays the peer's to read. Waits for
// kLastWordsTimeout at most until the peer has it, and not at all for one that may no longer be
// listening (kTimeout, kCancelled).
[[nodiscard]] Task<void> abort_peer(Loop& loop, Connection& connection, const ktls::Error& failure,
                                    bool has_ended);

// The connection is over, close_notify and FIN are out, and the peer sends more: a reset says that
// nobody takes it, once the peer has what was sent, or kLastWordsTimeout is over.
[[nodiscard]] Task<void> reset_peer(Loop& loop, Connection& connection);

}  // namespace bridge
