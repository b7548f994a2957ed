// Pre-shared keys from their file, and handshakes that use them, or do not.
#include "userspace/handshake/openssl/pre_shared_keys.h"

#include <filesystem>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "tests/unit/userspace/handshake/peers.h"

namespace tls::test {
namespace {

using ktls::ErrorCode;

constexpr const char* kAlice = "alice:00112233445566778899aabbccddeeff\n";
constexpr const char* kAliceOtherwise = "alice:ff112233445566778899aabbccddeeff\n";
constexpr const char* kBob =
    "bob:0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0\n";

std::string write(const std::string& text) {
  static int count = 0;
  return pki().directory.write("psk" + std::to_string(++count), text);
}

PreSharedKeys load(const std::string& text) {
  auto keys = PreSharedKeys::load(write(text));
  EXPECT_TRUE(keys) << keys.error().detail;
  return std::move(*keys);
}

void expect_refusal(const std::string& text, std::string_view line, std::string_view why) {
  const std::string file = write(text);
  const auto keys = PreSharedKeys::load(file);
  ASSERT_FALSE(keys) << why;
  EXPECT_EQ(keys.error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(keys.error().detail.starts_with(file + std::string(line) + ": "))
      << keys.error().detail;
  EXPECT_NE(keys.error().detail.find(why), std::string::npos) << keys.error().detail;
}

TEST(PreSharedKeys, TakesLinesOfStunnelAndPsktool) {
  const auto keys =
      load("# comment: 00\n\nurn:dev:7:00112233445566778899AABBCCDDEEFF\r\n" + std::string(kBob));
  EXPECT_EQ(keys.size(), 2U);
  EXPECT_EQ(keys.first(), "urn:dev:7");
  ASSERT_NE(keys.find("urn:dev:7"), nullptr);
  EXPECT_EQ(keys.find("urn:dev:7")->bytes()[15], 0xff);
  EXPECT_EQ(keys.find("bob")->size(), 32U);
  EXPECT_EQ(keys.find("bo"), nullptr);
}

TEST(PreSharedKeys, NamesFileAndLineOfWhatIsWrongAndNothingOfTheLine) {
  expect_refusal(std::string(kAlice) + "no colon\n", ":2", "IDENTITY:HEXKEY");
  expect_refusal(":00112233445566778899aabbccddeeff\n", ":1", "identity");
  expect_refusal(std::string(257, 'i') + ":00112233445566778899aabbccddeeff\n", ":1", "identity");
  expect_refusal("a:00112233445566778899aabbccddee\n", ":1", "16 to 512 bytes");
  expect_refusal("a:" + std::string(1026, '0') + "\n", ":1", "16 to 512 bytes");
  expect_refusal("a:00112233445566778899aabbccddeeff0\n", ":1", "hex");
  expect_refusal("a:0011223344556677889xaabbccddeeff\n", ":1", "hex");
  expect_refusal(std::string(kAlice) + kAlice, ":2", "there already");
  expect_refusal("\n# nothing\n", "", "holds no line");
  const auto missing = PreSharedKeys::load("/nonexistent/psk.txt");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kSystem);
}

TEST(PreSharedKeys, DigestTellsAnyChangeButTheOrder) {
  const std::string both = std::string(kAlice) + kBob;
  EXPECT_EQ(load(both).digest(), load(std::string(kBob) + kAlice).digest());
  EXPECT_NE(load(both).digest(), load(kAlice).digest());
  EXPECT_NE(load(kAlice).digest(), load(kAliceOtherwise).digest());
}

TEST(PreSharedKeys, WarnsOfAFileThatEveryUserMayRead) {
  const std::string file = write(kAlice);
  std::filesystem::permissions(file, std::filesystem::perms(0600));
  EXPECT_TRUE(PreSharedKeys::load(file)->warnings().empty());
  std::filesystem::permissions(file, std::filesystem::perms(0644));
  ASSERT_EQ(PreSharedKeys::load(file)->warnings().size(), 1U);
  ServerOptions options;
  options.psk_file = file;
  EXPECT_EQ(make_server(options)->warnings().size(), 1U);
}

// --- handshakes ------------------------------------------------------------------------------

ServerOptions with_keys(ServerOptions options, const std::string& text) {
  options.psk_file = write(text);
  return options;
}

ClientOptions client_with(const std::string& text, ProtocolVersion version) {
  auto options = only_version(pki().trust(), version);
  options.psk_file = write(text);
  return options;
}

class PskInEveryVersion : public testing::TestWithParam<ProtocolVersion> {};

INSTANTIATE_TEST_SUITE_P(PreSharedKeys, PskInEveryVersion,
                         testing::Values(ProtocolVersion::kTls12, ProtocolVersion::kTls13),
                         [](const auto& version) {
                           return std::string(version.param == ProtocolVersion::kTls13 ? "Tls13"
                                                                                       : "Tls12");
                         });

struct Pair {
  Connection client;
  Connection server;
};

Pair connect(const std::shared_ptr<Context>& client_context,
             const std::shared_ptr<Context>& server_context) {
  OurPeer client(client_context, Role::kClient, "server.test");
  OurPeer server(server_context, Role::kServer);
  converse(client, server);
  Bytes tickets = client.inbox();
  Pair pair{finish(client), finish(server)};
  EXPECT_EQ(pair.client.open(tickets), "");
  EXPECT_EQ(pair.server.open(pair.client.seal("there")), "there");
  EXPECT_EQ(pair.client.open(pair.server.seal("back")), "back");
  return pair;
}

// The handshake must fail on both sides; answers what the server says.
ktls::Error refusal(const std::shared_ptr<Context>& client_context,
                    const std::shared_ptr<Context>& server_context) {
  OurPeer client(client_context, Role::kClient, "server.test");
  OurPeer server(server_context, Role::kServer);
  converse(client, server);
  EXPECT_TRUE(client.failed());
  EXPECT_TRUE(server.failed());
  return server.failed() ? server.error() : ktls::Error::of(ErrorCode::kCancelled, "no error");
}

TEST_P(PskInEveryVersion, AuthenticatesBothWithoutACertificateAndIsKnownAfterResumption) {
  const auto server = make_server(with_keys({}, std::string(kAlice) + kBob));
  EXPECT_TRUE(server->certificates().empty());
  const auto client = make_client(client_with(kBob, GetParam()));
  for (const bool resumed : {false, true, true}) {
    const Pair pair = connect(client, server);
    for (const auto* negotiated : {&pair.client.negotiated(), &pair.server.negotiated()}) {
      EXPECT_EQ(negotiated->version, GetParam());
      EXPECT_EQ(negotiated->resumed, resumed);
      EXPECT_EQ(negotiated->psk_identity, "bob");
    }
    EXPECT_EQ(pair.client.negotiated().peer_name, "") << "no name was verified";
    EXPECT_EQ(pair.server.negotiated().peer_name, "server.test");
  }
}

TEST_P(PskInEveryVersion, WhoHasNoKeyOfAServerWithoutACertificateIsRefused) {
  const auto server = make_server(with_keys({}, kAlice));
  const auto version = GetParam();
  EXPECT_EQ(refusal(make_client(only_version(pki().trust(), version)), server).code,
            ErrorCode::kHandshakeFailed);
  EXPECT_EQ(refusal(make_client(client_with(kBob, version)), server).code,
            ErrorCode::kHandshakeFailed);
  EXPECT_EQ(refusal(make_client(client_with(kAliceOtherwise, version)), server).code,
            ErrorCode::kHandshakeFailed);
}

TEST_P(PskInEveryVersion, AServerWithBothTakesTheKeyOfWhoHasOneAndShowsOthersItsCertificate) {
  const auto server = make_server(with_keys(pki().serve({}), kAlice));
  const Pair by_key = connect(make_client(client_with(kAlice, GetParam())), server);
  EXPECT_EQ(by_key.server.negotiated().psk_identity, "alice");
  const Pair by_name = connect(make_client(only_version(pki().trust(), GetParam())), server);
  EXPECT_EQ(by_name.server.negotiated().psk_identity, "");
  EXPECT_EQ(by_name.client.negotiated().peer_name, "server.test");
}

TEST_P(PskInEveryVersion, AClientVerifiesTheCertificateOfAServerThatHasNoKeys) {
  const auto client = make_client(client_with(kAlice, GetParam()));
  const Pair pair = connect(client, make_server(pki().serve({})));
  EXPECT_EQ(pair.client.negotiated().peer_name, "server.test");
  EXPECT_EQ(pair.client.negotiated().psk_identity, "");

  OurPeer distrusting(client, Role::kClient, "server.test");
  OurPeer stranger(make_server({}), Role::kServer);
  converse(distrusting, stranger);
  ASSERT_TRUE(distrusting.failed());
  EXPECT_EQ(distrusting.error().code, ErrorCode::kVerifyFailed);
}

TEST_P(PskInEveryVersion, ASessionEndsWithTheKeysThatItBeganWith) {
  ServerOptions options = with_keys({}, std::string(kAlice) + kBob);
  const auto before = make_server(options);
  const auto client = make_client(client_with(kBob, GetParam()));
  EXPECT_FALSE(connect(client, before).server.negotiated().resumed);
  const auto same = Context::server(options, before);
  ASSERT_TRUE(same);
  EXPECT_TRUE(connect(client, *same).server.negotiated().resumed);

  const auto without_bob = Context::server(with_keys({}, kAlice), *same);
  ASSERT_TRUE(without_bob);
  EXPECT_EQ(refusal(client, *without_bob).code, ErrorCode::kHandshakeFailed);
}

TEST(PreSharedKeys, AClientThatPrefersSha384IsStillKnownByItsKey) {
  const auto server = make_server(with_keys(pki().serve({}), kAlice));
  auto options = client_with(kAlice, ProtocolVersion::kTls13);
  options.ciphersuites = "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
  const Pair pair = connect(make_client(options), server);
  EXPECT_EQ(pair.server.negotiated().psk_identity, "alice");
  EXPECT_EQ(pair.server.negotiated().suite->name, "TLS_CHACHA20_POLY1305_SHA256");
}

TEST(PreSharedKeys, AreTakenAfterAHelloRetryRequest) {
  ServerOptions options = with_keys(pki().serve({}), kAlice);
  options.groups = "P-384";
  const auto server = make_server(options);
  const auto client = make_client(client_with(kAlice, ProtocolVersion::kTls13));
  const Pair pair = connect(client, server);
  EXPECT_EQ(pair.server.negotiated().psk_identity, "alice");
  EXPECT_EQ(pair.client.negotiated().psk_identity, "alice");
}

TEST(PreSharedKeys, NeedASuiteOfTls13WithTheirHash) {
  ServerOptions options = with_keys(pki().serve({}), kAlice);
  options.ciphersuites = "TLS_AES_256_GCM_SHA384";
  const auto refused = Context::server(options);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().detail.find("SHA-256"), std::string::npos) << refused.error().detail;
  options.version_max = ProtocolVersion::kTls12;
  EXPECT_TRUE(Context::server(options));
}

TEST(PreSharedKeys, GroupsOfBothSidesDecideTheKeyExchange) {
  auto options = pki().trust();
  options.groups = "P-521";
  ServerOptions server_options = pki().serve({});
  server_options.groups = "X25519,P-256";
  EXPECT_EQ(refusal(make_client(options), make_server(server_options)).code,
            ErrorCode::kHandshakeFailed);
  server_options.groups = "X25519,P-521";
  static_cast<void>(connect(make_client(options), make_server(server_options)));
}

}  // namespace
}  // namespace tls::test
