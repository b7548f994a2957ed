// Hosts: a server's certificates by the names that clients ask for, and the default one.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "ktls/base/result.h"
#include "userspace/handshake/host_names.h"
#include "userspace/handshake/openssl/context.h"
#include "userspace/handshake/openssl/credentials.h"

namespace tls {

class Hosts {
 public:
  // The index of the default; those of the options follow.
  static constexpr std::size_t kDefault = 0;

  // No host: the client role.
  Hosts() = default;
  // Reads all files and has libssl look at each certificate, the default one becoming that of
  // `context`. Errors as Context::server().
  [[nodiscard]] static ktls::Result<Hosts> load(const ServerOptions& options, SSL_CTX* context);

  // The host that `server_name` (canonical; empty: none was sent) asks for.
  [[nodiscard]] std::size_t find(std::string_view server_name) const;

  // Its name in canonical form; empty for the default.
  [[nodiscard]] const std::string& name(std::size_t host) const;

  // Has `ssl` show the certificate of `host`, and no other. Error: kInvalidArgument.
  [[nodiscard]] ktls::Result<void> show(std::size_t host, SSL* ssl) const;

  // In the order of indices.
  [[nodiscard]] std::vector<ServedCertificate> certificates() const;
  [[nodiscard]] std::vector<std::string> warnings() const;
  // Of the default certificate.
  [[nodiscard]] std::string pem() const;

 private:
  [[nodiscard]] ktls::Result<void> add(const Host& host, SSL* trial);

  HostNames names_;
  std::vector<Credentials> credentials_;  // by index: one more than names
};

}  // namespace tls
