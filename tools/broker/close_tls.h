// The end of a TLS socket that programs have: close_notify and FIN, if it is an end.
#pragma once

#include "tools/broker/broker_state.h"
#include "tools/broker/foreign_fd.h"
#include "userspace/io/task.h"

namespace tools {

// Waits until the program has closed its end of `replies`, or that end for writing, but not for
// long: by then it has closed its descriptors of what it releases.
[[nodiscard]] bridge::Task<void> await_release(BrokerState& state, int replies);

// Ends the connection, whoever else has it. The peer may take its time to make room.
[[nodiscard]] bridge::Task<void> close_tls(BrokerState& state, ForeignFd fd);

// One program has closed it, in order, or will have before `replies` ends: where nobody
// else has it either, as close_tls(). In doubt our copy is closed, and nothing else. `may_travel`:
// a descriptor of it may be on its way between processes.
[[nodiscard]] bridge::Task<void> release_tls(BrokerState& state, ForeignFd fd, int replies,
                                             bool may_travel);

}  // namespace tools
