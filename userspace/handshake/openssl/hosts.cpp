// Certificates of hosts: loaded, tried, shown.
#include "userspace/handshake/openssl/hosts.h"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <utility>

#include <unistd.h>

#include "userspace/handshake/openssl/certificate_directory.h"
#include "userspace/handshake/openssl/error_queue.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::fail;
using ktls::Result;

constexpr int kReplace = 1;  // SSL_CTX_use_cert_and_key(3): `override`

// Of no host, in order.
Result<std::vector<CertificateFiles>> common_files(const ServerOptions& options) {
  std::vector<CertificateFiles> files;
  if (!options.certificate_file.empty()) {
    files.push_back({.certificate_file = options.certificate_file, .key_file = options.key_file});
  } else if (!options.key_file.empty()) {
    return fail(Error::of(ErrorCode::kInvalidArgument,
                          options.key_file + ": a key without a certificate file"));
  }
  files.insert(files.end(), options.certificates.begin(), options.certificates.end());
  if (!options.certificate_directory.empty()) {
    KTLS_TRY(const auto listed, certificates_in(options.certificate_directory));
    files.insert(files.end(), listed.begin(), listed.end());
  }
  return files;
}

// Certificate and key are libcrypto's, which counts who has them.
Result<Credentials> shared(const Credentials& credentials) {
  Credentials copy{.file = credentials.file,
                   .leaf = {},
                   .chain = CertificateStackPtr(X509_chain_up_ref(credentials.chain.get())),
                   .key = {},
                   .warnings = credentials.warnings};
  if (!copy.chain || X509_up_ref(credentials.leaf.get()) != 1) {
    return fail(openssl_error(ErrorCode::kCrypto, "X509_up_ref"));
  }
  copy.leaf.reset(credentials.leaf.get());
  if (EVP_PKEY_up_ref(credentials.key.get()) != 1) {
    return fail(openssl_error(ErrorCode::kCrypto, "EVP_PKEY_up_ref"));
  }
  copy.key.reset(credentials.key.get());
  return copy;
}

