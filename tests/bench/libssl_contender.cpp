// libssl as a contender: a client and a server in one process, over memory BIOs.
#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "tests/bench/contender.h"
#include "userspace/handshake/openssl/libssl_name.h"
#include "userspace/handshake/openssl/pointers.h"

namespace tls::bench {
namespace {

// Handshakes need a few turns; one that needs more does not end.
constexpr int kTurnsMax = 20;
constexpr long kValidity = 86400;  // seconds

struct Identity {
  KeyPtr key;
  CertificatePtr certificate;
};

Identity make_identity(KeyPtr key) {
  CertificatePtr certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), kValidity);
  X509_set_pubkey(certificate.get(), key.get());
  X509_sign(certificate.get(), key.get(), EVP_sha256());
  return {std::move(key), std::move(certificate)};
}

const Identity& ecdsa_identity() {
  static const Identity identity = make_identity(KeyPtr(EVP_EC_gen("P-256")));
  return identity;
}

const Identity& rsa_identity() {
  static const Identity identity = make_identity(KeyPtr(EVP_RSA_gen(2048)));
  return identity;
}

unsigned server_psk(SSL* /*ssl*/, const char* /*identity*/, unsigned char* key, unsigned size) {
  if (size < 16) return 0;
  std::fill_n(key, 16, std::uint8_t{0x42});
  return 16;
}

unsigned client_psk(SSL* ssl, const char* /*hint*/, char* identity, unsigned identity_size,
                    unsigned char* key, unsigned size) {
  if (identity_size < 2) return 0;
  identity[0] = 'x';
  identity[1] = '\0';
  return server_psk(ssl, identity, key, size);
}

// nullptr where libssl does not know the suite or the version.
SslCtxPtr make_context(const RecordCell& cell, const CipherSuite& suite) {
  SslCtxPtr context(SSL_CTX_new(TLS_method()));
  SSL_CTX* const ctx = context.get();
  const int version = static_cast<int>(cell.version);
  const std::string name = libssl_name_of(suite);
  // Level 0: everything that libssl has may be compared.
  const bool taken = SSL_CTX_set_min_proto_version(ctx, version) == 1 &&
                     SSL_CTX_set_max_proto_version(ctx, version) == 1 &&
                     (cell.version == ProtocolVersion::kTls13
                          ? SSL_CTX_set_ciphersuites(ctx, name.c_str()) == 1
                          : SSL_CTX_set_cipher_list(ctx, (name + ":@SECLEVEL=0").c_str()) == 1);
  if (!taken) return nullptr;
  SSL_CTX_set_security_level(ctx, 0);
  SSL_CTX_set_num_tickets(ctx, 0);
  SSL_CTX_set_dh_auto(ctx, 1);
  if (!cell.encrypt_then_mac) SSL_CTX_set_options(ctx, SSL_OP_NO_ENCRYPT_THEN_MAC);
  for (const Identity* identity : {&ecdsa_identity(), &rsa_identity()}) {
    SSL_CTX_use_certificate(ctx, identity->certificate.get());
    SSL_CTX_use_PrivateKey(ctx, identity->key.get());
  }
  SSL_CTX_set_psk_client_callback(ctx, client_psk);
  SSL_CTX_set_psk_server_callback(ctx, server_psk);
  return context;
}

class LibsslContender final : public Contender {
 public:
  LibsslContender(const SslCtxPtr& context, const Load& load)
      : load_(load),
        content_(load.content_size, 0x5a),
        client_(SSL_new(context.get())),
        server_(SSL_new(context.get())) {
    BIO* const to_server = BIO_new(BIO_s_mem());
    BIO* const to_client = BIO_new(BIO_s_mem());
    // Without it an empty BIO is the end of the stream.
    BIO_set_mem_eof_return(to_server, -1);
    BIO_set_mem_eof_return(to_client, -1);
    BIO_up_ref(to_server);
    BIO_up_ref(to_client);
    SSL_set_bio(client_.get(), to_client, to_server);
    SSL_set_bio(server_.get(), to_server, to_client);
    SSL_set_connect_state(client_.get());
    SSL_set_accept_state(server_.get());
  }

  bool handshake() {
    for (int turn = 0; turn < kTurnsMax; ++turn) {
      // Asked one after the other: what the server writes changes what the client's BIO says.
      if (!step(client_.get()) || !step(server_.get())) return false;
      if (SSL_is_init_finished(client_.get()) == 1 && SSL_is_init_finished(server_.get()) == 1) {
        return true;
      }
    }
    return false;
  }

  void seal_batch() override {
    for (std::size_t i = 0; i < load_.records; ++i) {
      std::size_t written = 0;
      if (SSL_write_ex(client_.get(), content_.data(), content_.size(), &written) != 1) {
        throw std::runtime_error("SSL_write");
      }
    }
  }

  void open_batch() override {
    for (std::size_t i = 0; i < load_.records; ++i) {
      std::size_t opened = 0;
      if (SSL_read_ex(server_.get(), content_.data(), content_.size(), &opened) != 1 ||
          opened != content_.size()) {
        throw std::runtime_error("SSL_read");
      }
    }
  }

 private:
  // False when the handshake failed.
  static bool step(SSL* ssl) {
    ERR_clear_error();
    const int answer = SSL_do_handshake(ssl);
    return answer == 1 || SSL_get_error(ssl, answer) == SSL_ERROR_WANT_READ;
  }

  Load load_;
  std::vector<std::uint8_t> content_;
  SslPtr client_;
  SslPtr server_;
};

bool is_of(const CipherSuite& suite, const RecordCell& cell) {
  return suite.bulk_cipher == cell.suite->bulk_cipher && suite.mac == cell.suite->mac &&
         suite.serves(cell.version) && !libssl_name_of(suite).empty();
}

}  // namespace

// Which suites of a cipher libssl agrees on depends on how it was built, so they are tried.
std::unique_ptr<Contender> make_libssl_contender(const RecordCell& cell, const Load& load) {
  std::unique_ptr<Contender> found;
  for (const CipherSuite& suite : cipher_suites()) {
    if (found || cell.version < ProtocolVersion::kSsl3 || !is_of(suite, cell)) continue;
    const SslCtxPtr context = make_context(cell, suite);
    if (!context) continue;
    auto contender = std::make_unique<LibsslContender>(context, load);
    if (contender->handshake()) found = std::move(contender);
  }
  ERR_clear_error();
  return found;
}

}  // namespace tls::bench
