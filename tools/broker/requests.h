// The requests of one channel.
#pragma once

#include <sys/types.h>

#include "ktls/base/unique_fd.h"
#include "tools/broker/broker_state.h"
#include "userspace/io/task.h"

namespace tools {

// Serves `channel` until its last holder has closed it, or the broker ends. Requests go on after
// that: each has a socket for its answers, whose end ends it.
[[nodiscard]] bridge::Task<void> channel_session(BrokerState& state, ktls::UniqueFd channel);
// The same of the one channel of a private broker, whose holders are `program` and its descendants.
// While that broker drains they may still say what is about the ends of connections.
[[nodiscard]] bridge::Task<void> private_channel(BrokerState& state, ktls::UniqueFd channel,
                                                 pid_t program);

}  // namespace tools
