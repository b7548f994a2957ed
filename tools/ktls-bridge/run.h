// `ktls-bridge run`: runs a program whose plaintext sockets become TLS, with a broker of its own.
#pragma once

#include "tools/ktls-bridge/run_options.h"

namespace tools {

// Until the program has ended, and whoever it left behind with its connections; answers its exit
// status (see ktls-bridge-run(1)).
[[nodiscard]] int run_run(const RunOptions& options);

}  // namespace tools
