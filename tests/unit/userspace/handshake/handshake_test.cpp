// Our handshake against itself: every suite, certificate and way of resuming.
#include "userspace/handshake/openssl/handshake.h"

#include <algorithm>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/userspace/handshake/peers.h"

namespace tls::test {
namespace {

using ktls::ErrorCode;

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
  EXPECT_EQ(client.fragment_size_max, kPlaintextSizeMax);
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

class EverySuite : public testing::TestWithParam<const CipherSuite*> {};

TEST_P(EverySuite, AgreesAndExchangesRecordsInFullAndResumedHandshakes) {
  const CipherSuite& suite = *GetParam();
  for (const KeyKind key : key_kinds(suite)) {
    const auto server = make_server(pki().serve({.key = key}));
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

INSTANTIATE_TEST_SUITE_P(Handshake, EverySuite, testing::ValuesIn(handshake_suites()),
                         [](const auto& suite) { return std::string(suite.param->name); });

class EveryVersion : public testing::TestWithParam<ProtocolVersion> {
 protected:
  [[nodiscard]] static ClientOptions client_options() {
    return only_version(pki().trust(), GetParam());
  }
};

INSTANTIATE_TEST_SUITE_P(Handshake, EveryVersion,
                         testing::Values(ProtocolVersion::kTls12, ProtocolVersion::kTls13),
                         [](const auto& version) {
                           return std::string(version.param == ProtocolVersion::kTls13 ? "Tls13"
                                                                                       : "Tls12");
                         });

TEST_P(EveryVersion, TakesFlightsCutAtEveryByte) {
  OurPeer client(make_client(client_options()), Role::kClient, "server.test");
  OurPeer server(make_server(pki().serve({})), Role::kServer);
  for (;;) {
    const Bytes to_server = client.take_output();
    for (const std::uint8_t byte : to_server) server.receive({byte});
    const Bytes to_client = server.take_output();
    for (const std::uint8_t byte : to_client) client.receive({byte});
    if (to_server.empty() && to_client.empty()) break;
  }
  const Bytes tickets = client.inbox();
  Pair pair{finish(client), finish(server)};
  EXPECT_EQ(pair.client.open(tickets), "");
  expect_exchange(pair);
}

TEST_P(EveryVersion, LogsTheSameKeysOnBothSides) {
  std::mutex mutex;
  std::multiset<std::string> client_lines;
  std::multiset<std::string> server_lines;
  const auto sink_of = [&mutex](std::multiset<std::string>& lines) {
    return [&mutex, &lines](std::string_view line) {
      const std::scoped_lock lock(mutex);
      lines.emplace(line);
    };
  };
  auto server_options = pki().serve({});
  server_options.keylog = sink_of(server_lines);
  auto options = client_options();
  options.keylog = sink_of(client_lines);
  static_cast<void>(connect(make_client(options), make_server(server_options)));
  EXPECT_EQ(client_lines, server_lines);
  EXPECT_EQ(client_lines.size(), GetParam() == ProtocolVersion::kTls13 ? 5U : 1U);
}

TEST_P(EveryVersion, ServerChoosesTheFirstOfItsProtocolsThatTheClientOffers) {
  auto server_options = pki().serve({});
  server_options.alpn = {"h3", "h2", "http/1.1"};
  auto options = client_options();
  options.alpn = {"http/1.1", "h2"};
  const auto client = make_client(options);
  const auto server = make_server(server_options);
  for (const bool resumed : {false, true}) {
    const Pair pair = connect(client, server);
    EXPECT_EQ(pair.client.negotiated().resumed, resumed);
    EXPECT_EQ(pair.client.negotiated().alpn, "h2");
    EXPECT_EQ(pair.server.negotiated().alpn, "h2");
  }
}

TEST_P(EveryVersion, ServerWithoutProtocolsIgnoresTheOffer) {
  auto options = client_options();
  options.alpn = {"h2"};
  const Pair pair = connect(make_client(options), make_server(pki().serve({})));
  EXPECT_EQ(pair.client.negotiated().alpn, "");
  EXPECT_EQ(pair.server.negotiated().alpn, "");
}

TEST_P(EveryVersion, ServerRefusesAnOfferWithoutOverlap) {
  auto server_options = pki().serve({});
  server_options.alpn = {"h2"};
  auto options = client_options();
  options.alpn = {"http/1.1", "h"};
  OurPeer client(make_client(options), Role::kClient, "server.test");
  OurPeer server(make_server(server_options), Role::kServer);
  converse(client, server);
  ASSERT_TRUE(server.failed());
  EXPECT_EQ(server.error().code, ErrorCode::kHandshakeFailed);
  EXPECT_EQ(server.error().alert, SSL_AD_NO_APPLICATION_PROTOCOL);
  ASSERT_TRUE(client.failed());
  EXPECT_EQ(client.error().code, ErrorCode::kPeerAlert);
  EXPECT_EQ(client.error().alert, SSL_AD_NO_APPLICATION_PROTOCOL);
  EXPECT_NE(client.error().detail.find("no_application_protocol"), std::string::npos);
}

TEST_P(EveryVersion, ResumesForTheSameNameOnly) {
  const auto server = make_server(pki().serve({.dns_names = {"server.test", "other.test"}}));
  const auto client = make_client(client_options());
  EXPECT_FALSE(connect(client, server, "server.test").client.negotiated().resumed);
  EXPECT_FALSE(connect(client, server, "other.test").client.negotiated().resumed);
  EXPECT_TRUE(connect(client, server, "server.test").client.negotiated().resumed);
  EXPECT_TRUE(connect(client, server, "other.test").client.negotiated().resumed);
}

TEST_P(EveryVersion, AClientThatDoesNotVerifyNeedsNoName) {
  auto options = client_options();
  options.ca_file.clear();
  options.verify = false;
  Pair pair = connect(make_client(options), make_server({}), "");
  expect_agreement(pair);
  expect_exchange(pair);
  EXPECT_EQ(pair.client.negotiated().peer_name, "");
  EXPECT_EQ(pair.server.negotiated().peer_name, "");
}

TEST_P(EveryVersion, RefusesWhatTheOrderOfCallsDoesNotAllow) {
  OurPeer client(make_client(client_options()), Role::kClient, "server.test");
  OurPeer server(make_server(pki().serve({})), Role::kServer);
  EXPECT_EQ(client.handshake().finish().error().code, ErrorCode::kProtocolViolation);
  EXPECT_EQ(client.handshake().advance({}).error().code, ErrorCode::kInvalidArgument);
  converse(client, server);
  ASSERT_TRUE(client.done());
  EXPECT_EQ(client.handshake().advance({}).error().code, ErrorCode::kProtocolViolation);
  EXPECT_TRUE(client.handshake().finish());
  EXPECT_EQ(client.handshake().finish().error().code, ErrorCode::kProtocolViolation);
  EXPECT_EQ(client.handshake().advance({}).error().code, ErrorCode::kProtocolViolation);
}

TEST_P(EveryVersion, TakesExactlyOneRecordACall) {
  const auto first_flight = [](const std::shared_ptr<Context>& context) {
    return OurPeer(context, Role::kClient, "server.test").take_output();
  };
  const auto client = make_client(client_options());
  const auto server = make_server(pki().serve({}));
  for (const int change : {-1, +1}) {
    OurPeer peer(server, Role::kServer);
    Bytes record = first_flight(client);
    record.resize(static_cast<std::size_t>(static_cast<std::ptrdiff_t>(record.size()) + change));
    EXPECT_EQ(peer.handshake().advance(record).error().code, ErrorCode::kInvalidArgument);
  }
}

TEST(Handshake, RefusesAContextOfTheOtherRole) {
  EXPECT_EQ(Handshake::create(make_server({}), Role::kClient, "server.test").error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(Handshake::create(make_client(pki().trust()), Role::kServer, "").error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(Handshake::create(nullptr, Role::kServer, "").error().code,
            ErrorCode::kInvalidArgument);
}

TEST(Handshake, RefusesNamesThatNoCertificateCanHold) {
  const auto client = make_client(pki().trust());
  for (const std::string& name : {std::string(), std::string("."), std::string(".server.test"),
                                  std::string("server.test\0.evil.test", 21)}) {
    const auto created = Handshake::create(client, Role::kClient, name);
    ASSERT_FALSE(created) << name;
    EXPECT_EQ(created.error().code, ErrorCode::kInvalidArgument);
  }
}

TEST(Handshake, TakesATrailingDotForTheSameName) {
  Pair pair = connect(make_client(pki().trust()), make_server(pki().serve({})), "server.test.");
  EXPECT_EQ(pair.client.negotiated().peer_name, "server.test");
  EXPECT_EQ(pair.server.negotiated().peer_name, "server.test");
}

TEST(Handshake, AFullTls12ClientSessionServesManyConnections) {
  const auto server = make_server(pki().serve({}));
  const auto client = make_client(only_version(pki().trust(), ProtocolVersion::kTls12));
  static_cast<void>(connect(client, server));
  const std::size_t count = client->session_count();
  EXPECT_GE(count, 1U);
  OurPeer first(client, Role::kClient, "server.test");
  OurPeer second(client, Role::kClient, "server.test");
  for (OurPeer* const peer : {&first, &second}) {
    OurPeer other(server, Role::kServer);
    converse(*peer, other);
    EXPECT_TRUE(finish(*peer).negotiated().resumed);
  }
}

TEST(Handshake, ATls13TicketServesOneConnection) {
  const auto server = make_server(pki().serve({}));
  const auto client = make_client(pki().trust());
  static_cast<void>(connect(client, server));
  EXPECT_EQ(client->session_count(), 2U);
  const OurPeer first(client, Role::kClient, "server.test");
  EXPECT_EQ(client->session_count(), 1U);
  const OurPeer second(client, Role::kClient, "server.test");
  EXPECT_EQ(client->session_count(), 0U);
}

}  // namespace
}  // namespace tls::test
