// `ktls-bridge wrap`: runs until a signal ends it.
#pragma once

#include "tools/ktls-bridge/wrap_options.h"

namespace tools {

// Returns an ExitCode; says on standard error what went wrong.
[[nodiscard]] int run_wrap(const WrapOptions& options);

}  // namespace tools
