// `ktls-bridge broker`: does handshakes for other programs and hands them the sockets.
#pragma once

#include "tools/broker/broker_options.h"

namespace tools {

// Runs until a signal; answers the exit code (see ktls-bridge(1)).
[[nodiscard]] int run_broker(const BrokerOptions& options);

}  // namespace tools
