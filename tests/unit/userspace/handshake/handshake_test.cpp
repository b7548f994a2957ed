// Our handshake against itself: every suite, certificate and way of resuming.
#include "userspace/handshake/openssl/handshake.h"

#include <mutex>
#include <set>
#include <string>
#include <tuple>

#include <gtest/gtest.h>

#include "tests/unit/userspace/handshake/peers.h"

namespace tls::test {
namespace {

struct Pair {
  Connection client;
  Connection server;
};

// Both sides of a handshake that must succeed. Tickets have reached the client.
Pair connect(const std::shared_ptr<Context>& client_context,
             const std::shared_ptr<Context>& server_context,
             const std::string& name = "server.test") {
  OurPeer client(client_context, Role::kClient, name);
  OurPeer server(server_context, Role::kServer);
  converse(client, server);
  Bytes tickets = client.inbox();
  Pair pair{finish(client), finish(server)};
  EXPECT_EQ(pair.client.open(tickets), "");
  return pair;
}

void expect_agreement(const Pair& pair) {
  const Negotiated& client = pair.client.negotiated();
  const Negotiated& server = pair.server.negotiated();
  EXPECT_EQ(client.version, server.version);
  EXPECT_EQ(client.suite, server.suite);
  EXPECT_EQ(client.resumed, server.resumed);
  EXPECT_EQ(client.alpn, server.alpn);
  EXPECT_EQ(client.role, Role::kClient);
  EXPECT_EQ(server.role, Role::kServer);
  EXPECT_TRUE(std::ranges::equal(client.read_secret.bytes(), server.write_secret.bytes()));
  EXPECT_TRUE(std::ranges::equal(client.write_secret.bytes(), server.read_secret.bytes()));
  EXPECT_EQ(client.read_secret.empty(), client.version == ProtocolVersion::kTls12);
}

void expect_exchange(Pair& pair) {
  for (const std::string text : {"first", "second"}) {
    EXPECT_EQ(pair.server.open(pair.client.seal("client " + text)), "client " + text);
    EXPECT_EQ(pair.client.open(pair.server.seal("server " + text)), "server " + text);
  }
  const std::string large(100000, 'x');
  EXPECT_EQ(pair.client.open(pair.server.seal(large)), large);
}

class EverySuite : public testing::TestWithParam<CipherSuite> {
 protected:
  // The certificates that serve the suite: TLS 1.3 suites do not name one.
  static std::vector<KeyKind> key_kinds(const CipherSuite& suite) {
    if (suite.version == ProtocolVersion::kTls13) return {KeyKind::kEcdsa, KeyKind::kRsa};
    const bool ecdsa = suite.name.find("ECDSA") != std::string_view::npos;
    return {ecdsa ? KeyKind::kEcdsa : KeyKind::kRsa};
  }

  template <typename Options>
  static Options only(Options options, const CipherSuite& suite) {
    options.version_min = options.version_max = suite.version;
    (suite.version == ProtocolVersion::kTls13 ? options.ciphersuites : options.ciphers) =
        suite.openssl_name;
    return options;
  }
};

TEST_P(EverySuite, AgreesAndExchangesRecordsInFullAndResumedHandshakes) {
  const CipherSuite& suite = GetParam();
  for (const KeyKind key : key_kinds(suite)) {
    const auto server = make_server(pki().serve({.key = key}, std::string(suite.openssl_name)));
    const auto client = make_client(only(pki().trust(), suite));
    for (const bool resumed : {false, true, true}) {
      Pair pair = connect(client, server);
      expect_agreement(pair);
      EXPECT_EQ(pair.client.negotiated().suite->id, suite.id);
      EXPECT_EQ(pair.client.negotiated().resumed, resumed);
      EXPECT_EQ(pair.client.negotiated().peer_name, "server.test");
      EXPECT_EQ(pair.server.negotiated().peer_name, "server.test");
      expect_exchange(pair);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Handshake, EverySuite,
                         testing::ValuesIn(cipher_suites().begin(), cipher_suites().end()),
                         [](const auto& suite) { return std::string(suite.param.name); });

}  // namespace
}  // namespace tls::test