bool is_there(const std::string& file) {
  return ::access(file.c_str(), F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

}  // namespace

Result<Hosts> Hosts::load(const ServerOptions& options, SSL_CTX* context,
                          const Hosts* predecessor) {
  // libssl says what it thinks of a certificate (too weak a key, for instance) only when it is
  // given to it, and a handshake is too late for that.
  const SslPtr trial(SSL_new(context));
  if (!trial) return fail(openssl_error(ErrorCode::kCrypto, "SSL_new"));
  Hosts hosts;
  if (auto loaded = hosts.load_common(options, trial.get(), predecessor); !loaded) {
    return fail(loaded.error());
  }
  for (const Host& host : options.hosts) {
    if (auto added = hosts.add(host, trial.get()); !added) return fail(added.error());
  }
  const bool is_at_start = predecessor == nullptr;
  if (auto loaded = hosts.load_staples(options.ocsp_files, is_at_start); !loaded) {
    return fail(loaded.error());
  }
  hosts.choose_sets();
  for (const std::size_t each : hosts.sets_[CertificateSets::kDefault]) {
    const Credentials& shown = hosts.credentials_[each];
    if (SSL_CTX_use_cert_and_key(context, shown.leaf.get(), shown.key.get(), shown.chain.get(),
                                 kReplace) != 1) {
      return fail(openssl_error(ErrorCode::kInvalidArgument,
                                shown.file + ": libssl refuses the certificate"));
    }
  }
  return hosts;
}

Result<void> Hosts::load_common(const ServerOptions& options, SSL* trial,
                                const Hosts* predecessor) {
  KTLS_TRY(const std::vector<CertificateFiles> files, common_files(options));
  for (const CertificateFiles& each : files) {
    KTLS_TRY(Credentials credentials, load_credentials(each.certificate_file, each.key_file));
    if (auto kept = keep(std::move(credentials), trial); !kept) return kept;
  }
  if (files.empty()) {
    // Who has noted its fingerprint finds it after a reload as well.
    const Credentials* const before = predecessor == nullptr ? nullptr : predecessor->self_signed();
    KTLS_TRY(Credentials credentials,
             before == nullptr ? make_self_signed_credentials() : shared(*before));
    if (auto kept = keep(std::move(credentials), trial); !kept) return kept;
  }
  common_ = credentials_.size();
  return {};
}

const Credentials* Hosts::self_signed() const {
  if (credentials_.empty()) return nullptr;
  const Credentials& first = credentials_[kDefault];
  const bool is_ours = first.file.empty();
  return is_ours && not_after(first.leaf.get()) > std::time(nullptr) ? &first : nullptr;
}

Result<void> Hosts::add(const Host& host, SSL* trial) {
  if (auto added = names_.add(host.name); !added) return added;
  if (host.certificate_file.empty()) {
    return fail(Error::of(ErrorCode::kInvalidArgument,
                          "host " + host.name + ": a certificate file is needed"));
  }
  auto loaded = load_credentials(host.certificate_file, host.key_file);
  if (!loaded) {
    Error error = std::move(loaded.error());
    error.detail = "host " + host.name + ": " + error.detail;
    return fail(std::move(error));
  }
  X509* const leaf = loaded->leaf.get();
  if (!covers(leaf, names_.all().back())) {
    loaded->warnings.push_back(host.certificate_file + ": certificate of " + subject_of(leaf) +
                               " does not hold the name " + names_.all().back());
  }
  return keep(*std::move(loaded), trial);
}

Result<void> Hosts::keep(Credentials credentials, SSL* trial) {
  SSL_certs_clear(trial);
  if (SSL_use_cert_and_key(trial, credentials.leaf.get(), credentials.key.get(),
                           credentials.chain.get(), kReplace) != 1) {
    return fail(openssl_error(ErrorCode::kInvalidArgument,
                              credentials.file + ": libssl refuses the certificate"));
  }
  credentials_.push_back(std::move(credentials));
  return {};
}

// Those beside the certificates first, so that what is named goes before.
Result<void> Hosts::load_staples(const std::vector<std::string>& files, bool is_at_start) {
  for (Credentials& each : credentials_) {
    const std::string file = each.file + ".ocsp";
    if (each.file.empty() || !is_there(file)) continue;
    KTLS_TRY(Staple staple, Staple::read(file));
    KTLS_TRY(const bool is_for, staple.take_for(each));
    if (is_for) {
      keep(std::move(staple), each);
    } else {
      // It may be that of the predecessor: a renewed certificate does not wait for its own.
      each.warnings.push_back(file + ": the OCSP response is for another certificate, not sent");
    }
  }
  for (const std::string& file : files) {
    bool is_for_any = false;
    for (Credentials& each : credentials_) {
      KTLS_TRY(Staple staple, Staple::read(file));
      KTLS_TRY(const bool is_for, staple.take_for(each));
      if (is_for) keep(std::move(staple), each);
      is_for_any = is_for_any || is_for;
    }
    if (is_for_any) continue;
    const std::string objection = file + ": the OCSP response is for none of the certificates";
    if (is_at_start) return fail(Error::of(ErrorCode::kInvalidArgument, objection));
    credentials_.front().warnings.push_back(objection + ", not sent");  // as above
  }
  return {};
}

void Hosts::keep(Staple staple, Credentials& credentials) {
  if (const std::string objection = staple.objection(std::time(nullptr)); !objection.empty()) {
    credentials.warnings.push_back(staple.file() + ": the OCSP response " + objection +
                                   ", not sent");
  }
  staples_.insert_or_assign(credentials.leaf.get(),
                            std::make_shared<const Staple>(std::move(staple)));
}

void Hosts::choose_sets() {
  std::vector<CertificateNames> all;
  for (const Credentials& each : credentials_) {
    all.push_back(
        {.key_kind = EVP_PKEY_get_base_id(each.key.get()), .names = dns_names_of(each.leaf.get())});
  }
  sets_ = CertificateSets(std::move(all), common_);
  for (std::size_t i = 0; i < names_.all().size(); ++i) {
    set_of_host_.push_back(sets_.host(common_ + i, names_.all()[i]));
  }
}

Hosts::Choice Hosts::choose(std::string_view server_name) const {
  if (const auto found = names_.find(server_name)) {
    return {.host = *found + 1, .certificates = set_of_host_[*found]};
  }
  return {.host = kDefault, .certificates = sets_.find(server_name)};
}

const std::string& Hosts::name(std::size_t host) const {
  static const std::string none;
  return host == kDefault ? none : names_.all()[host - 1];
}

// libssl keeps a certificate for each type of key: of those shown before, none may be left that the
// client might prefer.
Result<void> Hosts::show(std::size_t certificates, SSL* ssl) const {
  SSL_certs_clear(ssl);
  for (const std::size_t each : sets_[certificates]) {
    const Credentials& shown = credentials_[each];
    if (SSL_use_cert_and_key(ssl, shown.leaf.get(), shown.key.get(), shown.chain.get(), kReplace) !=
        1) {
      return fail(openssl_error(ErrorCode::kInvalidArgument, "libssl refuses the certificate"));
    }
  }
  return {};
}

const Staple* Hosts::staple_of(const X509* leaf) const {
  const auto found = staples_.find(leaf);
  return found == staples_.end() ? nullptr : found->second.get();
}

std::vector<ServedCertificate> Hosts::certificates() const {
  std::vector<ServedCertificate> served;
  const auto list = [&](std::size_t place, const std::string& host) {
    const X509* const leaf = credentials_[place].leaf.get();
    served.push_back({host, fingerprint_of(leaf), not_after(leaf)});
  };
  if (credentials_.empty()) return served;
  list(kDefault, {});
  for (std::size_t i = 0; i < names_.all().size(); ++i) list(common_ + i, names_.all()[i]);
  for (std::size_t place = kDefault + 1; place < common_; ++place) list(place, {});
  return served;
}

std::vector<std::string> Hosts::warnings() const {
  std::vector<std::string> all;
  for (const Credentials& credentials : credentials_) {
    all.insert(all.end(), credentials.warnings.begin(), credentials.warnings.end());
  }
  return all;
}

std::string Hosts::pem() const {
  return credentials_.empty() ? std::string() : pem_of(credentials_[kDefault].leaf.get());
}

}  // namespace tls
