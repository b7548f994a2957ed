// Ticket keys from files, and the line that says so.

#include "tools/ktls-bridge/ticket_key_files.h"

#include <cstdint>
#include <utility>

#include "tools/hardening/sandbox.h"
#include "tools/ktls-bridge/connection_metrics.h"

namespace tools {

using ktls::Result;
using metrics::ReloadResult;

TicketKeyFiles::TicketKeyFiles(const std::vector<std::string>& files, const ContextSlot& contexts,
                               const Log& log)
    : files_(files), contexts_(contexts), log_(log), changes_(files) {}

Result<void> TicketKeyFiles::load() {
  if (files_.empty()) return {};
  const std::lock_guard lock(mutex_);
  changes_.note();
  KTLS_TRY(loaded_, contexts_.current()->use_ticket_keys(files_));
  return {};
}

void TicketKeyFiles::announce() const {
  if (!files_.empty()) write(loaded_);
}

ReloadResult TicketKeyFiles::reload() {
  if (files_.empty()) return ReloadResult::kNothing;
  const std::lock_guard lock(mutex_);
  changes_.note();
  return read_again();
}

void TicketKeyFiles::look() {
  if (files_.empty()) return;
  const std::lock_guard lock(mutex_);
  if (!changes_.have_settled()) return;
  count_reload(counts_, tls::Role::kServer, read_again());
}

ReloadResult TicketKeyFiles::read_again() {
  const auto used = contexts_.current()->use_ticket_keys(files_);
  if (used) {
    write(*used);
    return ReloadResult::kOk;
  }
  log_.write(LogLevel::kError, "ticket_keys",
             {{"error", used.error().message()},
              {"hint", "the old keys stay in use; all files are read again when one changes" +
                           advice_on(used.error())}});
  return ReloadResult::kFailed;
}

// The name of a key is in the clear in each ticket: it tells machines that share their keys from
// those that do not, and tells nothing of the key.
void TicketKeyFiles::write(const tls::TicketKeysInUse& in_use) const {
  LogFields fields = {{"sealing", in_use.sealing}, {"keys", std::uint64_t{files_.size()}}};
  std::string warnings;
  for (const std::string& warning : in_use.warnings) {
    warnings.append(warnings.empty() ? "" : "; ").append(warning);
  }
  if (!warnings.empty()) fields.emplace_back("detail", warnings);
  log_.write(warnings.empty() ? LogLevel::kInfo : LogLevel::kWarning, "ticket_keys", fields);
}

}  // namespace tools
