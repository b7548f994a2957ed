// `ktls-bridge wrap --fd N -- PROGRAM`: one connection that was inherited, and the program that is
// to have it.
#pragma once

#include "tools/ktls-bridge/wrap_options.h"

namespace tools {

// Answers the program's exit code as the shell says it, or one of its own where the program did not
// run. SIGTERM, SIGINT and SIGHUP are passed on to the program; before there is one they end it
// all.
[[nodiscard]] int run_wrap_fd(const WrapOptions& options);

}  // namespace tools
