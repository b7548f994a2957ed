// redirect_session(): one connection of plain HTTP, each of whose requests is sent to HTTPS.
#pragma once

#include "ktls/base/unique_fd.h"
#include "tools/ktls-bridge/phase.h"
#include "tools/ktls-bridge/serve_setting.h"
#include "userspace/io/loop.h"
#include "userspace/io/task.h"

namespace tools {

// Serves the accepted connection until its end.
[[nodiscard]] bridge::Task<void> redirect_session(bridge::Loop& loop, Cancellation& cancellation,
                                                  const ServeSetting& setting,
                                                  ktls::UniqueFd accepted);

}  // namespace tools
