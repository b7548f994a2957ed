// The callback of status requests.
#include "userspace/handshake/openssl/stapling.h"

#include <ctime>

#include "userspace/handshake/openssl/ssl_connection.h"

namespace tls {
namespace {

// libssl asks when it has chosen the certificate.
int on_status_request(SSL* ssl, void* /*argument*/) noexcept {
  const SslConnection* const connection = SslConnection::of(ssl);
  if (connection == nullptr) return SSL_TLSEXT_ERR_NOACK;
  const Staple* const staple = connection->context().hosts().staple_of(SSL_get_certificate(ssl));
  if (staple == nullptr || !staple->is_to_be_sent(std::time(nullptr))) return SSL_TLSEXT_ERR_NOACK;
  const auto der = staple->der();
  void* const copy = OPENSSL_memdup(der.data(), der.size());
  if (copy == nullptr) return SSL_TLSEXT_ERR_NOACK;
  // SSL_set_tlsext_status_ocsp_resp(), whose macro casts as C does. libssl frees the copy.
  SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_STATUS_REQ_OCSP_RESP, static_cast<long>(der.size()), copy);
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

void staple_on_request(SSL_CTX* context) {
  // SSL_CTX_set_tlsext_status_cb(), likewise.
  SSL_CTX_callback_ctrl(context, SSL_CTRL_SET_TLSEXT_STATUS_REQ_CB,
                        reinterpret_cast<void (*)()>(on_status_request));
}

}  // namespace tls
