// listening(): a program's listening socket, whose connections the broker accepts for it.
#pragma once

#include "ktls/base/unique_fd.h"
#include "tools/broker/broker_state.h"
#include "userspace/io/task.h"

namespace tools {

// Until the program closes `replies` or says kStop, or the broker ends. `backlog`: connections that
// may wait to be taken.
[[nodiscard]] bridge::Task<void> listening(BrokerState& state, Client client, ktls::UniqueFd socket,
                                           ktls::UniqueFd replies, std::size_t backlog);

}  // namespace tools
