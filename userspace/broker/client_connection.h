// What a program is told of a connection.
#pragma once

#include "userspace/broker/ktls_bridge_client.h"
#include "userspace/broker/protocol.h"

namespace broker {

// Whether `info` is null, or says how large it is.
[[nodiscard]] bool has_room(const ktlsb_connection* info);

// Fills as much of `info` as there is; null: nothing.
void describe(const Answer& answer, ktlsb_connection* info);

// Closes `fd`, the last descriptor that this process has of a TLS socket or of a relayed stream,
// and has the broker end the connection in order if nobody else has one. 0, or -1 and errno: `fd`
// is closed then, too, and the peer sees no orderly end. `may_travel`: kMayTravel.
int release(int fd, bool may_travel);

// The broker sends close_notify when there is room, and shuts the write side down; waits for none
// of it. 0, or an errno.
[[nodiscard]] int hand_over_end(int fd);

}  // namespace broker
