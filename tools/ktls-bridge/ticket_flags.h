// The flags of session tickets, in every subcommand that has the server role.
#pragma once

#include "ktls/base/result.h"
#include "tools/ktls-bridge/tls_flags.h"

namespace tools {

void add_ticket_flags(CLI::App& app, TlsOptions& options);  // --ticket-keys --tickets

[[nodiscard]] inline bool has_ticket_flags(const TlsOptions& options) {
  return !options.ticket_key_files.empty() || options.tickets.has_value();
}

// What one flag alone cannot tell. Error: kInvalidArgument naming the flags.
[[nodiscard]] ktls::Result<void> validate_tickets(const TlsOptions& options);

}  // namespace tools
