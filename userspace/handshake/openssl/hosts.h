// Hosts: a server's certificates by the names that clients ask for, and the default ones.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ktls/base/result.h"
#include "userspace/handshake/host_names.h"
#include "userspace/handshake/openssl/certificate_sets.h"
#include "userspace/handshake/openssl/context.h"
#include "userspace/handshake/openssl/credentials.h"
#include "userspace/handshake/openssl/staple.h"

namespace tls {

class Hosts {
 public:
  // The index of the default; those of the options follow.
  static constexpr std::size_t kDefault = 0;

  // No host: the client role.
  Hosts() = default;
  // Reads all files and has libssl look at each certificate, the default ones becoming those of
  // `context`. Errors as Context::server(). `predecessor`: what is replaced; null at the start.
  [[nodiscard]] static ktls::Result<Hosts> load(const ServerOptions& options, SSL_CTX* context,
                                                const Hosts* predecessor);

  // What a client asks for by `server_name` (canonical; empty: none was sent).
  //   certificates  for show()
  struct Choice {
    std::size_t host = kDefault;
    std::size_t certificates = CertificateSets::kDefault;
  };
  [[nodiscard]] Choice choose(std::string_view server_name) const;

  // Its name in canonical form; empty for the default.
  [[nodiscard]] const std::string& name(std::size_t host) const;

  // Has `ssl` show one of these certificates, and no other. Error: kInvalidArgument.
  [[nodiscard]] ktls::Result<void> show(std::size_t certificates, SSL* ssl) const;

  // Of a certificate that is shown; nullptr: there is none.
  [[nodiscard]] const Staple* staple_of(const X509* leaf) const;

  // As Context::certificates().
  [[nodiscard]] std::vector<ServedCertificate> certificates() const;
  [[nodiscard]] std::vector<std::string> warnings() const;
  // Of the default certificate.
  [[nodiscard]] std::string pem() const;

 private:
  [[nodiscard]] ktls::Result<void> load_common(const ServerOptions& options, SSL* trial,
                                               const Hosts* predecessor);
  // The certificate of our own making, while it is valid; null: there is none.
  [[nodiscard]] const Credentials* self_signed() const;
  [[nodiscard]] ktls::Result<void> add(const Host& host, SSL* trial);
  // Tries the certificate at `trial`.
  [[nodiscard]] ktls::Result<void> keep(Credentials credentials, SSL* trial);
  [[nodiscard]] ktls::Result<void> load_staples(const std::vector<std::string>& files,
                                                bool is_at_start);
  void keep(Staple staple, Credentials& credentials);
  void choose_sets();

  HostNames names_;
  std::vector<Credentials> credentials_;  // those of no host, the default first; then the hosts'
  std::size_t common_ = 0;                // how many are of no host
  CertificateSets sets_;
  std::vector<std::size_t> set_of_host_;  // as names_ has them
  std::unordered_map<const X509*, std::shared_ptr<const Staple>> staples_;
};

}  // namespace tls
