#include "userspace/handshake/openssl/own_certificate.h"

#include <string>

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "userspace/handshake/openssl/pointers.h"

namespace tls::test {
namespace {

// A certificate of `key` that the key itself has signed.
CertificatePtr certificate_of(EVP_PKEY* key, const EVP_MD* digest) {
  CertificatePtr certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_set_pubkey(certificate.get(), key);
  EXPECT_GT(X509_sign(certificate.get(), key, digest), 0);
  return certificate;
}

// "SIGNATURE KEY" of a server that shows it.
std::string told_of(EVP_PKEY* generated, const EVP_MD* digest) {
  const KeyPtr key(generated);
  const CertificatePtr certificate = certificate_of(key.get(), digest);
  const SslCtxPtr context(SSL_CTX_new(TLS_server_method()));
  EXPECT_EQ(SSL_CTX_use_certificate(context.get(), certificate.get()), 1);
  const SslPtr ssl(SSL_new(context.get()));
  const OwnCertificate own = own_certificate_of(ssl.get());
  return own.signature_algorithm + " " + own.key_algorithm;
}

TEST(OwnCertificate, IsToldByTheNamesOfItsAlgorithms) {
  EXPECT_EQ(told_of(EVP_RSA_gen(2048), EVP_sha256()), "RSA-SHA256 RSA2048");
  EXPECT_EQ(told_of(EVP_EC_gen("P-256"), EVP_sha384()), "ecdsa-with-SHA384 EC256");
  EXPECT_EQ(told_of(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), nullptr), "ED25519 ED25519");
}

TEST(OwnCertificate, IsEmptyWhereThereIsNone) {
  const SslCtxPtr context(SSL_CTX_new(TLS_server_method()));
  const SslPtr ssl(SSL_new(context.get()));
  EXPECT_EQ(own_certificate_of(ssl.get()).signature_algorithm, "");
  EXPECT_EQ(own_certificate_of(ssl.get()).key_algorithm, "");
}

}  // namespace
}  // namespace tls::test
