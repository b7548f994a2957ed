// listening(): a program's listening socket, whose connections the broker accepts for it.
#pragma once

#include "tools/broker/broker_state.h"
#include "tools/broker/foreign_fd.h"
#include "userspace/io/task.h"

namespace tools {

// Until the program closes `replies` or says kStop, or the broker ends. `backlog`: connections that
// may wait to be taken.
[[nodiscard]] bridge::Task<void> listening(BrokerState& state, Client client, ForeignFd socket,
                                           ForeignFd replies, std::size_t backlog);

}  // namespace tools
