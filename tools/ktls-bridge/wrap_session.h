// wrap_session(): the story of one connection of `wrap`: accept, handshake, adopt, connect, relay,
// close, and the line that it leaves.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ktls/base/unique_fd.h"
#include "ktls/core/capability.h"
#include "tools/common/address.h"
#include "tools/common/log.h"
#include "tools/ktls-bridge/wrap_options.h"
#include "userspace/handshake/openssl/context.h"
#include "userspace/io/loop.h"
#include "userspace/io/scope.h"
#include "userspace/io/task.h"

namespace tools {

// What every connection of every thread shares; made before the threads, and read-only.
struct WrapSetting {
  const WrapOptions* options = nullptr;
  const Log* log = nullptr;
  std::shared_ptr<tls::Context> context;
  ktls::Capability capability;
  std::vector<SocketAddress> to;
  std::string server_name;  // client role
};

// Ends a session early, whichever phase it is in. Used on the loop's thread only.
class Cancellation {
 public:
  void cancel();
  [[nodiscard]] bool cancelled() const { return cancelled_; }

 private:
  friend class Phase;

  bool cancelled_ = false;
  bridge::Scope* current_ = nullptr;
};

// Serves the accepted connection until its end.
[[nodiscard]] bridge::Task<void> wrap_session(bridge::Loop& loop, Cancellation& cancellation,
                                              const WrapSetting& setting, ktls::UniqueFd accepted);

}  // namespace tools
