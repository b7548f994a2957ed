// SslConnection: one SSL object between two memory BIOs, and the way back from libssl's callbacks
// (which belong to the SSL_CTX) to whoever drives the connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ktls/base/result.h"
#include "userspace/handshake/openssl/pointers.h"
#include "userspace/handshake/openssl/ssl_context.h"

namespace tls {

// What libssl tells while it works.
class SslObserver {
 public:
  virtual ~SslObserver() = default;
  virtual void keylog_line(std::string_view line) = 0;
  // As SSL_CTX_set_msg_callback(3) says: `type` may be a pseudo type such as SSL3_RT_HEADER.
  virtual void message(bool written, int type, std::span<const std::uint8_t> bytes) = 0;
};

class SslConnection {
 public:
  // `server_name` as for Handshake::create(). Errors: kInvalidArgument for a name that cannot be
  // verified, kCrypto.
  [[nodiscard]] static ktls::Result<std::unique_ptr<SslConnection>> create(
      std::shared_ptr<SslContext> context, const std::string& server_name);
  SslConnection(const SslConnection&) = delete;
  SslConnection& operator=(const SslConnection&) = delete;
  ~SslConnection();

  [[nodiscard]] SSL* ssl() const { return ssl_.get(); }
  [[nodiscard]] SslContext& context() const { return *context_; }
  // Client role: the name or address to verify, without a trailing dot; else empty.
  [[nodiscard]] const std::string& server_name() const { return server_name_; }
  // Client role: what the peer's sessions are kept under.
  [[nodiscard]] const std::string& session_key() const { return session_key_; }

  // Server role: what the ClientHello asked for.
  [[nodiscard]] const Hosts::Choice& choice() const { return choice_; }
  void choose(const Hosts::Choice& choice) { choice_ = choice; }

  // Whom the callbacks tell; nullptr: nobody.
  void observe(SslObserver* observer) { observer_ = observer; }

  // What libssl has no words for: why the peer's certificate is not accepted.
  void object(std::string objection) { objection_ = std::move(objection); }
  [[nodiscard]] const std::string& objection() const { return objection_; }

  // Bytes of the peer for libssl to read.
  [[nodiscard]] ktls::Result<void> feed(std::span<const std::uint8_t> bytes);
  // Whether libssl has read and used all that was fed.
  [[nodiscard]] bool all_consumed() const;
  // What libssl wrote since the last call.
  [[nodiscard]] std::vector<std::uint8_t> drain();

  // The record_size_limit that the peer sent (RFC 8449 section 4).
  [[nodiscard]] std::optional<std::uint16_t> peer_record_size_limit() const {
    return peer_record_size_limit_;
  }
  void set_peer_record_size_limit(std::uint16_t limit) { peer_record_size_limit_ = limit; }

  // Installs the callbacks that lead here.
  static void install_callbacks(SSL_CTX* context);
  // Whose `ssl` is; nullptr while it is being made.
  static SslConnection* of(const SSL* ssl);

 private:
  SslConnection(std::shared_ptr<SslContext> context, SslPtr ssl)
      : context_(std::move(context)), ssl_(std::move(ssl)) {}

  [[nodiscard]] ktls::Result<void> expect_peer(std::string server_name);
  void offer_session();

  static void on_keylog(const SSL* ssl, const char* line) noexcept;
  static int on_new_session(SSL* ssl, SSL_SESSION* session) noexcept;
  static void on_message(int written, int version, int type, const void* bytes, std::size_t size,
                         SSL* ssl, void* argument) noexcept;

  std::shared_ptr<SslContext> context_;
  SslPtr ssl_;
  std::string server_name_;
  std::string session_key_;
  Hosts::Choice choice_;
  std::string objection_;
  std::optional<std::uint16_t> peer_record_size_limit_;
  SslObserver* observer_ = nullptr;
};

}  // namespace tls
