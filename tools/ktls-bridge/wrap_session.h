// wrap_session(): the story of one connection of `wrap`: accept, handshake, adopt, connect, relay,
// close, and the line that it leaves.
#pragma once

#include <vector>

#include "ktls/base/unique_fd.h"
#include "tools/common/address.h"
#include "tools/ktls-bridge/origin.h"
#include "tools/ktls-bridge/phase.h"
#include "tools/ktls-bridge/tls_setting.h"
#include "tools/ktls-bridge/wrap_options.h"
#include "userspace/io/loop.h"
#include "userspace/io/task.h"

namespace tools {

// What every connection of every thread shares.
struct WrapSetting {
  const WrapOptions& options;
  const TlsSetting& tls;
  std::vector<SocketAddress> to;
};

// Serves the accepted connection until its end, for which `origin` is borrowed.
[[nodiscard]] bridge::Task<void> wrap_session(bridge::Loop& loop, Cancellation& cancellation,
                                              const WrapSetting& setting, ktls::UniqueFd accepted,
                                              const Origin& origin);

}  // namespace tools
