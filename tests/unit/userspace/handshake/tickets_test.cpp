// Session tickets: of machines that share their keys, and how many a client gets.
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/userspace/handshake/visits.h"
#include "userspace/handshake/openssl/context.h"

namespace tls::test {
namespace {

using ktls::ErrorCode;

constexpr std::size_t kShort = 48;
constexpr std::size_t kLong = 80;

// A key file like no other.
std::string key_file(std::size_t size = kLong) {
  static int made = 0;
  const std::string name = "ticket-key-" + std::to_string(++made);
  std::string content(size, '\0');
  for (std::size_t i = 0; i < size; ++i) content[i] = static_cast<char>(i * 7 + made);
  return pki().directory.write(name, content);
}

std::shared_ptr<Context> machine(const ServerOptions& options,
                                 const std::vector<std::string>& files) {
  auto server = make_server(options);
  const auto used = server->use_ticket_keys(files);
  EXPECT_TRUE(used) << used.error().message();
  return server;
}

class TicketsInEveryVersion : public testing::TestWithParam<ProtocolVersion> {
 protected:
  Visit visit(const std::shared_ptr<Context>& server, const Visit* earlier = nullptr,
              const std::string& name = "server.test", SSL_CTX* client = nullptr) {
    return visit_as(name, server, GetParam(), earlier == nullptr ? nullptr : earlier->session.get(),
                    client);
  }
};

INSTANTIATE_TEST_SUITE_P(Tickets, TicketsInEveryVersion,
                         testing::Values(ProtocolVersion::kTls12, ProtocolVersion::kTls13),
                         name_of_version);

TEST_P(TicketsInEveryVersion, MachinesWithTheSameKeysResumeEachOthersSessions) {
  for (const std::size_t size : {kShort, kLong}) {
    SCOPED_TRACE(size);
    ServerOptions options = pki().serve({});
    options.hosts = {host("a.test"), host("*.b.test")};
    options.client_ca_file = pki().ca_file;
    options.client_authentication = ClientAuthentication::kOptional;
    const std::vector<std::string> files = {key_file(size)};
    const auto one = machine(options, files);
    // The other has certificates of its own, and its hosts in another order.
    ServerOptions same = pki().serve({});
    same.hosts = {host("*.b.test"), host("a.test")};
    same.client_ca_file = options.client_ca_file;
    same.client_authentication = options.client_authentication;
    const auto other = machine(same, files);
    for (const std::string name : {"server.test", "a.test", "www.b.test", ""}) {
      SCOPED_TRACE(name);
      const Visit begun = visit(one, nullptr, name);
      EXPECT_FALSE(begun.resumed);
      const Visit next = visit(other, &begun, name);
      EXPECT_TRUE(next.resumed);
      EXPECT_TRUE(visit(one, &next, name).resumed);
    }
  }
}

TEST_P(TicketsInEveryVersion, AnotherKeyAnotherNameOrAnotherTrustIsAFullHandshake) {
  const ServerOptions options = pki().serve({});
  const std::vector<std::string> files = {key_file()};
  const auto one = machine(options, files);
  const Visit begun = visit(one);
  EXPECT_FALSE(visit(machine(options, {key_file()}), &begun).resumed);
  EXPECT_FALSE(visit(machine(options, files), &begun, "other.test").resumed);
  ServerOptions asking = options;
  asking.client_ca_file = pki().ca_file;
  asking.client_authentication = ClientAuthentication::kOptional;
  EXPECT_FALSE(visit(machine(asking, files), &begun).resumed);
  EXPECT_TRUE(visit(machine(options, files), &begun).resumed);
}

TEST_P(TicketsInEveryVersion, KeysAreRotatedWithoutLosingSessions) {
  const ServerOptions options = pki().serve({});
  const auto server = make_server(options);
  const std::string old_file = key_file();
  const std::string new_file = key_file();
  ASSERT_TRUE(server->use_ticket_keys(std::vector{old_file}));
  const Visit begun = visit(server);
  ASSERT_TRUE(server->use_ticket_keys(std::vector{new_file, old_file}));
  const Visit renewed = visit(server, &begun);
  EXPECT_TRUE(renewed.resumed);
  ASSERT_TRUE(server->use_ticket_keys(std::vector{new_file}));
  EXPECT_FALSE(visit(server, &begun).resumed);
  EXPECT_TRUE(visit(server, &renewed).resumed);
}

TEST_P(TicketsInEveryVersion, KeysStayOverAReload) {
  const ServerOptions options = pki().serve({});
  const std::vector<std::string> files = {key_file()};
  const auto first = machine(options, files);
  const auto second = Context::server(options, first);
  ASSERT_TRUE(second);
  const Visit begun = visit(*second);
  EXPECT_TRUE(visit(machine(options, files), &begun).resumed);
  // What the new one is given, those before it have as well.
  const std::vector<std::string> next = {key_file()};
  ASSERT_TRUE((*second)->use_ticket_keys(next));
  const Visit late = visit(first);
  EXPECT_TRUE(visit(machine(options, next), &late).resumed);
}

TEST_P(TicketsInEveryVersion, ABrokenFileLeavesTheKeysAsTheyWere) {
  const ServerOptions options = pki().serve({});
  const std::string good = key_file();
  const auto server = machine(options, {good});
  const Visit begun = visit(server);
  const std::string bad = pki().directory.write("bad-ticket-key", "too short");
  const auto refused = server->use_ticket_keys(std::vector{good, bad});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(refused.error().message().find(bad), std::string::npos);
  EXPECT_TRUE(visit(server, &begun).resumed);
}

TEST_P(TicketsInEveryVersion, NoneOfThemTurnsResumptionOff) {
  ServerOptions options = pki().serve({});
  const std::vector<std::string> files = {key_file()};
  const Visit elsewhere = visit(machine(options, files));
  options.tickets = 0;
  const auto server = machine(options, files);
  const Visit begun = visit(server);
  EXPECT_EQ(SSL_SESSION_has_ticket(begun.session.get()), 0);
  EXPECT_FALSE(visit(server, &begun).resumed);
  EXPECT_FALSE(visit(server, &elsewhere).resumed);

  // By its id neither, which a client of TLS 1.2 without tickets may ask for.
  const auto client = libssl_client();
  SSL_CTX_set_options(client.get(), SSL_OP_NO_TICKET);
  const Visit by_id = visit(server, nullptr, "server.test", client.get());
  EXPECT_FALSE(visit(server, &by_id, "server.test", client.get()).resumed);
}

TEST(Tickets, AClientOfTls13GetsAsManyAsAreAskedFor) {
  struct Counted {
    static int count(SSL* ssl, SSL_SESSION* /*session*/) {
      ++*static_cast<int*>(SSL_get_app_data(ssl));
      return 0;
    }
  };
  for (const unsigned wanted : {0U, 1U, 2U, 5U, 16U}) {
    SCOPED_TRACE(wanted);
    ServerOptions options = pki().serve({});
    options.tickets = wanted;
    const auto server = make_server(options);
    const auto context = libssl_client();
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(context.get(), Counted::count);
    LibsslPeer client(context.get(), Role::kClient, "server.test");
    int got = 0;
    SSL_set_app_data(client.ssl(), &got);
    OurPeer ours(server, Role::kServer);
    converse(client, ours);
    ASSERT_TRUE(client.done());
    static_cast<void>(end_of(client, ours));  // data opens in the records after them
    EXPECT_EQ(got, static_cast<int>(wanted));
  }
}

TEST(Tickets, AreSealedByTheKeyWhoseNameIsTold) {
  const auto server = make_server(only_version(pki().serve({}), ProtocolVersion::kTls12));
  const auto used = server->use_ticket_keys(std::vector{key_file(), key_file()});
  ASSERT_TRUE(used);
  const Visit begun = visit_as("server.test", server, ProtocolVersion::kTls12);
  const unsigned char* ticket = nullptr;
  std::size_t size = 0;
  SSL_SESSION_get0_ticket(begun.session.get(), &ticket, &size);
  ASSERT_GT(size, 16U);
  std::string name;
  for (const unsigned char byte : std::span(ticket, 16)) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    if (!name.empty()) name += ':';
    name += kDigits[byte >> 4U];
    name += kDigits[byte & 0xfU];
  }
  EXPECT_EQ(used->sealing, name);
}

TEST(Tickets, AClientHasNoKeysForThem) {
  const auto client = make_client(pki().trust());
  const auto refused = client->use_ticket_keys(std::vector{key_file()});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(make_server(pki().serve({}))->use_ticket_keys({}));
}

}  // namespace
}  // namespace tls::test
