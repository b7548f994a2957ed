// `ktls-bridge serve`: files over HTTPS.
#pragma once

#include "tools/ktls-bridge/serve_options.h"

namespace tools {

// Serves until a signal ends it. Answers the exit code of the program.
[[nodiscard]] int run_serve(const ServeOptions& options);

}  // namespace tools
