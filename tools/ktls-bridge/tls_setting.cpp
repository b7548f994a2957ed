// What is set up before the first TLS connection, and what can be read again.

#include "tools/ktls-bridge/tls_setting.h"

#include <string_view>
#include <utility>

#include "ktls/core/reason.h"
#include "tools/ktls-bridge/connection_metrics.h"
#include "userspace/suite/cipher_suite.h"

namespace tools {

using ktls::ErrorCode;
using ktls::Result;

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
  return std::nullopt;
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
  tls::KeylogSink sink;
  if (keylog_) {
    sink = [keylog = keylog_.get(), &log = log_](std::string_view line) {
      keylog->append(line, log);
    };
  }
  if (client_) {
    return tls::Context::client({.ca_file = client_->ca_file,
                                 .verify = client_->verify,
                                 .alpn = options_.alpn,
                                 .version_max = version_max(),
                                 .ciphers = {},
                                 .ciphersuites = {},
                                 .keylog = sink});
  }
  return tls::Context::server({.certificate_file = options_.certificate_file,
                               .key_file = options_.key_file,
                               .hosts = options_.hosts,
                               .client_ca_file = options_.client_ca_file,
                               .client_authentication = options_.client_authentication,
                               .alpn = options_.alpn,
                               .version_max = version_max(),
                               .ciphers = {},
                               .ciphersuites = {},
                               .keylog = sink},
                              contexts_.current());
}

std::optional<Complaint> TlsSetting::check_kernel() {
  capability_ = ktls::probe(tls::handshake_kernel_ciphers());
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
}

void TlsSetting::announce_self_signed() const {
  if (!is_self_signed()) return;
  log_.write(LogLevel::kWarning, "self_signed",
             {{"sha256", context()->certificate_fingerprint()},
              {"hint", std::string("for a first try only: clients cannot verify it")}});
}

void TlsSetting::reload() {
  const bool has_files =
      client_ ? !client_->ca_file.empty() : !is_self_signed() || !options_.hosts.empty();
  if (!has_files) {
    count_reload(counts_, role(), metrics::ReloadResult::kNothing);
    const char* why = client_ ? "there is no --ca" : "the certificate is self-signed";
    log_.write(LogLevel::kInfo, "reload", {{"detail", std::string("nothing to reload: ") + why}});
    return;
  }
  auto next = make_context();
  count_reload(counts_, role(), next ? metrics::ReloadResult::kOk : metrics::ReloadResult::kFailed);
  if (!next) {
    const char* kept = client_ ? "the old --ca stays in use" : "the old certificate stays in use";
    log_.write(LogLevel::kError, "reload",
               {{"error", next.error().message()}, {"hint", std::string(kept)}});
    return;
  }
  LogFields fields;
  if (client_) {
    fields.emplace_back("ca", client_->ca_file);
  } else {
    fields.emplace_back("sha256", (*next)->certificate_fingerprint());
  }
  std::string warnings;
  for (const std::string& warning : (*next)->warnings()) {
    warnings.append(warnings.empty() ? "" : "; ").append(warning);
  }
  if (!warnings.empty()) fields.emplace_back("detail", warnings);
  contexts_.replace(*std::move(next));
  log_.write(warnings.empty() ? LogLevel::kInfo : LogLevel::kWarning, "reload", fields);
}

}  // namespace tools
