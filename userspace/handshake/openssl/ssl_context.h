// SslContext: the Context behind the interface, an SSL_CTX with what its callbacks need.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "userspace/handshake/openssl/context.h"
#include "userspace/handshake/openssl/pointers.h"
#include "userspace/handshake/openssl/session_cache.h"

namespace tls {

class SslContext final : public Context {
 public:
  [[nodiscard]] static ktls::Result<std::shared_ptr<SslContext>> create(
      const ServerOptions& options);
  [[nodiscard]] static ktls::Result<std::shared_ptr<SslContext>> create(
      const ClientOptions& options);

  [[nodiscard]] std::string certificate_fingerprint() const override { return fingerprint_; }
  [[nodiscard]] std::string certificate_pem() const override { return pem_; }
  [[nodiscard]] const std::vector<std::string>& warnings() const override { return warnings_; }
  [[nodiscard]] std::size_t session_count() const override { return sessions_.size(); }

  [[nodiscard]] SSL_CTX* handle() const { return handle_.get(); }
  [[nodiscard]] Role role() const { return role_; }
  // Client role: whether the peer's certificate is verified.
  [[nodiscard]] bool verify() const { return verify_; }
  [[nodiscard]] const std::vector<std::string>& alpn() const { return alpn_; }
  [[nodiscard]] const KeylogSink& keylog() const { return keylog_; }
  [[nodiscard]] SessionCache& sessions() { return sessions_; }

 private:
  explicit SslContext(Role role) : role_(role) {}

  template <typename Options>
  [[nodiscard]] ktls::Result<void> configure(const Options& options);
  [[nodiscard]] ktls::Result<void> use_credentials(const ServerOptions& options);
  [[nodiscard]] ktls::Result<void> use_trust(const ClientOptions& options);
  [[nodiscard]] ktls::Result<void> use_alpn(const std::vector<std::string>& protocols);

  static int select_alpn(SSL* ssl, const unsigned char** chosen, unsigned char* chosen_size,
                         const unsigned char* offered, unsigned int offered_size, void* context);

  Role role_;
  bool verify_ = false;
  std::vector<std::string> alpn_;
  std::vector<unsigned char> alpn_wire_;  // as in the extension: each name after its length
  KeylogSink keylog_;
  std::string fingerprint_;
  std::string pem_;
  std::vector<std::string> warnings_;
  SessionCache sessions_;
  SslCtxPtr handle_;  // last: goes first, while what its callbacks need is still there
};

}  // namespace tls
