// A context that replaces another: what goes over, and what the connections in between see.
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/userspace/handshake/visits.h"
#include "userspace/handshake/openssl/context.h"

namespace tls::test {
namespace {

using ktls::ErrorCode;

std::shared_ptr<Context> reload(const ServerOptions& options,
                                const std::shared_ptr<Context>& predecessor) {
  auto context = Context::server(options, predecessor);
  EXPECT_TRUE(context) << context.error().message();
  return *context;
}

// What a renewal of certificates does: new content, same names of files.
void renew_files(const std::string& certificate_file, const std::string& key_file,
                 const std::string& name) {
  const ServerOptions fresh = pki().serve({.dns_names = {name}});
  std::filesystem::rename(fresh.certificate_file, certificate_file);
  std::filesystem::rename(fresh.key_file, key_file);
}

class ReloadInEveryVersion : public testing::TestWithParam<ProtocolVersion> {
 protected:
  Visit visit(const std::string& name, const std::shared_ptr<Context>& server,
              const Visit* earlier = nullptr) {
    return visit_as(name, server, GetParam(),
                    earlier == nullptr ? nullptr : earlier->session.get());
  }
};

INSTANTIATE_TEST_SUITE_P(Reload, ReloadInEveryVersion,
                         testing::Values(ProtocolVersion::kTls12, ProtocolVersion::kTls13),
                         name_of_version);

TEST_P(ReloadInEveryVersion, AHandshakeInFlightEndsWithTheOldCertificateAndTheNextGetsTheNewOne) {
  ServerOptions options = pki().serve({});
  options.hosts = {host("a.test")};
  for (const std::string name : {"server.test", "a.test"}) {
    SCOPED_TRACE(name);
    auto current = make_server(options);
    const std::weak_ptr<Context> old = current;
    const auto before = current->certificates();

    const auto client_context = libssl_client();
    SSL_CTX_set_max_proto_version(client_context.get(), static_cast<int>(GetParam()));
    LibsslPeer client(client_context.get(), Role::kClient, name);
    auto in_flight = std::make_unique<OurPeer>(current, Role::kServer);
    auto waiting = std::make_unique<OurPeer>(current, Role::kServer);
    in_flight->receive(client.take_output());

    renew_files(options.certificate_file, options.key_file, "server.test");
    renew_files(options.hosts[0].certificate_file, options.hosts[0].key_file, "a.test");
    current = reload(options, current);
    const auto after = current->certificates();
    const std::size_t shown = name == "a.test" ? 1 : 0;
    ASSERT_NE(before[shown].fingerprint, after[shown].fingerprint);

    converse(client, *in_flight);
    EXPECT_EQ(end_of(client, *in_flight).fingerprint, before[shown].fingerprint);
    // One that had accepted, but heard nothing yet.
    LibsslPeer late(client_context.get(), Role::kClient, name);
    converse(late, *waiting);
    EXPECT_EQ(end_of(late, *waiting).fingerprint, before[shown].fingerprint);
    EXPECT_EQ(visit(name, current).fingerprint, after[shown].fingerprint);

    in_flight.reset();
    waiting.reset();
    EXPECT_TRUE(old.expired());
  }
}

TEST_P(ReloadInEveryVersion, SessionsAreResumedOverIt) {
  ServerOptions options = pki().serve({});
  options.hosts = {host("a.test"), host("*.b.test")};
  const auto first = make_server(options);
  options.hosts = {host("*.b.test"), host("new.test"), host("a.test")};
  const auto second = reload(options, first);
  const auto third = reload(options, second);
  for (const std::string name : {"unknown.test", "a.test", "www.b.test"}) {
    SCOPED_TRACE(name);
    const Visit begun = visit(name, first);
    EXPECT_TRUE(visit(name, second, &begun).resumed);
    EXPECT_TRUE(visit(name, third, &begun).resumed);
    const Visit late = visit(name, third);
    EXPECT_TRUE(visit(name, first, &late).resumed);
    const Visit next = visit(name, third, &begun);
    EXPECT_EQ(next.host, begun.host);
    EXPECT_EQ(next.peer_name, name);
    // A session has the certificate that it began with.
    EXPECT_EQ(next.fingerprint, begun.fingerprint);
  }
}

TEST_P(ReloadInEveryVersion, SessionsEndWithAContextThatHasNoSuccessor) {
  const ServerOptions options = pki().serve({});
  const Visit begun = visit("server.test", make_server(options));
  EXPECT_FALSE(visit("server.test", make_server(options), &begun).resumed);
}

TEST_P(ReloadInEveryVersion, AHostThatIsGoneIsTheDefaultWithoutItsSessions) {
  ServerOptions options = pki().serve({});
  options.hosts = {host("a.test")};
  const auto before = make_server(options);
  const Visit begun = visit("a.test", before);
  EXPECT_EQ(begun.host, "a.test");

  options.hosts.clear();
  const auto after = reload(options, before);
  const Visit next = visit("a.test", after, &begun);
  EXPECT_FALSE(next.resumed);
  EXPECT_EQ(next.host, "");
  EXPECT_EQ(next.fingerprint, after->certificate_fingerprint());
}

TEST_P(ReloadInEveryVersion, ANewHostDoesNotResumeSessionsOfTheHostThatHadItsName) {
  ServerOptions options = pki().serve({});
  options.hosts = {host("*.test")};
  const auto before = make_server(options);
  const Visit of_wildcard = visit("a.test", before);
  const Visit of_default = visit("a.example", before);
  EXPECT_EQ(of_wildcard.host, "*.test");
  EXPECT_EQ(of_default.host, "");

  options.hosts.push_back(host("a.test"));
  options.hosts.push_back(host("a.example"));
  const auto after = reload(options, before);
  for (const auto& [name, earlier] :
       {std::pair("a.test", &of_wildcard), {"a.example", &of_default}}) {
    const Visit next = visit(name, after, earlier);
    EXPECT_FALSE(next.resumed);
    EXPECT_EQ(next.host, name);
    EXPECT_EQ(next.fingerprint, after->certificates()[next.host == "a.test" ? 2 : 3].fingerprint);
  }
}

TEST_P(ReloadInEveryVersion, BrokenFilesAreNamedAndThePredecessorGoesOn) {
  ServerOptions options = pki().serve({});
  options.hosts = {host("a.test")};
  const auto current = make_server(options);
  const Visit begun = visit("a.test", current);

  ServerOptions broken = options;
  broken.hosts[0].certificate_file = pki().directory.write("broken-reload.pem", "no PEM\n");
  const auto refused = Context::server(broken, current);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(refused.error().message().find(broken.hosts[0].certificate_file), std::string::npos);

  const Visit next = visit("a.test", current, &begun);
  EXPECT_TRUE(next.resumed);
  EXPECT_EQ(visit("a.test", current).fingerprint, begun.fingerprint);
}

TEST(Reload, ATls12SessionIsNotResumedWithASuiteThatIsOut) {
  ServerOptions options = only_version(pki().serve({}), ProtocolVersion::kTls12);
  const auto before = make_server(options);
  const auto client = libssl_client();
  SSL_CTX_set_cipher_list(client.get(),
                          "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384");
  options.ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384";
  const auto visit = [&](const std::shared_ptr<Context>& server, SSL_SESSION* session) {
    return visit_as("server.test", server, ProtocolVersion::kTls12, session, client.get());
  };
  const Visit begun = visit(before, nullptr);
  EXPECT_STREQ(SSL_CIPHER_get_name(SSL_SESSION_get0_cipher(begun.session.get())),
               "ECDHE-ECDSA-AES128-GCM-SHA256");
  const Visit next = visit(reload(options, before), begun.session.get());
  EXPECT_FALSE(next.resumed);
  EXPECT_STREQ(SSL_CIPHER_get_name(SSL_SESSION_get0_cipher(next.session.get())),
               "ECDHE-ECDSA-AES256-GCM-SHA384");
}

TEST(Reload, RefusesAPredecessorOfTheClientRole) {
  const auto refused = Context::server(pki().serve({}), make_client(pki().trust()));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace tls::test
