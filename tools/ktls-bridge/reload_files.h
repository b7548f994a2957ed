// Which files TlsSetting::reload() reads, for the sandbox, which lets nothing else be read.
#pragma once

#include <string>
#include <vector>

#include "tools/ktls-bridge/tls_flags.h"

namespace tools {

// A flag that names a file which is read again has a line here.
[[nodiscard]] std::vector<std::string> reload_files(const TlsOptions& options);
// Directories all of whose files are.
[[nodiscard]] std::vector<std::string> reload_directories(const TlsOptions& options);

}  // namespace tools
