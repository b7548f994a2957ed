// TlsSetting: what the TLS connections of a subcommand share: certificates or trust, what the
// kernel can do, and the key log.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ktls/base/result.h"
#include "ktls/core/capability.h"
#include "tools/common/keylog_file.h"
#include "tools/common/log.h"
#include "tools/ktls-bridge/complaint.h"
#include "tools/ktls-bridge/context_slot.h"
#include "tools/ktls-bridge/ticket_key_files.h"
#include "tools/ktls-bridge/ticket_key_watch.h"
#include "tools/ktls-bridge/tls_flags.h"
#include "userspace/handshake/openssl/context.h"
#include "userspace/suite/version.h"

namespace metrics {
class Metrics;
}

namespace tools {

// What the client role has besides TlsOptions.
//   ca_file      empty: the system's trust store
//   crl_file     of those in ca_file; empty: nobody is asked about
//   pins         the keys that the peer may have; empty: any
//   server_name  what the peer's certificate must be for
struct ClientRole {
  std::string ca_file;
  std::string crl_file = {};
  std::vector<std::string> pins = {};
  bool verify = true;
  std::string server_name;
};

// Made and reloaded by the main thread, read by any.
class TlsSetting {
 public:
  // The server role without `client`. `options` and `log` are borrowed.
  TlsSetting(const TlsOptions& options, std::optional<ClientRole> client, const Log& log);

  // Borrows `counts`, which may be null: then nobody counts. Before the first connection.
  void count_in(metrics::Metrics* counts) {
    counts_ = counts;
    ticket_keys_.count_in(counts);
  }

  // Opens the key log, reads certificates, and tries what the kernel can do.
  [[nodiscard]] std::optional<Complaint> prepare();

  // Lines `certificate`: what is wrong with the certificates, but not so that nobody takes them;
  // and line `ticket_keys`, where there are files of them.
  void announce_warnings() const;
  // Line `self_signed`, where there is such a certificate.
  void announce_self_signed() const;

  // Reads the files again. Connections that begin from now on see what is in them; where that
  // cannot be used, what was there before stays in use. Line `reload` either way.
  void reload();
  // From now on files that are renewed without a signal are read again by themselves: those of
  // --ticket-keys. Error: kSystem.
  [[nodiscard]] ktls::Result<void> watch_files() { return watch_.start(); }

  [[nodiscard]] const TlsOptions& options() const { return options_; }
  [[nodiscard]] const Log& log() const { return log_; }
  // Where connections are counted; null: nowhere.
  [[nodiscard]] metrics::Metrics* counts() const { return counts_; }
  [[nodiscard]] tls::Role role() const { return client_ ? tls::Role::kClient : tls::Role::kServer; }
  [[nodiscard]] std::string server_name() const {
    return client_ ? client_->server_name : std::string();
  }
  [[nodiscard]] const ktls::Capability& capability() const { return capability_; }
  // For one connection, at its beginning.
  [[nodiscard]] std::shared_ptr<tls::Context> context() const { return contexts_.current(); }

 private:
  [[nodiscard]] std::optional<Complaint> open_keylog();
  [[nodiscard]] std::optional<Complaint> check_kernel();
  [[nodiscard]] std::optional<Complaint> load_ticket_keys();
  // Of the files as they are now. contexts_ has the one that it is to succeed; at the start, none.
  [[nodiscard]] ktls::Result<std::shared_ptr<tls::Context>> make_context() const;
  [[nodiscard]] ktls::Result<std::shared_ptr<tls::Context>> read_files() const;
  // But for the key log.
  [[nodiscard]] tls::ServerOptions server_options() const;
  // The error, with the flag of its file before that.
  [[nodiscard]] ktls::Error naming_flag(ktls::Error error) const;
  [[nodiscard]] tls::ProtocolVersion version_max() const;
  [[nodiscard]] bool is_self_signed() const;
  [[nodiscard]] bool has_psk() const { return !options_.psk_file.empty(); }
  [[nodiscard]] bool has_files() const;

  const TlsOptions& options_;
  std::optional<ClientRole> client_;
  const Log& log_;
  metrics::Metrics* counts_ = nullptr;
  std::unique_ptr<KeylogFile> keylog_;
  ktls::Capability capability_;
  ContextSlot contexts_;
  TicketKeyFiles ticket_keys_{options_.ticket_key_files, contexts_, log_};
  TicketKeyWatch watch_{ticket_keys_};  // last: ends first
};

}  // namespace tools
