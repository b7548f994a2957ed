// Handshakes that must fail, and what they say about it.
#include "userspace/handshake/openssl/failure.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/userspace/handshake/peers.h"
#include "userspace/handshake/openssl/handshake.h"

namespace tls::test {
namespace {

using ktls::Error;
using ktls::ErrorCode;

// --- certificates ----------------------------------------------------------------------------

// The client's error at a server with `leaf`, empty if the handshake succeeded; the server must
// have been told by an alert.
Error client_error(const ClientOptions& options, const ServerOptions& server_options,
                   const std::string& name = "server.test") {
  OurPeer client(make_client(options), Role::kClient, name);
  OurPeer server(make_server(server_options), Role::kServer);
  converse(client, server);
  if (client.done()) return Error::of(ErrorCode::kCancelled, "the handshake succeeded");
  EXPECT_TRUE(server.failed());
  EXPECT_EQ(server.error().code, ErrorCode::kPeerAlert);
  EXPECT_EQ(server.error().alert, client.error().alert);
  return client.error();
}

class Verification : public testing::TestWithParam<ProtocolVersion> {
 protected:
  static ClientOptions trusting() { return only_version(pki().trust(), GetParam()); }

  static void expect_refusal(const Error& error, const std::string& reason,
                             const std::string& name = "server.test") {
    EXPECT_EQ(error.code, ErrorCode::kVerifyFailed) << error.detail;
    EXPECT_NE(error.detail.find(reason), std::string::npos) << error.detail;
    EXPECT_NE(error.detail.find(name), std::string::npos) << error.detail;
    EXPECT_NE(error.alert, Error::kNoAlert);
  }
  static void expect_success(const Error& error) {
    EXPECT_EQ(error.code, ErrorCode::kCancelled) << error.detail;
  }
};

INSTANTIATE_TEST_SUITE_P(Handshake, Verification,
                         testing::Values(ProtocolVersion::kTls12, ProtocolVersion::kTls13),
                         [](const auto& version) {
                           return std::string(version.param == ProtocolVersion::kTls13 ? "Tls13"
                                                                                       : "Tls12");
                         });

TEST_P(Verification, RefusesAnotherName) {
  expect_refusal(client_error(trusting(), pki().serve({.dns_names = {"other.test"}})),
                 "hostname mismatch");
}

TEST_P(Verification, RefusesANameThatIsInTheSubjectOnly) {
  const auto server = pki().serve({.common_name = "server.test", .dns_names = {}});
  expect_refusal(client_error(trusting(), server), "hostname mismatch");
}

TEST_P(Verification, TakesAWildcardForOneWholeLabel) {
  const auto server = pki().serve({.dns_names = {"*.server.test", "w*.partial.test"}});
  expect_success(client_error(trusting(), server, "www.server.test"));
  expect_refusal(client_error(trusting(), server, "a.b.server.test"), "hostname mismatch",
                 "a.b.server.test");
  expect_refusal(client_error(trusting(), server, "www.partial.test"), "hostname mismatch",
                 "www.partial.test");
}

TEST_P(Verification, ComparesAddressesWithAddressesOnly) {
  const auto server = pki().serve({.dns_names = {"10.0.0.1"}, .addresses = {"127.0.0.1", "::1"}});
  expect_success(client_error(trusting(), server, "127.0.0.1"));
  expect_success(client_error(trusting(), server, "::1"));
  expect_success(client_error(trusting(), server, "0:0:0:0:0:0:0:1"));
  expect_refusal(client_error(trusting(), server, "10.0.0.1"), "IP address mismatch", "10.0.0.1");
  expect_refusal(client_error(trusting(), server, "server.test"), "hostname mismatch");
}

TEST_P(Verification, SendsNoServerNameForAnAddress) {
  OurPeer client(make_client(trusting()), Role::kClient, "127.0.0.1");
  OurPeer server(make_server(pki().serve({.addresses = {"127.0.0.1"}})), Role::kServer);
  converse(client, server);
  EXPECT_EQ(finish(server).negotiated().peer_name, "");
  EXPECT_EQ(finish(client).negotiated().peer_name, "127.0.0.1");
}

TEST_P(Verification, RefusesAnAuthorityThatIsNotTrusted) {
  const TestAuthority other("Other Authority");
  auto options = trusting();
  options.ca_file = pki().directory.write("other-ca.pem", other.certificate_pem());
  const Error error = client_error(options, pki().serve({}));
  expect_refusal(error, "unable to get local issuer certificate");
  EXPECT_EQ(error.alert, SSL_AD_UNKNOWN_CA);
}

TEST_P(Verification, RefusesTheSystemsTrustForATestAuthority) {
  auto options = trusting();
  options.ca_file.clear();
  expect_refusal(client_error(options, pki().serve({})), "unable to get local issuer certificate");
}

TEST_P(Verification, RefusesAnExpiredCertificate) {
  const auto server = pki().serve({.not_before_s = -7200, .not_after_s = -3600});
  const Error error = client_error(trusting(), server);
  expect_refusal(error, "certificate has expired");
  EXPECT_EQ(error.alert, SSL_AD_CERTIFICATE_EXPIRED);
}

TEST_P(Verification, RefusesACertificateThatIsNotValidYet) {
  const auto server = pki().serve({.not_before_s = 3600, .not_after_s = 7200});
  expect_refusal(client_error(trusting(), server), "certificate is not yet valid");
}

TEST_P(Verification, TakesAnythingWhenItIsOff) {
  auto options = trusting();
  options.ca_file.clear();
  options.verify = false;
  const auto server =
      pki().serve({.dns_names = {"other.test"}, .not_before_s = -7200, .not_after_s = -3600});
  expect_success(client_error(options, server));
}

// --- peers -----------------------------------------------------------------------------------

TEST(HandshakeFailure, SaysThatNoVersionIsShared) {
  OurPeer client(make_client(only_version(pki().trust(), ProtocolVersion::kTls12)), Role::kClient,
                 "server.test");
  OurPeer server(make_server(only_version(pki().serve({}), ProtocolVersion::kTls13)),
                 Role::kServer);
  converse(client, server);
  ASSERT_TRUE(server.failed());
  EXPECT_EQ(server.error().code, ErrorCode::kHandshakeFailed);
  EXPECT_EQ(server.error().alert, SSL_AD_PROTOCOL_VERSION);
  EXPECT_NE(server.error().detail.find("unsupported protocol"), std::string::npos)
      << server.error().detail;
  ASSERT_TRUE(client.failed());
  EXPECT_EQ(client.error().code, ErrorCode::kPeerAlert);
  EXPECT_EQ(client.error().alert, SSL_AD_PROTOCOL_VERSION);
  EXPECT_NE(client.error().detail.find("protocol_version"), std::string::npos);
}

TEST(HandshakeFailure, NamesTheAlertThatAPeerSends) {
  for (const auto version : {ProtocolVersion::kTls12, ProtocolVersion::kTls13}) {
    const auto client_context = libssl_client();  // trusts nobody
    SSL_CTX_set_verify(client_context.get(), SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_max_proto_version(client_context.get(), static_cast<int>(version));
    LibsslPeer client(client_context.get(), Role::kClient, "server.test");
    OurPeer server(make_server(pki().serve({})), Role::kServer);
    converse(client, server);
    ASSERT_TRUE(server.failed());
    EXPECT_EQ(server.error().code, ErrorCode::kPeerAlert);
    EXPECT_EQ(server.error().alert, SSL_AD_UNKNOWN_CA);
    EXPECT_NE(server.error().detail.find("unknown_ca (48)"), std::string::npos);
  }
}

TEST(HandshakeFailure, NamesACloseInTheMiddle) {
  OurPeer client(make_client(pki().trust()), Role::kClient, "server.test");
  const Bytes close_notify = {21, 3, 3, 0, 2, 1, 0};
  client.receive(close_notify);
  ASSERT_TRUE(client.failed());
  EXPECT_EQ(client.error().code, ErrorCode::kPeerAlert);
  EXPECT_EQ(client.error().alert, SSL_AD_CLOSE_NOTIFY);
}

TEST(HandshakeFailure, IsNotAWarningThatCameBefore) {
  OurPeer client(make_client(pki().trust()), Role::kClient, "server.test");
  client.receive({21, 3, 3, 0, 2, 1, 112});       // warning, unrecognized_name
  client.receive({22, 3, 3, 0, 4, 20, 0, 0, 0});  // Finished, which has no place here
  ASSERT_TRUE(client.failed());
  EXPECT_EQ(client.error().code, ErrorCode::kHandshakeFailed) << client.error().detail;
  EXPECT_EQ(client.error().alert, SSL_AD_UNEXPECTED_MESSAGE);
}

TEST(HandshakeFailure, LeavesTheAlertInTheOutputAndNoMoreCalls) {
  OurPeer server(make_server(pki().serve({})), Role::kServer);
  server.receive({22, 3, 1, 0, 4, 20, 0, 0, 0});
  ASSERT_TRUE(server.failed());
  const Bytes output = server.take_output();
  ASSERT_EQ(output.size(), 7U);
  EXPECT_EQ(output[0], 21);
  EXPECT_EQ(output[5], SSL3_AL_FATAL);
  EXPECT_EQ(output[6], server.error().alert);
  EXPECT_EQ(server.handshake().advance({}).error().code, ErrorCode::kProtocolViolation);
  EXPECT_EQ(server.handshake().finish().error().code, ErrorCode::kProtocolViolation);
}

TEST(HandshakeFailure, ForgetsTheSessionsOfAServerThatRefusesThem) {
  const auto client_context = make_client(only_version(pki().trust(), ProtocolVersion::kTls12));
  const auto server_context = make_server(pki().serve({}));
  {
    OurPeer client(client_context, Role::kClient, "server.test");
    OurPeer server(server_context, Role::kServer);
    converse(client, server);
    ASSERT_TRUE(client.done());
  }
  ASSERT_EQ(client_context->session_count(), 1U);
  OurPeer client(client_context, Role::kClient, "server.test");
  client.receive({21, 3, 3, 0, 2, 2, 40});  // fatal, handshake_failure
  ASSERT_TRUE(client.failed());
  EXPECT_EQ(client_context->session_count(), 0U);
}

// --- what is no TLS --------------------------------------------------------------------------

Error first_bytes(Role role, const Bytes& bytes) {
  OurPeer peer(role == Role::kServer ? make_server({}) : make_client(pki().trust()), role,
               "server.test");
  static_cast<void>(peer.take_output());
  const auto progress = peer.handshake().advance(bytes);
  EXPECT_FALSE(progress);
  EXPECT_TRUE(peer.take_output().empty());
  return progress ? Error() : progress.error();
}

TEST(HandshakeFailure, KnowsAnHttpRequest) {
  for (const std::string method : {"GET /", "POST ", "HEAD ", "OPTIO", "CONNE", "PRI *"}) {
    const Error error = first_bytes(Role::kServer, to_bytes(method));
    EXPECT_EQ(error.code, ErrorCode::kHandshakeFailed);
    EXPECT_EQ(error.detail, "not TLS: http request");
  }
}

TEST(HandshakeFailure, KnowsAnHttpResponse) {
  EXPECT_EQ(first_bytes(Role::kClient, to_bytes("HTTP/")).detail, "not TLS: http response");
}

TEST(HandshakeFailure, KnowsAnSsl2Hello) {
  const Error error = first_bytes(Role::kServer, {0x80, 0x2e, 1, 0, 2});
  EXPECT_EQ(error.code, ErrorCode::kHandshakeFailed);
  EXPECT_EQ(error.detail, "not TLS: SSLv2 hello");
}

TEST(HandshakeFailure, ShowsTheFirstBytesOfAnythingElse) {
  EXPECT_EQ(first_bytes(Role::kServer, to_bytes("SSH-2")).detail,
            "not TLS: starts with 53 53 48 2d 32");
  EXPECT_EQ(first_bytes(Role::kServer, {22, 3}).detail, "not TLS: starts with 16 03");
  EXPECT_EQ(first_bytes(Role::kServer, {22, 2, 0, 0, 1}).code, ErrorCode::kHandshakeFailed);
}

TEST(HandshakeFailure, AnswersATooLongRecordWithItsAlert) {
  OurPeer server(make_server({}), Role::kServer);
  static_cast<void>(server.handshake().advance({}));
  OurPeer client(make_client(pki().trust()), Role::kClient, "server.test");
  server.receive(client.take_output());
  static_cast<void>(server.take_output());
  const auto progress = server.handshake().advance(Bytes{23, 3, 3, 0xff, 0xff});
  ASSERT_FALSE(progress);
  EXPECT_EQ(progress.error().code, ErrorCode::kHandshakeFailed);
  EXPECT_EQ(progress.error().alert, SSL_AD_RECORD_OVERFLOW) << progress.error().detail;
  EXPECT_FALSE(server.take_output().empty());
}

TEST(HandshakeFailure, RefusesAnUnknownTypeInTheMiddle) {
  OurPeer client(make_client(pki().trust()), Role::kClient, "server.test");
  client.receive({21, 3, 3, 0, 2, 1, 112});  // TLS was spoken: a warning
  const auto progress = client.handshake().advance(Bytes{99, 3, 3, 0, 1});
  ASSERT_FALSE(progress);
  EXPECT_EQ(progress.error().code, ErrorCode::kHandshakeFailed);
  EXPECT_EQ(client.handshake().advance(Bytes{99, 3, 3, 0, 1}).error().code,
            ErrorCode::kProtocolViolation);
}

// --- bounds ----------------------------------------------------------------------------------

TEST(HandshakeFailure, StopsAServerThatSaysHelloForEver) {
  OurPeer client(make_client(only_version(pki().trust(), ProtocolVersion::kTls12)), Role::kClient,
                 "server.test");
  const Bytes hello_request = {22, 3, 3, 0, 4, 0, 0, 0, 0};
  int records = 0;
  while (!client.failed() && records < 10000) {
    client.receive(hello_request);
    ++records;
  }
  ASSERT_TRUE(client.failed());
  EXPECT_EQ(client.error().code, ErrorCode::kLimitReached) << client.error().detail;
  EXPECT_EQ(records, 1025);
}

TEST(HandshakeFailure, StopsAServerThatWarnsForEver) {
  OurPeer client(make_client(pki().trust()), Role::kClient, "server.test");
  int records = 0;
  while (!client.failed() && records < 10000) {
    client.receive({21, 3, 3, 0, 2, 1, 112});
    ++records;
  }
  ASSERT_TRUE(client.failed());
  EXPECT_EQ(client.error().code, ErrorCode::kHandshakeFailed) << client.error().detail;
  EXPECT_EQ(client.error().detail, "too many warn alerts");
}

TEST(HandshakeFailure, StopsALongSeriesOfLargeRecords) {
  OurPeer client(make_client(only_version(pki().trust(), ProtocolVersion::kTls12)), Role::kClient,
                 "server.test");
  Bytes record = {22, 3, 3, 0x40, 0};
  record.resize(5 + 0x4000, 0);  // 4096 HelloRequests
  std::size_t bytes = 0;
  while (!client.failed() && bytes < 10'000'000) {
    client.receive(record);
    bytes += record.size();
  }
  ASSERT_TRUE(client.failed());
  EXPECT_EQ(client.error().code, ErrorCode::kLimitReached) << client.error().detail;
  EXPECT_LE(bytes, (1U << 20) + record.size());
}

}  // namespace
}  // namespace tls::test
