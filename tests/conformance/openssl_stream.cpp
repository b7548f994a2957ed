// A peer by libssl, as programs use it.

#include <memory>
#include <string>
#include <utility>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "tests/conformance/tls_stream.h"
#include "userspace/handshake/openssl/error_queue.h"
#include "userspace/handshake/openssl/libssl_name.h"
#include "userspace/handshake/openssl/pointers.h"

namespace conformance {
namespace {

using ktls::ErrorCode;
using ktls::Result;
using Outcome = Attempt::Outcome;

class OpensslStream final : public TlsStream {
 public:
  OpensslStream(tls::SslCtxPtr context, tls::SslPtr ssl)
      : context_(std::move(context)), ssl_(std::move(ssl)) {}

  Result<Attempt> shake_hands() override {
    ERR_clear_error();
    return outcome_of(SSL_do_handshake(ssl_.get()), 0, "SSL_do_handshake");
  }

  Result<Attempt> send(std::span<const std::uint8_t> content) override {
    ERR_clear_error();
    std::size_t size = 0;
    const int answer = SSL_write_ex(ssl_.get(), content.data(), content.size(), &size);
    return outcome_of(answer, size, "SSL_write_ex");
  }

  Result<Attempt> receive(std::span<std::uint8_t> content) override {
    ERR_clear_error();
    std::size_t size = 0;
    const int answer = SSL_read_ex(ssl_.get(), content.data(), content.size(), &size);
    return outcome_of(answer, size, "SSL_read_ex");
  }

  Result<Attempt> close_notify() override {
    ERR_clear_error();
    const int answer = SSL_shutdown(ssl_.get());
    if (answer >= 0) return Attempt{};
    return outcome_of(answer, 0, "SSL_shutdown");
  }

 private:
  Result<Attempt> outcome_of(int answer, std::size_t size, std::string_view call) const {
    if (answer > 0) return Attempt{Outcome::kDone, size};
    switch (SSL_get_error(ssl_.get(), answer)) {
      case SSL_ERROR_WANT_READ:
        return Attempt{Outcome::kNeedsInput};
      case SSL_ERROR_WANT_WRITE:
        return Attempt{Outcome::kNeedsOutput};
      case SSL_ERROR_ZERO_RETURN:
        return Attempt{Outcome::kClosed};
      default:
        return ktls::fail(tls::openssl_error(ErrorCode::kHandshakeFailed, call));
    }
  }

  tls::SslCtxPtr context_;
  tls::SslPtr ssl_;
};

bool configure(SSL_CTX* context, const Cell& cell, tls::Role role,
               const Surroundings& surroundings) {
  const int version = static_cast<int>(cell.version);
  const std::string suite = tls::libssl_name_of(*cell.suite);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  return SSL_CTX_set_min_proto_version(context, version) == 1 &&
         SSL_CTX_set_max_proto_version(context, version) == 1 &&
         (cell.version == tls::ProtocolVersion::kTls13
              ? SSL_CTX_set_ciphersuites(context, suite.c_str())
              : SSL_CTX_set_cipher_list(context, suite.c_str())) == 1 &&
         (role == tls::Role::kClient ||
          (SSL_CTX_use_certificate_chain_file(context, surroundings.certificate_file.c_str()) ==
               1 &&
           SSL_CTX_use_PrivateKey_file(context, surroundings.key_file.c_str(), SSL_FILETYPE_PEM) ==
               1));
}

}  // namespace

Result<std::unique_ptr<TlsStream>> make_openssl_stream(const Cell& cell, tls::Role role, int fd,
                                                       const Surroundings& surroundings) {
  tls::SslCtxPtr context(SSL_CTX_new(TLS_method()));
  if (!context || !configure(context.get(), cell, role, surroundings)) {
    return ktls::fail(tls::openssl_error(ErrorCode::kCrypto, "SSL_CTX"));
  }
  tls::SslPtr ssl(SSL_new(context.get()));
  if (!ssl || SSL_set_fd(ssl.get(), fd) != 1) {
    return ktls::fail(tls::openssl_error(ErrorCode::kCrypto, "SSL_new"));
  }
  if (role == tls::Role::kClient) {
    SSL_set_connect_state(ssl.get());
  } else {
    SSL_set_accept_state(ssl.get());
  }
  return std::make_unique<OpensslStream>(std::move(context), std::move(ssl));
}

}  // namespace conformance
