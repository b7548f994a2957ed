// Algorithms, by the names that OpenSSL and the senders of PROXY protocol headers have for them.

#include "userspace/handshake/openssl/own_certificate.h"

#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509.h>

namespace tls {
namespace {

std::string key_algorithm_of(const EVP_PKEY* key) {
  const std::string bits = std::to_string(EVP_PKEY_get_bits(key));
  switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
    case EVP_PKEY_RSA_PSS:
      return "RSA" + bits;
    case EVP_PKEY_EC:
      return "EC" + bits;
    default: {
      // Where there is one size alone, as with ED25519, it is in the name.
      const char* const name = EVP_PKEY_get0_type_name(key);
      return name != nullptr ? name : "";
    }
  }
}

}  // namespace

OwnCertificate own_certificate_of(const SSL* ssl) {
  const X509* const shown = SSL_get_certificate(ssl);
  const SSL_CIPHER* const suite = SSL_get_current_cipher(ssl);
  const bool by_shared_key = suite != nullptr && SSL_CIPHER_get_auth_nid(suite) == NID_auth_psk;
  if (shown == nullptr || by_shared_key || SSL_session_reused(ssl) != 0) return {};
  OwnCertificate own;
  const int signature = X509_get_signature_nid(shown);
  if (signature != NID_undef) own.signature_algorithm = OBJ_nid2sn(signature);
  if (const EVP_PKEY* const key = X509_get0_pubkey(shown)) {
    own.key_algorithm = key_algorithm_of(key);
  }
  return own;
}

}  // namespace tls
