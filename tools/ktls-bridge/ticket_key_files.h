// TicketKeyFiles: the files of --ticket-keys, read at the start, on SIGHUP and when they change.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "ktls/base/result.h"
#include "tools/common/log.h"
#include "tools/ktls-bridge/context_slot.h"
#include "tools/ktls-bridge/file_changes.h"
#include "tools/metrics/metrics.h"

namespace tools {

// Thread-safe.
class TicketKeyFiles {
 public:
  // `files` may be none: then nothing is done. `contexts` holds one of the server role when there
  // are some; all are borrowed.
  TicketKeyFiles(const std::vector<std::string>& files, const ContextSlot& contexts,
                 const Log& log);

  [[nodiscard]] bool empty() const { return files_.empty(); }

  // At the start. Errors as Context::use_ticket_keys().
  [[nodiscard]] ktls::Result<void> load();
  // Line `ticket_keys`: what was loaded.
  void announce() const;

  // Borrows `counts`, which may be null: what look() comes to is counted there.
  void count_in(metrics::Metrics* counts) { counts_ = counts; }

  // Reads the files again. What can be used is, from the next ticket on; what cannot leaves the
  // keys as they were. Line `ticket_keys` either way. Whoever asks for it counts it.
  [[nodiscard]] metrics::ReloadResult reload();
  // One look at the files: those that have changed are read again.
  void look();

 private:
  void write(const tls::TicketKeysInUse& in_use) const;
  [[nodiscard]] metrics::ReloadResult read_again();  // with the mutex

  const std::vector<std::string>& files_;
  const ContextSlot& contexts_;
  const Log& log_;
  metrics::Metrics* counts_ = nullptr;
  std::mutex mutex_;
  FileChanges changes_;
  tls::TicketKeysInUse loaded_;
};

}  // namespace tools
