// Contexts from files that are right and wrong, and from none.
#include "userspace/handshake/openssl/context.h"

#include <cerrno>
#include <string>

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "tests/unit/userspace/handshake/peers.h"

namespace tls::test {
namespace {

using ktls::Error;
using ktls::ErrorCode;

Error server_error(const std::string& certificate_file, const std::string& key_file = {}) {
  ServerOptions options;
  options.certificate_file = certificate_file;
  options.key_file = key_file;
  const auto context = Context::server(options);
  return context ? Error::of(ErrorCode::kCancelled, "no error") : context.error();
}

void expect_error(const Error& error, ErrorCode code, const std::string& file,
                  const std::string& reason) {
  EXPECT_EQ(error.code, code) << error.message();
  EXPECT_NE(error.message().find(file), std::string::npos) << error.message();
  EXPECT_NE(error.message().find(reason), std::string::npos) << error.message();
}

CertificatePtr parse(const std::string& pem) {
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  return CertificatePtr(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
}

TEST(Context, NamesAFileThatIsMissing) {
  const auto options = pki().serve({});
  const Error error = server_error("/nonexistent/server.pem");
  expect_error(error, ErrorCode::kSystem, "/nonexistent/server.pem", "No such file");
  EXPECT_EQ(error.sys_errno, ENOENT);
  expect_error(server_error(options.certificate_file, "/nonexistent/key.pem"), ErrorCode::kSystem,
               "/nonexistent/key.pem", "No such file");
}

TEST(Context, NamesADirectory) {
  const Error error = server_error(pki().directory.path());
  EXPECT_EQ(error.code, ErrorCode::kSystem);
  EXPECT_EQ(error.sys_errno, EISDIR);
}

TEST(Context, RefusesWhatIsNoPem) {
  const auto options = pki().serve({});
  const std::string text = pki().directory.write("text.pem", "This is text.\n");
  expect_error(server_error(text), ErrorCode::kInvalidArgument, text, "no PEM certificate");
  expect_error(server_error(options.certificate_file, text), ErrorCode::kInvalidArgument, text,
               "no PEM private key");
  expect_error(server_error(options.certificate_file), ErrorCode::kInvalidArgument,
               options.certificate_file, "no PEM private key");
}

TEST(Context, RefusesABrokenCertificate) {
  const std::string file = pki().directory.write(
      "broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  expect_error(server_error(file), ErrorCode::kInvalidArgument, file, "not a PEM certificate");
}

TEST(Context, RefusesTheKeyOfAnotherCertificate) {
  const auto ecdsa = pki().serve({.key = KeyKind::kEcdsa});
  const auto rsa = pki().serve({.key = KeyKind::kRsa});
  expect_error(server_error(ecdsa.certificate_file, rsa.key_file), ErrorCode::kInvalidArgument,
               rsa.key_file, "does not belong");
}

TEST(Context, RefusesAnEncryptedKeyWithoutAskingForAPassphrase) {
  const Issued issued = pki().authority.issue({});
  const std::string certificate = pki().directory.write("enc.pem", issued.certificate_pem);
  const std::string key =
      pki().directory.write("enc-key.pem", encrypt_key(issued.key_pem, "passphrase"));
  expect_error(server_error(certificate, key), ErrorCode::kInvalidArgument, key, "encrypted");
}

TEST(Context, RefusesAKeyWithoutACertificate) {
  const auto options = pki().serve({});
  expect_error(server_error("", options.key_file), ErrorCode::kInvalidArgument, options.key_file,
               "without a certificate");
}

TEST(Context, TakesChainAndKeyFromOneFile) {
  const Issued issued = pki().authority.issue({});
  ServerOptions options;
  options.certificate_file = pki().directory.write(
      "all.pem", issued.key_pem + issued.certificate_pem + pki().authority.certificate_pem());
  const auto context = make_server(options);
  EXPECT_EQ(context->certificate_pem(), issued.certificate_pem);
  EXPECT_TRUE(context->warnings().empty());

  // The chain is sent: two certificates arrive.
  const auto client_context = libssl_client();
  LibsslPeer client(client_context.get(), Role::kClient, "server.test");
  OurPeer server(context, Role::kServer);
  converse(client, server);
  ASSERT_TRUE(client.done());
  EXPECT_EQ(sk_X509_num(SSL_get_peer_cert_chain(client.ssl())), 2);
}

TEST(Context, WarnsOfACertificateOutOfItsDates) {
  const auto expired = make_server(pki().serve({.not_before_s = -7200, .not_after_s = -3600}));
  ASSERT_EQ(expired->warnings().size(), 1U);
  EXPECT_NE(expired->warnings()[0].find("has expired"), std::string::npos);
  EXPECT_NE(expired->warnings()[0].find("CN=leaf"), std::string::npos);
  const auto early = make_server(pki().serve({.not_before_s = 3600, .not_after_s = 7200}));
  ASSERT_EQ(early->warnings().size(), 1U);
  EXPECT_NE(early->warnings()[0].find("is not valid yet"), std::string::npos);
}

TEST(Context, MakesItsOwnCertificateWhenGivenNone) {
  const auto server = make_server({});
  const CertificatePtr certificate = parse(server->certificate_pem());
  ASSERT_TRUE(certificate);
  X509* const x509 = certificate.get();
  EXPECT_EQ(EVP_PKEY_get_bits(X509_get0_pubkey(x509)), 256);
  EXPECT_EQ(X509_check_host(x509, "localhost", 0, 0, nullptr), 1);
  EXPECT_EQ(X509_check_ip_asc(x509, "127.0.0.1", 0), 1);
  EXPECT_EQ(X509_check_ip_asc(x509, "::1", 0), 1);
  EXPECT_EQ(X509_check_host(x509, "server.test", 0, 0, nullptr), 0);
  int days = 0;
  int seconds = 0;
  ASSERT_EQ(ASN1_TIME_diff(&days, &seconds, X509_get0_notBefore(x509), X509_get0_notAfter(x509)),
            1);
  EXPECT_EQ(days, 90);
  ASSERT_EQ(ASN1_TIME_diff(&days, &seconds, X509_get0_notBefore(x509), nullptr), 1);
  EXPECT_NEAR(days * 86400 + seconds, 3600, 60);

  const CertificatePtr other = parse(make_server({})->certificate_pem());
  EXPECT_NE(ASN1_INTEGER_cmp(X509_get0_serialNumber(x509), X509_get0_serialNumber(other.get())), 0);
}

TEST(Context, ItsOwnCertificateIsTrustedByWhoIsToldTo) {
  const auto server_context = make_server({});
  ClientOptions options;
  options.ca_file = pki().directory.write("self.pem", server_context->certificate_pem());
  for (const std::string name : {"localhost", "127.0.0.1", "::1"}) {
    OurPeer client(make_client(options), Role::kClient, name);
    OurPeer server(server_context, Role::kServer);
    converse(client, server);
    EXPECT_EQ(finish(client).negotiated().peer_name, name);
  }
}

TEST(Context, TellsUntilWhenItsLeafIsValid) {
  constexpr long kValidFor = 1'000'000;
  const std::int64_t before = ::time(nullptr) + kValidFor;
  const auto server = make_server(pki().serve({.not_after_s = kValidFor}));
  const std::int64_t after = ::time(nullptr) + kValidFor;
  ASSERT_EQ(server->certificates().size(), 1U);
  EXPECT_GE(server->certificates()[0].not_after, before);
  EXPECT_LE(server->certificates()[0].not_after, after);
}

TEST(Context, ShowsTheFingerprintOfItsLeaf) {
  const Issued issued = pki().authority.issue({});
  ServerOptions options;
  options.certificate_file =
      pki().directory.write("print.pem", issued.certificate_pem + issued.key_pem);
  const std::string fingerprint = make_server(options)->certificate_fingerprint();
  std::array<unsigned char, 32> digest{};
  unsigned int size = 0;
  ASSERT_EQ(X509_digest(parse(issued.certificate_pem).get(), EVP_sha256(), digest.data(), &size),
            1);
  char expected[32 * 3] = {};
  ASSERT_EQ(OPENSSL_buf2hexstr_ex(expected, sizeof expected, nullptr, digest.data(), size, ':'), 1);
  std::string lower(expected);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  EXPECT_EQ(fingerprint, lower);
  EXPECT_EQ(make_client(pki().trust())->certificate_fingerprint(), "");
  EXPECT_EQ(make_client(pki().trust())->certificate_pem(), "");
}

TEST(Context, NamesATrustFileThatDoesNotHelp) {
  ClientOptions options;
  options.ca_file = "/nonexistent/ca.pem";
  const auto missing = Context::client(options);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kSystem);
  EXPECT_EQ(missing.error().sys_errno, ENOENT);
  options.ca_file = pki().directory.write("empty-ca.pem", "nothing\n");
  const auto empty = Context::client(options);
  ASSERT_FALSE(empty);
  expect_error(empty.error(), ErrorCode::kInvalidArgument, options.ca_file, "no PEM certificate");
}

TEST(Context, RefusesCiphersVersionsAndProtocolsThatMakeNoSense) {
  auto options = pki().trust();
  options.ciphers = "NO-SUCH-CIPHER";
  EXPECT_EQ(Context::client(options).error().code, ErrorCode::kInvalidArgument);
  options = pki().trust();
  options.ciphersuites = "TLS_NO_SUCH_SUITE";
  EXPECT_EQ(Context::client(options).error().code, ErrorCode::kInvalidArgument);
  options = pki().trust();
  options.version_min = ProtocolVersion::kTls13;
  options.version_max = ProtocolVersion::kTls12;
  EXPECT_EQ(Context::client(options).error().code, ErrorCode::kInvalidArgument);
  options = pki().trust();
  options.alpn = {""};
  EXPECT_EQ(Context::client(options).error().code, ErrorCode::kInvalidArgument);
  options.alpn = {std::string(256, 'x')};
  EXPECT_EQ(Context::client(options).error().code, ErrorCode::kInvalidArgument);
  options.alpn = std::vector<std::string>(300, std::string(255, 'x'));
  EXPECT_EQ(Context::client(options).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace tls::test
