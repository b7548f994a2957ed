// Certificates of hosts: loaded, tried, shown.
#include "userspace/handshake/openssl/hosts.h"

#include <utility>

#include "userspace/handshake/openssl/error_queue.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::fail;
using ktls::Result;

constexpr int kReplace = 1;  // SSL_CTX_use_cert_and_key(3): `override`

Result<Credentials> default_credentials(const ServerOptions& options) {
  if (!options.certificate_file.empty()) {
    return load_credentials(options.certificate_file, options.key_file);
  }
  if (options.key_file.empty()) return make_self_signed_credentials();
  return fail(Error::of(ErrorCode::kInvalidArgument,
                        options.key_file + ": a key without a certificate file"));
}

}  // namespace

Result<Hosts> Hosts::load(const ServerOptions& options, SSL_CTX* context) {
  KTLS_TRY(Credentials credentials, default_credentials(options));
  if (SSL_CTX_use_cert_and_key(context, credentials.leaf.get(), credentials.key.get(),
                               credentials.chain.get(), kReplace) != 1) {
    return fail(openssl_error(ErrorCode::kInvalidArgument,
                              options.certificate_file + ": libssl refuses the certificate"));
  }
  Hosts hosts;
  hosts.credentials_.push_back(std::move(credentials));
  if (options.hosts.empty()) return hosts;
  // libssl says what it thinks of a certificate (too weak a key, for instance) only when it is
  // given to it, and a handshake is too late for that.
  const SslPtr trial(SSL_new(context));
  if (!trial) return fail(openssl_error(ErrorCode::kCrypto, "SSL_new"));
  for (const Host& host : options.hosts) {
    if (auto added = hosts.add(host, trial.get()); !added) return fail(added.error());
  }
  return hosts;
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
  credentials_.push_back(std::move(*loaded));
  if (auto shown = show(credentials_.size() - 1, trial); !shown) {
    Error error = std::move(shown.error());
    error.detail = host.certificate_file + ": " + error.detail;
    return fail(std::move(error));
  }
  return {};
}

std::size_t Hosts::find(std::string_view server_name) const {
  const auto found = names_.find(server_name);
  return found ? *found + 1 : kDefault;
}

const std::string& Hosts::name(std::size_t host) const {
  static const std::string none;
  return host == kDefault ? none : names_.all()[host - 1];
}

// libssl keeps a certificate for each type of key: of the one shown before, none may be left that
// the client might prefer.
Result<void> Hosts::show(std::size_t host, SSL* ssl) const {
  const Credentials& credentials = credentials_[host];
  SSL_certs_clear(ssl);
  if (SSL_use_cert_and_key(ssl, credentials.leaf.get(), credentials.key.get(),
                           credentials.chain.get(), kReplace) != 1) {
    return fail(openssl_error(ErrorCode::kInvalidArgument, "libssl refuses the certificate"));
  }
  return {};
}

std::vector<ServedCertificate> Hosts::certificates() const {
  std::vector<ServedCertificate> served;
  for (std::size_t host = 0; host < credentials_.size(); ++host) {
    const X509* const leaf = credentials_[host].leaf.get();
    served.push_back({name(host), fingerprint_of(leaf), not_after(leaf)});
  }
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
