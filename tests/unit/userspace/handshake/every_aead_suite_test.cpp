// Every AEAD suite of this libssl, named by the user: our two roles with each other, and each with
// plain libssl.
#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/userspace/handshake/peers.h"
#include "userspace/handshake/openssl/suite_list.h"

namespace tls::test {
namespace {

constexpr const char* kIdentity = "client 7";
constexpr const char* kKeyHex = "00112233445566778899aabbccddeeff";

std::vector<const CipherSuite*> every_aead_suite() {
  std::vector<const CipherSuite*> suites;
  for (const CipherSuite& suite : cipher_suites()) {
    if (suite.version_max < ProtocolVersion::kTls12) continue;
    if (parse_suite_list(suite.name, suite.version_max)) suites.push_back(&suite);
  }
  return suites;
}

const std::string& psk_file() {
  static const std::string file =
      pki().directory.write("psk.txt", std::string(kIdentity) + ':' + kKeyHex + '\n');
  return file;
}

bool has(const CipherSuite& suite, std::string_view part) {
  return suite.name.find(part) != std::string_view::npos;
}

bool shows_a_certificate(const CipherSuite& suite) {
  return !uses_psk(suite) || has(suite, "_RSA_PSK_");
}

KeyKind key_kind(const CipherSuite& suite) {
  if (has(suite, "_DSS_")) return KeyKind::kDsa;
  return has(suite, "_RSA_") ? KeyKind::kRsa : KeyKind::kEcdsa;
}

ServerOptions server_options(const CipherSuite& suite) {
  auto options = only(pki().serve({.key = key_kind(suite)}), suite);
  if (uses_psk(suite)) options.psk_file = psk_file();
  return options;
}

ClientOptions client_options(const CipherSuite& suite) {
  auto options = only(pki().trust(), suite);
  if (uses_psk(suite)) options.psk_file = psk_file();
  return options;
}

Bytes key_bytes() {
  Bytes bytes;
  for (unsigned i = 0; i < 16; ++i) bytes.push_back(static_cast<std::uint8_t>(i * 0x11));
  return bytes;
}

unsigned write_key(unsigned char* room) {
  std::ranges::copy(key_bytes(), room);
  return static_cast<unsigned>(key_bytes().size());
}

// Plain libssl as its users set it up for one suite.
void restrict_to(SSL_CTX* context, const CipherSuite& suite) {
  SSL_CTX_set_min_proto_version(context, static_cast<int>(suite.version_max));
  SSL_CTX_set_max_proto_version(context, static_cast<int>(suite.version_max));
  // CCM-8 is below its security level, by which it also chooses a group for DHE.
  SSL_CTX_set_security_callback(
      context, [](const SSL*, const SSL_CTX*, int, int, int, void*, void*) { return 1; });
  const std::string name = libssl_name_of(suite);
  const int set = suite.serves(ProtocolVersion::kTls13)
                      ? SSL_CTX_set_ciphersuites(context, name.c_str())
                      : SSL_CTX_set_cipher_list(context, name.c_str());
  EXPECT_EQ(set, 1);
  SSL_CTX_ctrl(context, SSL_CTRL_SET_DH_AUTO, 1, nullptr);
  if (!uses_psk(suite)) return;
  SSL_CTX_set_psk_server_callback(
      context, [](SSL*, const char* identity, unsigned char* room, unsigned) {
        return std::string_view(identity) == kIdentity ? write_key(room) : 0U;
      });
  SSL_CTX_set_psk_client_callback(
      context, [](SSL*, const char*, char* identity, unsigned size, unsigned char* room, unsigned) {
        EXPECT_LT(std::string_view(kIdentity).copy(identity, size), size);
        return write_key(room);
      });
}

void expect_exchange(Connection& ours, LibsslPeer& libssl) {
  for (const std::string text : {"one", "two", "three"}) {
    EXPECT_EQ(libssl.read(ours.seal("ours " + text)), "ours " + text);
    EXPECT_EQ(ours.open(libssl.write("theirs " + text)), "theirs " + text);
  }
  const std::string large(50000, 'x');
  EXPECT_EQ(libssl.read(ours.seal(large)), large);
  EXPECT_EQ(ours.open(libssl.write(large)), large);
}

void expect_agreed(const Negotiated& negotiated, const CipherSuite& suite, bool resumed) {
  EXPECT_EQ(negotiated.suite->id, suite.id);
  EXPECT_EQ(negotiated.resumed, resumed);
  EXPECT_EQ(negotiated.psk_identity, uses_psk(suite) ? kIdentity : "");
  const bool is_named = negotiated.role == Role::kServer || shows_a_certificate(suite);
  EXPECT_EQ(negotiated.peer_name, is_named ? "server.test" : "");
}

class EveryAeadSuite : public testing::TestWithParam<const CipherSuite*> {};

INSTANTIATE_TEST_SUITE_P(Handshake, EveryAeadSuite, testing::ValuesIn(every_aead_suite()),
                         [](const auto& suite) { return std::string(suite.param->name); });

TEST_P(EveryAeadSuite, CarriesDataBetweenOurTwoRolesFullAndResumed) {
  const CipherSuite& suite = *GetParam();
  const auto server_context = make_server(server_options(suite));
  const auto client_context = make_client(client_options(suite));
  for (const bool resumed : {false, true}) {
    OurPeer client(client_context, Role::kClient, "server.test");
    OurPeer server(server_context, Role::kServer);
    converse(client, server);
    const Bytes tickets = client.inbox();
    Connection of_client = finish(client);
    Connection of_server = finish(server);
    EXPECT_EQ(of_client.open(tickets), "");
    expect_agreed(of_client.negotiated(), suite, resumed);
    expect_agreed(of_server.negotiated(), suite, resumed);
    for (const std::string text : {"first", "second"}) {
      EXPECT_EQ(of_server.open(of_client.seal(text)), text);
      EXPECT_EQ(of_client.open(of_server.seal(text)), text);
    }
  }
}

TEST_P(EveryAeadSuite, OurClientCarriesDataWithAServerOfLibsslFullAndResumed) {
  const CipherSuite& suite = *GetParam();
  const auto server = libssl_server(server_options(suite));
  restrict_to(server.get(), suite);
  const auto client_context = make_client(client_options(suite));
  for (const bool resumed : {false, true}) {
    OurPeer ours(client_context, Role::kClient, "server.test");
    LibsslPeer libssl(server.get(), Role::kServer);
    converse(ours, libssl);
    const Bytes after = ours.inbox();
    Connection connection = finish(ours);
    EXPECT_EQ(connection.open(after), "");
    expect_agreed(connection.negotiated(), suite, resumed);
    expect_exchange(connection, libssl);
  }
}

TEST_P(EveryAeadSuite, OurServerCarriesDataWithAClientOfLibsslFullAndResumed) {
  const CipherSuite& suite = *GetParam();
  const auto server_context = make_server(server_options(suite));
  const auto client = libssl_client();
  restrict_to(client.get(), suite);
  SessionPtr session;
  for (const bool resumed : {false, true}) {
    LibsslPeer libssl(client.get(), Role::kClient, "server.test", session.get());
    OurPeer ours(server_context, Role::kServer);
    converse(libssl, ours);
    Connection connection = finish(ours);
    expect_agreed(connection.negotiated(), suite, resumed);
    expect_exchange(connection, libssl);
    session.reset(SSL_get1_session(libssl.ssl()));
    SSL_set_shutdown(libssl.ssl(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  }
}

}  // namespace
}  // namespace tls::test
