// --ticket-keys and --tickets, and what they exclude.

#include "tools/ktls-bridge/ticket_flags.h"

#include <cstddef>
#include <string>

#include <CLI/CLI.hpp>

namespace tools {
namespace {

// The one that seals, the next one, and those before whose tickets are still good: each ticket is
// compared with the names of all.
constexpr std::size_t kFilesMax = 16;
// A client of TLS 1.3 uses each once (RFC 8446 appendix C.4); more parallel connections than that
// begin with one.
constexpr unsigned kTicketsMax = 16;

}  // namespace

void add_ticket_flags(CLI::App& app, TlsOptions& options) {
  app.add_option("--ticket-keys", options.ticket_key_files,
                 "Seal session tickets with this key (48 or 80 random bytes, as nginx has them), "
                 "so that machines that share it resume each other's sessions; may be repeated: "
                 "the first seals, all open. Read again when it changes")
      ->allow_extra_args(false)
      ->type_name("FILE")
      ->group("TLS");
  app.add_option_function<unsigned>(
         "--tickets", [&options](unsigned count) { options.tickets = count; },
         "Session tickets for each client of TLS 1.3, 0 to 16; 0: no session is resumed")
      ->check(CLI::Range(0U, kTicketsMax).description(""))
      ->type_name("N")
      ->default_str(std::to_string(tls::kTicketsDefault))
      ->group("TLS");
}

ktls::Result<void> validate_tickets(const TlsOptions& options) {
  const auto refuse = [](const std::string& detail) {
    return ktls::fail(ktls::Error::of(ktls::ErrorCode::kInvalidArgument, detail));
  };
  if (options.ticket_key_files.size() > kFilesMax) {
    return refuse("--ticket-keys: at most " + std::to_string(kFilesMax) + " files");
  }
  if (!options.ticket_key_files.empty() && options.tickets == 0U) {
    return refuse("--ticket-keys and --tickets 0 exclude each other");
  }
  return {};
}

}  // namespace tools
