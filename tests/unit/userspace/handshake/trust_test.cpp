// Whom a side believes, and who has been revoked.
#include "userspace/handshake/openssl/trust.h"

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "tests/unit/userspace/handshake/visits.h"

namespace tls::test {
namespace {

using ktls::Error;
using ktls::ErrorCode;

std::string write_unique(const std::string& ending, const std::string& content) {
  static int count = 0;
  return pki().directory.write("trust" + std::to_string(++count) + ending, content);
}

std::string list_of(const std::vector<std::string>& revoked, long next_update_s = 3600) {
  return write_unique(".crl", pki().authority.revocation_list(revoked, next_update_s));
}

// A client of libssl with a certificate.
SslCtxPtr client_with(const Issued& issued) {
  SslCtxPtr context = libssl_client();
  const std::string chain = write_unique(".pem", issued.certificate_pem);
  const std::string key = write_unique(".key", issued.key_pem);
  EXPECT_EQ(SSL_CTX_use_certificate_chain_file(context.get(), chain.c_str()), 1);
  EXPECT_EQ(SSL_CTX_use_PrivateKey_file(context.get(), key.c_str(), SSL_FILETYPE_PEM), 1);
  return context;
}

ServerOptions asking_clients(const std::string& crl_file = {}) {
  ServerOptions options = pki().serve({});
  options.client_ca_file = pki().ca_file;
  options.client_crl_file = crl_file;
  return options;
}

// Of the server; empty if the handshake succeeded.
std::string objection_of(const std::shared_ptr<Context>& server, SSL_CTX* client_context,
                         ProtocolVersion version) {
  SSL_CTX_set_min_proto_version(client_context, static_cast<int>(version));
  SSL_CTX_set_max_proto_version(client_context, static_cast<int>(version));
  LibsslPeer client(client_context, Role::kClient, "server.test");
  OurPeer ours(server, Role::kServer);
  converse(client, ours);
  return ours.failed() ? ours.error().detail : "";
}

class TrustInEveryVersion : public testing::TestWithParam<ProtocolVersion> {};

INSTANTIATE_TEST_SUITE_P(Trust, TrustInEveryVersion,
                         testing::Values(ProtocolVersion::kTls12, ProtocolVersion::kTls13),
                         name_of_version);

TEST_P(TrustInEveryVersion, AClientWhoseCertificateIsRevokedIsRefusedAndOthersAreNot) {
  const Issued good = pki().authority.issue({.common_name = "good"});
  const Issued bad = pki().authority.issue({.common_name = "bad"});
  const auto server = make_server(asking_clients(list_of({bad.certificate_pem})));
  EXPECT_TRUE(server->warnings().empty());
  EXPECT_EQ(objection_of(server, client_with(good).get(), GetParam()), "");
  EXPECT_EQ(objection_of(server, client_with(bad).get(), GetParam()),
            "the client's certificate is not accepted: certificate revoked");
}

TEST_P(TrustInEveryVersion, ASessionIsNotResumedAfterTheClientsCertificateHasExpired) {
  const Issued issued =
      pki().authority.issue({.common_name = "client", .not_before_s = -60, .not_after_s = 2});
  const SslCtxPtr client = client_with(issued);
  const auto server = make_server(asking_clients());
  const Visit visit = visit_as("server.test", server, GetParam(), nullptr, client.get());
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (objection_of(server, client.get(), GetParam()).empty()) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  LibsslPeer again(client.get(), Role::kClient, "server.test", visit.session.get());
  OurPeer ours(server, Role::kServer);
  converse(again, ours);
  ASSERT_TRUE(ours.failed());
  EXPECT_NE(ours.error().detail.find("certificate has expired"), std::string::npos)
      << ours.error().detail;
}

TEST_P(TrustInEveryVersion, ASessionIsNotResumedAfterTheListHasChanged) {
  const Issued issued = pki().authority.issue({.common_name = "client"});
  const SslCtxPtr client = client_with(issued);
  const std::string list = list_of({});
  const auto before = make_server(asking_clients(list));
  const auto unchanged = Context::server(asking_clients(list), before).value();
  const Visit visit = visit_as("server.test", before, GetParam(), nullptr, client.get());
  EXPECT_TRUE(
      visit_as("server.test", unchanged, GetParam(), visit.session.get(), client.get()).resumed);
  const auto after = Context::server(asking_clients(list_of({})), before).value();
  EXPECT_FALSE(
      visit_as("server.test", after, GetParam(), visit.session.get(), client.get()).resumed);
}

TEST_P(TrustInEveryVersion, AServerWhoseCertificateIsRevokedIsRefusedByOurClient) {
  const ServerOptions files = pki().serve({});
  const auto server = make_server(files);
  const auto outcome = [&](const std::string& list) {
    ClientOptions options = only_version(pki().trust(), GetParam());
    options.crl_file = list;
    OurPeer client(make_client(options), Role::kClient, "server.test");
    OurPeer ours(server, Role::kServer);
    converse(client, ours);
    return client.failed() ? client.error().detail : "";
  };
  EXPECT_EQ(outcome(list_of({})), "");
  EXPECT_EQ(outcome(list_of({server->certificate_pem()})),
            "the certificate of server.test is not accepted: certificate revoked");
  // Who cannot be asked about is not trusted.
  EXPECT_EQ(outcome(write_unique(".crl", TestAuthority("Stranger").revocation_list({}))),
            "the certificate of server.test is not accepted: unable to get certificate CRL");
}

TEST(Trust, WarnsOfAListThatHasExpiredAndOfOneThatIsOfNobodyTrusted) {
  const auto expired = make_server(asking_clients(list_of({}, -60)));
  ASSERT_EQ(expired->warnings().size(), 1U);
  EXPECT_NE(expired->warnings()[0].find("the revocation list of CN=Test Authority has expired"),
            std::string::npos);
  const auto strange = make_server(
      asking_clients(write_unique(".crl", TestAuthority("Stranger").revocation_list({}))));
  ASSERT_EQ(strange->warnings().size(), 1U);
  EXPECT_NE(strange->warnings()[0].find("CN=Stranger is of none of the trusted certificates"),
            std::string::npos);
}

TEST(Trust, NamesTheListThatCannotBeUsed) {
  const auto error_of = [](const std::string& file) {
    const auto context = Context::server(asking_clients(file));
    return context ? Error::of(ErrorCode::kCancelled, "no error") : context.error();
  };
  const Error missing = error_of("/nonexistent/list.pem");
  EXPECT_EQ(missing.code, ErrorCode::kSystem);
  EXPECT_NE(missing.detail.find("/nonexistent/list.pem"), std::string::npos);
  const Error empty = error_of(pki().ca_file);
  EXPECT_EQ(empty.code, ErrorCode::kInvalidArgument);
  EXPECT_NE(empty.detail.find(pki().ca_file + ": holds no PEM revocation list"), std::string::npos);
}

}  // namespace
}  // namespace tls::test
