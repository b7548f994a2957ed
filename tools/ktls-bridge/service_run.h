// The last part of every service's start, in one order: what is open and confined is announced,
// started, and served until a signal.
#pragma once

#include <functional>

#include "tools/ktls-bridge/metrics_service.h"
#include "tools/ktls-bridge/service.h"
#include "tools/ktls-bridge/tls_setting.h"

namespace tools {

// Answers the exit code; complains as `command`. SIGHUP reads the files of `tls` again, and calls
// `reload`, which may be empty.
[[nodiscard]] int run_service(const char* command, Service& service, MetricsService& metrics,
                              TlsSetting& tls, const std::function<void()>& reload);

}  // namespace tools
