// SslContext: the Context behind the interface, an SSL_CTX with what its callbacks need.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "userspace/handshake/openssl/context.h"
#include "userspace/handshake/openssl/hosts.h"
#include "userspace/handshake/openssl/pointers.h"
#include "userspace/handshake/openssl/pre_shared_keys.h"
#include "userspace/handshake/openssl/session_cache.h"
#include "userspace/handshake/openssl/ticket_keys.h"

namespace tls {

class SslConnection;

class SslContext final : public Context {
 public:
  // `predecessor`: as for Context::server().
  [[nodiscard]] static ktls::Result<std::shared_ptr<SslContext>> create(
      const ServerOptions& options, const SslContext* predecessor);
  [[nodiscard]] static ktls::Result<std::shared_ptr<SslContext>> create(
      const ClientOptions& options);

  [[nodiscard]] std::string certificate_fingerprint() const override;
  [[nodiscard]] std::string certificate_pem() const override { return hosts_.pem(); }
  [[nodiscard]] std::vector<ServedCertificate> certificates() const override {
    return hosts_.certificates();
  }
  [[nodiscard]] const std::vector<std::string>& warnings() const override { return warnings_; }
  [[nodiscard]] ktls::Result<TicketKeysInUse> use_ticket_keys(
      std::span<const std::string> files) override;
  [[nodiscard]] std::size_t session_count() const override { return sessions_.size(); }

  [[nodiscard]] SSL_CTX* handle() const { return handle_.get(); }
  [[nodiscard]] Role role() const { return role_; }
  // Client role: whether the peer's certificate is verified.
  [[nodiscard]] bool verify() const { return verify_; }
  // Client role: the keys that the peer may have; empty: any.
  [[nodiscard]] const std::vector<std::string>& pins() const { return pins_; }
  [[nodiscard]] const std::vector<std::string>& alpn() const { return alpn_; }
  [[nodiscard]] const KeylogSink& keylog() const { return keylog_; }
  [[nodiscard]] SessionCache& sessions() { return sessions_; }
  // nullptr: there are none.
  [[nodiscard]] const PreSharedKeys* pre_shared_keys() const {
    return pre_shared_keys_ ? &*pre_shared_keys_ : nullptr;
  }
  // Server role.
  [[nodiscard]] const Hosts& hosts() const { return hosts_; }

 private:
  explicit SslContext(Role role) : role_(role) {}

  template <typename Options>
  [[nodiscard]] ktls::Result<void> configure(const Options& options);
  template <typename Options>
  [[nodiscard]] ktls::Result<void> use_suites(const Options& options);
  void take_warnings_of_keys();
  void resume_sessions(unsigned tickets);
  void add_warnings(const std::vector<std::string>& warnings) {
    warnings_.insert(warnings_.end(), warnings.begin(), warnings.end());
  }
  [[nodiscard]] bool choose_host(SslConnection& connection, std::string_view server_name) const;
  [[nodiscard]] bool bind_sessions(SSL* ssl, std::string_view host,
                                   std::string_view server_name) const;
  [[nodiscard]] ktls::Result<void> use_trust(const ClientOptions& options);
  [[nodiscard]] ktls::Result<void> ask_clients(const ServerOptions& options);
  [[nodiscard]] ktls::Result<void> use_alpn(const std::vector<std::string>& protocols);

  static int on_client_hello(SSL* ssl, int* alert, void* context) noexcept;
  static SSL_TICKET_RETURN on_opened_ticket(SSL* ssl, SSL_SESSION* session,
                                            const unsigned char* name, std::size_t name_size,
                                            SSL_TICKET_STATUS status, void* argument) noexcept;
  static int on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                       EVP_MAC_CTX* mac, int seals) noexcept;
  static int select_alpn(SSL* ssl, const unsigned char** chosen, unsigned char* chosen_size,
                         const unsigned char* offered, unsigned int offered_size, void* context);

  Role role_;
  bool verify_ = false;
  std::vector<std::string> pins_;
  std::vector<std::string> alpn_;
  std::vector<unsigned char> alpn_wire_;  // as in the extension: each name after its length
  KeylogSink keylog_;
  std::string ciphers_;       // of TLS 1.2, as the options have them
  std::string client_trust_;  // server role: digest of whom clients are to be vouched for by
  std::optional<PreSharedKeys> pre_shared_keys_;
  std::string psk_ciphersuites_;  // for connections with an external PSK
  Hosts hosts_;
  std::vector<std::string> warnings_;
  std::shared_ptr<TicketKeys> ticket_keys_;  // server role
  SessionCache sessions_;
  SslCtxPtr handle_;  // last: goes first, while what its callbacks need is still there
};

}  // namespace tls
