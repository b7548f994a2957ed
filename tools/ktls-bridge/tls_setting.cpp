// What is set up before the first TLS connection, and what can be read again.

#include "tools/ktls-bridge/tls_setting.h"

#include <cstdint>
#include <string_view>
#include <utility>

#include "ktls/core/reason.h"
#include "tools/hardening/sandbox.h"
#include "tools/ktls-bridge/certificate_flags.h"
#include "tools/ktls-bridge/connection_metrics.h"
#include "userspace/handshake/openssl/suite_list.h"

namespace tools {

using ktls::ErrorCode;
using ktls::Result;
using metrics::ReloadResult;

namespace {

// Of two parts of one reload.
ReloadResult both_of(ReloadResult one, ReloadResult other) {
  for (const ReloadResult each : {ReloadResult::kFailed, ReloadResult::kOk}) {
    if (one == each || other == each) return each;
  }
  return ReloadResult::kNothing;
}

}  // namespace

TlsSetting::TlsSetting(const TlsOptions& options, std::optional<ClientRole> client, const Log& log)
    : options_(options), client_(std::move(client)), log_(log) {}

std::optional<Complaint> TlsSetting::prepare() {
  if (auto failed = open_keylog()) return failed;
  if (auto failed = check_kernel()) return failed;
  auto context = make_context();
  if (!context) {
    const bool unreadable = context.error().code == ErrorCode::kSystem;
    return Complaint{unreadable ? kExitNoInput : kExitBadCertificate, context.error().message()};
  }
  contexts_.replace(*std::move(context));
  return load_ticket_keys();
}

std::optional<Complaint> TlsSetting::load_ticket_keys() {
  const auto loaded = ticket_keys_.load();
  if (loaded) return std::nullopt;
  const bool unreadable = loaded.error().code == ErrorCode::kSystem;
  return Complaint{unreadable ? kExitNoInput : kExitBadCertificate,
                   "--ticket-keys " + loaded.error().message()};
}

tls::ProtocolVersion TlsSetting::version_max() const {
  const bool is_limited =
      options_.tls12_without_rekey && capability_.attach_errno == 0 && !capability_.rekey;
  return is_limited ? tls::ProtocolVersion::kTls12 : options_.version_max;
}

std::optional<Complaint> TlsSetting::open_keylog() {
  if (options_.keylog_file.empty()) return std::nullopt;
  auto opened = KeylogFile::open(options_.keylog_file);
  if (!opened) return Complaint{kExitCannotCreate, "--keylog " + opened.error().message()};
  keylog_ = *std::move(opened);
  log_.write(LogLevel::kWarning, "keylog",
             {{"file", options_.keylog_file},
              {"hint", std::string("whoever reads this file reads the traffic")}});
  return std::nullopt;
}

Result<std::shared_ptr<tls::Context>> TlsSetting::make_context() const {
  auto context = read_files();
  if (context) return context;
  return ktls::fail(naming_flag(std::move(context).error()));
}

ktls::Error TlsSetting::naming_flag(ktls::Error error) const {
  std::string flag = flag_of(error.detail, options_);
  if (client_ && is_about(error.detail, client_->ca_file)) flag = "--ca";
  if (client_ && is_about(error.detail, client_->crl_file)) flag = "--crl";
  if (!flag.empty()) error.detail = flag + " " + error.detail;
  return error;
}

Result<std::shared_ptr<tls::Context>> TlsSetting::read_files() const {
  tls::KeylogSink sink;
  if (keylog_) {
    sink = [keylog = keylog_.get(), &log = log_](std::string_view line) {
      keylog->append(line, log);
    };
  }
  if (client_) {
    return tls::Context::client({.ca_file = client_->ca_file,
                                 .crl_file = client_->crl_file,
                                 .verify = client_->verify,
                                 .pins = client_->pins,
                                 .certificates = certificates_of(options_),
                                 .alpn = options_.alpn,
                                 .version_min = options_.version_min,
                                 .version_max = version_max(),
                                 .ciphers = options_.ciphers,
                                 .ciphersuites = options_.ciphersuites,
                                 .groups = options_.groups,
                                 .psk_file = options_.psk_file,
                                 .keylog = sink});
  }
  tls::ServerOptions options = server_options();
  options.keylog = sink;
  return tls::Context::server(options, contexts_.current());
}

tls::ServerOptions TlsSetting::server_options() const {
  return {.certificate_file = {},
          .key_file = {},
          .hosts = options_.hosts,
          .certificates = certificates_of(options_),
          .certificate_directory = options_.certificate_directory,
          .ocsp_files = options_.ocsp_files,
          .client_ca_file = options_.client_ca_file,
          .client_crl_file = options_.client_crl_file,
          .client_authentication = options_.client_authentication,
          .alpn = options_.alpn,
          .version_min = options_.version_min,
          .version_max = version_max(),
          .ciphers = options_.ciphers,
          .ciphersuites = options_.ciphersuites,
          .groups = options_.groups,
          .psk_file = options_.psk_file,
          .keylog = {},
          .tickets = options_.tickets.value_or(tls::kTicketsDefault)};
}

std::optional<Complaint> TlsSetting::check_kernel() {
  capability_ = ktls::probe(tls::kernel_ciphers_of(suite_choice_of(options_)));
  if (options_.offload != bridge::OffloadPolicy::kRequireKernel || capability_.attach_errno == 0) {
    return std::nullopt;
  }
  const ktls::ReasonText& text = ktls::text_of(ktls::reason_of_attach(capability_.attach_errno));
  std::string what("--offload kernel: ");
  what.append(text.code).append(": ").append(text.sentence).append("; ").append(text.remedy);
  return Complaint{kExitUnavailable, what};
}

void TlsSetting::announce_warnings() const {
  for (const std::string& warning : context()->warnings()) {
    log_.write(LogLevel::kWarning, "certificate", {{"detail", warning}});
  }
  ticket_keys_.announce();
}

void TlsSetting::announce_self_signed() const {
  if (!is_self_signed()) return;
  log_.write(LogLevel::kWarning, "self_signed",
             {{"sha256", context()->certificate_fingerprint()},
              {"hint", std::string("for a first try only: clients cannot verify it")}});
}

bool TlsSetting::is_self_signed() const {
  return !client_ && !has_certificates(options_) && !server_options().is_psk_only();
}

bool TlsSetting::has_files() const {
  if (has_psk()) return true;
  if (client_) return !client_->ca_file.empty() || has_certificates(options_);
  return !is_self_signed() || !options_.hosts.empty() || !options_.client_ca_file.empty();
}

void TlsSetting::reload() {
  const ReloadResult keys = ticket_keys_.reload();
  if (!has_files()) {
    count_reload(counts_, role(), keys);
    const char* why =
        client_ ? "there is no --ca and no certificate to show" : "the certificate is self-signed";
    log_.write(LogLevel::kInfo, "reload", {{"detail", std::string("nothing to reload: ") + why}});
    return;
  }
  auto next = make_context();
  count_reload(counts_, role(), both_of(keys, next ? ReloadResult::kOk : ReloadResult::kFailed));
  if (!next) {
    log_.write(LogLevel::kError, "reload",
               {{"error", next.error().message()},
                {"hint", "what was read before stays in use" + advice_on(next.error())}});
    return;
  }
  LogFields fields;
  if (client_) {
    if (!client_->ca_file.empty()) fields.emplace_back("ca", client_->ca_file);
    const std::vector<std::string>& shown = options_.certificate_files;
    if (!shown.empty()) fields.emplace_back("cert", shown.front());
  } else if (!(*next)->certificates().empty()) {
    fields.emplace_back("sha256", (*next)->certificate_fingerprint());
    const std::uint64_t certificates = (*next)->certificates().size();
    if (certificates > 1) fields.emplace_back("certificates", certificates);
  }
  if (has_psk()) fields.emplace_back("psk", options_.psk_file);
  std::string warnings;
  for (const std::string& warning : (*next)->warnings()) {
    warnings.append(warnings.empty() ? "" : "; ").append(warning);
  }
  if (!warnings.empty()) fields.emplace_back("detail", warnings);
  contexts_.replace(*std::move(next));
  log_.write(warnings.empty() ? LogLevel::kInfo : LogLevel::kWarning, "reload", fields);
}

}  // namespace tools
