// The certificate by the name that a client asks for, and whose session it may resume.
#include "userspace/handshake/openssl/hosts.h"

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/userspace/handshake/visits.h"
#include "userspace/handshake/openssl/ssl_context.h"

namespace tls::test {
namespace {

using ktls::Error;
using ktls::ErrorCode;

// A default certificate, and hosts "www.example.org", "*.example.org" and "other.test".
ServerOptions three_hosts() {
  ServerOptions options = pki().serve({});
  options.hosts = {host("www.example.org"), host("*.Example.org."), host("other.test")};
  return options;
}

Error error_of(const std::vector<Host>& hosts) {
  ServerOptions options = pki().serve({});
  options.hosts = hosts;
  const auto context = Context::server(options);
  return context ? Error::of(ErrorCode::kCancelled, "no error") : context.error();
}

class HostsInEveryVersion : public testing::TestWithParam<ProtocolVersion> {};

INSTANTIATE_TEST_SUITE_P(Hosts, HostsInEveryVersion,
                         testing::Values(ProtocolVersion::kTls12, ProtocolVersion::kTls13),
                         name_of_version);

TEST_P(HostsInEveryVersion, AClientIsShownTheCertificateOfTheNameItAsksFor) {
  const auto server = make_server(three_hosts());
  const auto certificates = server->certificates();
  ASSERT_EQ(certificates.size(), 4U);
  struct Case {
    std::string asked;
    std::size_t shown;
  };
  const std::vector<Case> cases = {
      {"www.example.org", 1},
      {"WWW.EXAMPLE.ORG", 1},
      {"www.example.org.", 1},
      {"mail.example.org", 2},
      {"Mail.Example.Org", 2},
      {"other.test", 3},
      {"a.b.example.org", 0},
      {"example.org", 0},
      {"*.example.org", 0},
      {"unknown.test", 0},
      {"", 0},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.asked);
    const Visit visit = visit_as(c.asked, server, GetParam());
    EXPECT_EQ(visit.fingerprint, certificates[c.shown].fingerprint);
    EXPECT_EQ(visit.host, certificates[c.shown].host);
    EXPECT_EQ(visit.peer_name, c.asked);
  }
}

TEST_P(HostsInEveryVersion, ASessionIsResumedUnderItsOwnNameOnly) {
  const auto server = make_server(three_hosts());
  const std::vector<std::string> names = {"www.example.org", "mail.example.org", "ftp.example.org",
                                          "other.test",      "unknown.test",     "stranger.test"};
  for (const std::string& first : names) {
    for (const std::string& second : names) {
      SCOPED_TRACE(first + ", then " + second);
      const Visit full = visit_as(first, server, GetParam());
      EXPECT_FALSE(full.resumed);
      const Visit next = visit_as(second, server, GetParam(), full.session.get());
      EXPECT_EQ(next.resumed, first == second);
      EXPECT_EQ(next.host, visit_as(second, server, GetParam()).host);
      EXPECT_EQ(next.peer_name, second);
    }
  }
}

TEST_P(HostsInEveryVersion, ASessionWithANameIsNotResumedWithout) {
  const auto server = make_server(pki().serve({}));
  const Visit named = visit_as("server.test", server, GetParam());
  EXPECT_FALSE(visit_as("", server, GetParam(), named.session.get()).resumed);
  const Visit unnamed = visit_as("", server, GetParam());
  EXPECT_TRUE(visit_as("", server, GetParam(), unnamed.session.get()).resumed);
  EXPECT_FALSE(visit_as("server.test", server, GetParam(), unnamed.session.get()).resumed);
}

TEST_P(HostsInEveryVersion, ASessionWithoutATicketIsResumedUnderItsOwnNameOnly) {
  const auto server = make_server(three_hosts());
  const auto client = libssl_client();
  SSL_CTX_set_options(client.get(), SSL_OP_NO_TICKET);
  const Visit first = visit_as("other.test", server, GetParam(), nullptr, client.get());
  const auto resumed = [&](const std::string& name) {
    return visit_as(name, server, GetParam(), first.session.get(), client.get()).resumed;
  };
  EXPECT_FALSE(resumed("www.example.org"));
  EXPECT_TRUE(resumed("other.test"));
}

TEST_P(HostsInEveryVersion, EveryHostHasTheSettingsOfItsContext) {
  std::vector<std::string> lines;
  ServerOptions options = three_hosts();
  options.alpn = {"h2"};
  options.keylog = [&](std::string_view line) { lines.emplace_back(line); };
  const auto server = make_server(options);
  for (const std::string name : {"unknown.test", "www.example.org", "mail.example.org"}) {
    SCOPED_TRACE(name);
    lines.clear();
    const auto client = libssl_client();
    RecordSizeExtension limit{.sent = wire_of_limit(1000), .received = {}};
    limit.add_to(client.get());
    SSL_CTX_set_alpn_protos(client.get(), reinterpret_cast<const unsigned char*>("\2h2"), 3);
    const Visit visit = visit_as(name, server, GetParam(), nullptr, client.get());
    EXPECT_EQ(visit.alpn, "h2");
    EXPECT_EQ(visit.fragment_size_max, GetParam() == ProtocolVersion::kTls13 ? 999U : 1000U);
    EXPECT_TRUE(limit.received);
    EXPECT_FALSE(lines.empty());
  }
}

TEST(Hosts, NoOtherCertificateIsShownThatTheClientWouldPrefer) {
  ServerOptions options = pki().serve({.key = KeyKind::kRsa});
  options.hosts = {host("ecdsa.test")};
  const auto server = make_server(options);
  const auto client = libssl_client();
  SSL_CTX_set_max_proto_version(client.get(), TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(client.get(), "ECDHE-RSA-AES128-GCM-SHA256");
  LibsslPeer rsa_only(client.get(), Role::kClient, "ecdsa.test");
  OurPeer ours(server, Role::kServer);
  converse(rsa_only, ours);
  EXPECT_FALSE(rsa_only.done());
  ASSERT_TRUE(ours.failed());
  EXPECT_EQ(ours.error().code, ErrorCode::kHandshakeFailed);

  LibsslPeer unnamed(client.get(), Role::kClient);
  OurPeer again(server, Role::kServer);
  converse(unnamed, again);
  EXPECT_TRUE(unnamed.done());
}

TEST(Hosts, TheNameAfterAHelloRetryRequestIsTheOneThatCounts) {
  const auto server = make_server(three_hosts());
  SSL_CTX* const handle = std::dynamic_pointer_cast<SslContext>(server)->handle();
  ASSERT_EQ(SSL_CTX_set1_groups_list(handle, "P-384"), 1);
  const auto client_context = libssl_client();
  for (const std::string second : {"www.example.org", "other.test", "unknown.test"}) {
    SCOPED_TRACE(second);
    LibsslPeer client(client_context.get(), Role::kClient, "www.example.org");
    std::string name = second;
    SSL_ctrl(client.ssl(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data());
    OurPeer ours(server, Role::kServer);
    converse(client, ours);
    ASSERT_TRUE(client.done());
    const Visit visit = end_of(client, ours);
    EXPECT_EQ(visit.peer_name, second);
    EXPECT_EQ(visit.host, second == "unknown.test" ? "" : second);
    for (const auto& certificate : server->certificates()) {
      if (certificate.host == visit.host) {
        EXPECT_EQ(visit.fingerprint, certificate.fingerprint);
      }
    }
  }
}

TEST(Hosts, AreListedWithTheirFingerprintsInTheOrderOfTheOptions) {
  const auto server = make_server(three_hosts());
  const auto certificates = server->certificates();
  ASSERT_EQ(certificates.size(), 4U);
  EXPECT_EQ(certificates[0].host, "");
  EXPECT_EQ(certificates[0].fingerprint, server->certificate_fingerprint());
  EXPECT_EQ(certificates[1].host, "www.example.org");
  EXPECT_EQ(certificates[2].host, "*.example.org");
  EXPECT_EQ(certificates[3].host, "other.test");
  EXPECT_TRUE(server->warnings().empty());
  EXPECT_TRUE(make_client(pki().trust())->certificates().empty());
}

TEST(Hosts, RefusesNamesThatAreMalformedOrGivenTwice) {
  const Error malformed = error_of({host("a b.test")});
  EXPECT_EQ(malformed.code, ErrorCode::kInvalidArgument);
  EXPECT_NE(malformed.detail.find("\"a b.test\""), std::string::npos) << malformed.detail;
  const Error twice = error_of({host("a.test"), host("b.test"), host("A.TEST.")});
  EXPECT_EQ(twice.code, ErrorCode::kInvalidArgument);
  EXPECT_NE(twice.detail.find("\"A.TEST.\": given twice"), std::string::npos) << twice.detail;
}

TEST(Hosts, NamesTheHostAndTheFileThatIsBroken) {
  const Error none = error_of({{.name = "a.test", .certificate_file = "", .key_file = ""}});
  EXPECT_EQ(none.code, ErrorCode::kInvalidArgument);
  EXPECT_NE(none.detail.find("a.test: a certificate file is needed"), std::string::npos);
  const Error missing =
      error_of({host("a.test"),
                {.name = "b.test", .certificate_file = "/nonexistent/b.pem", .key_file = ""}});
  EXPECT_EQ(missing.code, ErrorCode::kSystem);
  EXPECT_EQ(missing.sys_errno, ENOENT);
  EXPECT_NE(missing.detail.find("b.test: /nonexistent/b.pem"), std::string::npos) << missing.detail;
  Host mixed = host("a.test");
  mixed.key_file = pki().serve({.key = KeyKind::kRsa}).key_file;
  EXPECT_NE(error_of({mixed}).detail.find(mixed.key_file), std::string::npos);
}

TEST(Hosts, WarnsOfACertificateThatDoesNotHoldTheNameOrIsOutOfItsDates) {
  ServerOptions options = pki().serve({});
  options.hosts = {
      host("good.test"),
      host("bad.test", {.dns_names = {"good.test", "*.bad.test"}}),
      host("*.wild.test", {.dns_names = {"*.wild.test"}}),
      host("*.tame.test", {.dns_names = {"tame.test", "www.tame.test"}}),
      host("old.test", {.dns_names = {"old.test"}, .not_before_s = -7200, .not_after_s = -3600}),
      host("common.test", {.common_name = "common.test", .dns_names = {"x.test"}}),
  };
  const auto server = make_server(options);
  const auto& warnings = server->warnings();
  ASSERT_EQ(warnings.size(), 4U);
  EXPECT_NE(warnings[0].find("does not hold the name bad.test"), std::string::npos);
  EXPECT_NE(warnings[1].find("does not hold the name *.tame.test"), std::string::npos);
  EXPECT_NE(warnings[2].find(options.hosts[4].certificate_file), std::string::npos);
  EXPECT_NE(warnings[2].find("has expired"), std::string::npos);
  EXPECT_NE(warnings[3].find("does not hold the name common.test"), std::string::npos);
}

}  // namespace
}  // namespace tls::test
