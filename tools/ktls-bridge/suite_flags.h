// The flags of what is negotiated: versions, cipher suites, groups and pre-shared keys.
#pragma once

#include "ktls/base/result.h"
#include "tools/ktls-bridge/tls_flags.h"

namespace CLI {
class App;
}

namespace tools {

// As the functions of tls_flags.h.
void add_suite_flags(CLI::App& app, TlsOptions& options);  // --max-version --ciphers and the like
void add_psk_flag(CLI::App& app, TlsOptions& options);     // --psk

// What one of them alone cannot tell. Error: kInvalidArgument naming the flags.
[[nodiscard]] ktls::Result<void> validate_suites(const TlsOptions& options);

}  // namespace tools
