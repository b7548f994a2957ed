// Our handshake against plain libssl: a third party says whether keys, sequence numbers and nonces
// that were taken out are right.
#include <algorithm>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/userspace/handshake/peers.h"
#include "userspace/handshake/openssl/handshake.h"
#include "userspace/handshake/openssl/libssl_name.h"
#include "userspace/handshake/openssl/ssl_context.h"
#include "userspace/schedule/traffic_keys.h"

namespace tls::test {
namespace {

void restrict_to(SSL_CTX* context, ProtocolVersion version) {
  SSL_CTX_set_min_proto_version(context, static_cast<int>(version));
  SSL_CTX_set_max_proto_version(context, static_cast<int>(version));
}

void restrict_to(SSL_CTX* context, const CipherSuite& suite) {
  restrict_to(context, suite.version_max);
  const std::string name = libssl_name_of(suite);
  if (suite.serves(ProtocolVersion::kTls13)) {
    EXPECT_EQ(SSL_CTX_set_ciphersuites(context, name.c_str()), 1);
  } else {
    EXPECT_EQ(SSL_CTX_set_cipher_list(context, name.c_str()), 1);
  }
}

// Several records each way: one wrong number or nonce, and libssl ends the connection.
void expect_exchange(Connection& ours, LibsslPeer& libssl) {
  for (const std::string text : {"one", "two", "three"}) {
    EXPECT_EQ(libssl.read(ours.seal("ours " + text)), "ours " + text);
    EXPECT_EQ(ours.open(libssl.write("theirs " + text)), "theirs " + text);
  }
  const std::string large(50000, 'x');
  EXPECT_EQ(libssl.read(ours.seal(large)), large);
  EXPECT_EQ(ours.open(libssl.write(large)), large);
}

struct Met {
  Connection ours;
  LibsslPeer libssl;
};

// Our client at a server of libssl's. What follows the handshake (tickets) is opened by our record
// layer and reaches PostHandshake.
Met meet_server(const std::shared_ptr<Context>& client, SSL_CTX* server_context) {
  OurPeer ours(client, Role::kClient, "server.test");
  LibsslPeer libssl(server_context, Role::kServer);
  converse(ours, libssl);
  const Bytes after = ours.inbox();
  Met met{finish(ours), std::move(libssl)};
  EXPECT_EQ(met.ours.open(after), "");
  return met;
}

// Our server and a client of libssl's, which offers `session` if there is one.
Met meet_client(const std::shared_ptr<Context>& server, SSL_CTX* client_context,
                SSL_SESSION* session = nullptr) {
  LibsslPeer libssl(client_context, Role::kClient, "server.test", session);
  OurPeer ours(server, Role::kServer);
  converse(libssl, ours);
  EXPECT_TRUE(libssl.done());
  return {finish(ours), std::move(libssl)};
}

class WithEverySuite : public testing::TestWithParam<const CipherSuite*> {};

INSTANTIATE_TEST_SUITE_P(LibsslPeer, WithEverySuite, testing::ValuesIn(handshake_suites()),
                         [](const auto& suite) { return std::string(suite.param->name); });

TEST_P(WithEverySuite, ServerUnderstandsOurClientAfterFullAndResumedHandshakes) {
  const CipherSuite& suite = *GetParam();
  for (const KeyKind key : key_kinds(suite)) {
    const auto server = libssl_server(pki().serve({.key = key}));
    restrict_to(server.get(), suite);
    const auto client = make_client(pki().trust());
    for (const bool resumed : {false, true, true}) {
      Met met = meet_server(client, server.get());
      EXPECT_EQ(met.ours.negotiated().suite->id, suite.id);
      EXPECT_EQ(met.ours.negotiated().resumed, resumed);
      expect_exchange(met.ours, met.libssl);
    }
  }
}

TEST_P(WithEverySuite, ClientUnderstandsOurServerAfterFullAndResumedHandshakes) {
  const CipherSuite& suite = *GetParam();
  for (const KeyKind key : key_kinds(suite)) {
    const auto server = make_server(pki().serve({.key = key}));
    const auto client = libssl_client();
    restrict_to(client.get(), suite);
    Met first = meet_client(server, client.get());
    EXPECT_EQ(first.ours.negotiated().suite->id, suite.id);
    EXPECT_FALSE(first.ours.negotiated().resumed);
    expect_exchange(first.ours, first.libssl);

    const SessionPtr session(SSL_get1_session(first.libssl.ssl()));
    SSL_set_shutdown(first.libssl.ssl(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    Met second = meet_client(server, client.get(), session.get());
    EXPECT_TRUE(second.ours.negotiated().resumed);
    EXPECT_EQ(second.ours.negotiated().peer_name, "server.test");
    expect_exchange(second.ours, second.libssl);
  }
}

// Writes as soon as it may, so that data follows Finished (and tickets) in the same flight.
class EagerPeer : public LibsslPeer {
 public:
  using LibsslPeer::LibsslPeer;
  Bytes take_output() override {
    if (done() && !written_) {
      written_ = true;
      return write("eager");
    }
    return LibsslPeer::take_output();
  }

 private:
  bool written_ = false;
};

class WithEveryVersion : public testing::TestWithParam<ProtocolVersion> {};

INSTANTIATE_TEST_SUITE_P(LibsslPeer, WithEveryVersion,
                         testing::Values(ProtocolVersion::kTls12, ProtocolVersion::kTls13),
                         [](const auto& version) {
                           return std::string(version.param == ProtocolVersion::kTls13 ? "Tls13"
                                                                                       : "Tls12");
                         });

TEST_P(WithEveryVersion, CountsHoldForMessagesCutIntoManyRecords) {
  LeafOptions leaf{.key = KeyKind::kRsa};
  for (int i = 0; i < 100; ++i) leaf.dns_names.push_back("name" + std::to_string(i) + ".test");
  const auto server = libssl_server(pki().serve(leaf));
  restrict_to(server.get(), GetParam());
  SSL_CTX_set_max_send_fragment(server.get(), 512);
  const auto client = make_client(pki().trust());
  Met met = meet_server(client, server.get());
  expect_exchange(met.ours, met.libssl);
}

TEST_P(WithEveryVersion, DataInTheFlightOfFinishedIsNotTakenByTheHandshake) {
  const auto server_context = libssl_server(pki().serve({}));
  restrict_to(server_context.get(), GetParam());
  OurPeer client(make_client(pki().trust()), Role::kClient, "server.test");
  EagerPeer eager_server(server_context.get(), Role::kServer);
  converse(client, eager_server);
  const Bytes after_client = client.inbox();
  EXPECT_EQ(finish(client).open(after_client), "eager");

  const auto client_context = libssl_client();
  restrict_to(client_context.get(), GetParam());
  EagerPeer eager_client(client_context.get(), Role::kClient, "server.test");
  OurPeer server(make_server(pki().serve({})), Role::kServer);
  converse(eager_client, server);
  const Bytes after_server = server.inbox();
  EXPECT_EQ(finish(server).open(after_server), "eager");
}

TEST_P(WithEveryVersion, CountsHoldWhenTheServerAsksForACertificate) {
  const auto server = libssl_server(pki().serve({}));
  restrict_to(server.get(), GetParam());
  SSL_CTX_set_verify(server.get(), SSL_VERIFY_PEER, nullptr);
  Met met = meet_server(make_client(pki().trust()), server.get());
  expect_exchange(met.ours, met.libssl);
}

TEST_P(WithEveryVersion, CountsHoldForAClientWithoutTickets) {
  const auto client = libssl_client();
  restrict_to(client.get(), GetParam());
  SSL_CTX_set_options(client.get(), SSL_OP_NO_TICKET);
  Met met = meet_client(make_server(pki().serve({})), client.get());
  expect_exchange(met.ours, met.libssl);
}

TEST_P(WithEveryVersion, SaysTheFragmentSizeThatAClientAsksFor) {
  const auto client = libssl_client();
  restrict_to(client.get(), GetParam());
  SSL_CTX_set_tlsext_max_fragment_length(client.get(), TLSEXT_max_fragment_length_1024);
  Met met = meet_client(make_server(pki().serve({})), client.get());
  EXPECT_EQ(met.ours.negotiated().fragment_size_max, 1024U);
  EXPECT_EQ(met.libssl.read(met.ours.seal(std::string(1024, 'x'))), std::string(1024, 'x'));
}

TEST_P(WithEveryVersion, RefusesAProtocolThatWasNotOffered) {
  const auto server = libssl_server(pki().serve({}));
  restrict_to(server.get(), GetParam());
  SSL_CTX_set_alpn_select_cb(
      server.get(),
      [](SSL*, const unsigned char** chosen, unsigned char* size, const unsigned char*,
         unsigned int, void*) {
        *chosen = reinterpret_cast<const unsigned char*>("evil");
        *size = 4;
        return SSL_TLSEXT_ERR_OK;
      },
      nullptr);
  auto options = pki().trust();
  options.alpn = {"h2"};
  OurPeer ours(make_client(options), Role::kClient, "server.test");
  LibsslPeer libssl(server.get(), Role::kServer);
  converse(ours, libssl);
  // Whether libssl says it (decode_error) or we do depends on libssl's release.
  const ktls::Error error = ours.failed() ? ours.error() : ours.handshake().finish().error();
  EXPECT_EQ(error.code, ktls::ErrorCode::kHandshakeFailed) << error.detail;
  EXPECT_NE(error.alert, ktls::Error::kNoAlert) << error.detail;
}

TEST(LibsslPeer, CountsHoldAfterAHelloRetryRequest) {
  const auto server = libssl_server(pki().serve({}));
  SSL_CTX_set1_groups_list(server.get(), "P-384");
  Met met = meet_server(make_client(pki().trust()), server.get());
  EXPECT_EQ(met.ours.negotiated().version, ProtocolVersion::kTls13);
  expect_exchange(met.ours, met.libssl);
}

TEST(LibsslPeer, CountsHoldWithoutMiddleboxCompatibility) {
  const auto client = libssl_client();
  SSL_CTX_clear_options(client.get(), SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
  Met met = meet_client(make_server(pki().serve({})), client.get());
  expect_exchange(met.ours, met.libssl);
}

TEST(LibsslPeer, CountsHoldForPaddedRecords) {
  const auto server = libssl_server(pki().serve({}));
  SSL_CTX_set_block_padding(server.get(), 512);
  Met met = meet_server(make_client(pki().trust()), server.get());
  expect_exchange(met.ours, met.libssl);
}

TEST(LibsslPeer, AnyNumberOfTicketsMovesTheCount) {
  for (const std::size_t tickets : {0U, 1U, 7U}) {
    const auto server = libssl_server(pki().serve({}));
    SSL_CTX_set_num_tickets(server.get(), tickets);
    const auto client = make_client(pki().trust());
    Met met = meet_server(client, server.get());
    EXPECT_EQ(met.ours.events().size(), tickets);
    EXPECT_EQ(client->session_count(), std::min<std::size_t>(tickets, 4));
    expect_exchange(met.ours, met.libssl);
  }
}

TEST(LibsslPeer, RefusesASuiteThatIsNoAead) {
  const auto server = libssl_server(pki().serve({.key = KeyKind::kRsa}));
  restrict_to(server.get(), ProtocolVersion::kTls12);
  // No list that a user gives holds it: it reaches libssl behind our back.
  const auto client = make_client(pki().trust());
  auto* const handle = dynamic_cast<SslContext&>(*client).handle();
  ASSERT_EQ(SSL_CTX_set_cipher_list(handle, "ECDHE-RSA-AES128-SHA"), 1);
  OurPeer ours(client, Role::kClient, "server.test");
  LibsslPeer libssl(server.get(), Role::kServer);
  converse(ours, libssl);
  ASSERT_TRUE(ours.done());
  const auto finished = ours.handshake().finish();
  ASSERT_FALSE(finished);
  EXPECT_EQ(finished.error().code, ktls::ErrorCode::kUnsupported);
  EXPECT_NE(finished.error().detail.find("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"), std::string::npos);
}

TEST(LibsslPeer, DoesNotOfferByDefaultWhatIsNoAead) {
  const auto server = libssl_server(pki().serve({.key = KeyKind::kRsa}));
  restrict_to(server.get(), ProtocolVersion::kTls12);
  SSL_CTX_set_cipher_list(server.get(), "ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-SHA384");
  OurPeer ours(make_client(pki().trust()), Role::kClient, "server.test");
  LibsslPeer libssl(server.get(), Role::kServer);
  converse(ours, libssl);
  ASSERT_TRUE(ours.failed());
  EXPECT_EQ(ours.error().code, ktls::ErrorCode::kPeerAlert);
  EXPECT_EQ(ours.error().alert, SSL_AD_HANDSHAKE_FAILURE);
}

// --- after the hand-over ---------------------------------------------------------------------

TEST(LibsslPeer, ATicketAfterTheServersKeyUpdateIsTaken) {
  const auto server = libssl_server(pki().serve({}));
  SSL_CTX_set_num_tickets(server.get(), 0);
  const auto client = make_client(pki().trust());
  Met met = meet_server(client, server.get());
  EXPECT_EQ(met.ours.open(met.libssl.write("before")), "before");

  ASSERT_EQ(SSL_key_update(met.libssl.ssl(), SSL_KEY_UPDATE_NOT_REQUESTED), 1);
  ASSERT_EQ(SSL_do_handshake(met.libssl.ssl()), 1);
  EXPECT_EQ(met.ours.open(met.libssl.take_output()), "");
  ASSERT_EQ(met.ours.events().size(), 1U);
  ASSERT_TRUE(std::holds_alternative<KeyUpdateReceived>(met.ours.events()[0]));
  EXPECT_FALSE(std::get<KeyUpdateReceived>(met.ours.events()[0]).update_requested);
  met.ours.rekey_read();

  ASSERT_EQ(SSL_new_session_ticket(met.libssl.ssl()), 1);
  EXPECT_EQ(met.ours.open(met.libssl.write("after")), "after");
  ASSERT_EQ(met.ours.events().size(), 2U);
  EXPECT_TRUE(std::holds_alternative<TicketReceived>(met.ours.events()[1]));
  EXPECT_EQ(client->session_count(), 1U);
  EXPECT_TRUE(meet_server(client, server.get()).ours.negotiated().resumed);
}

TEST(LibsslPeer, TicketsAfterReleaseAreCountedAndDropped) {
  const auto server = libssl_server(pki().serve({}));
  const auto client = make_client(pki().trust());
  Met met = meet_server(client, server.get());
  EXPECT_EQ(client->session_count(), 2U);
  met.ours.post_handshake().release();
  ASSERT_EQ(SSL_new_session_ticket(met.libssl.ssl()), 1);
  EXPECT_EQ(met.ours.open(met.libssl.write("text")), "text");
  EXPECT_EQ(met.ours.post_handshake().tickets_dropped(), 1U);
  EXPECT_FALSE(std::get<TicketReceived>(met.ours.events().back()).kept);
  EXPECT_EQ(client->session_count(), 2U);
}

TEST(LibsslPeer, ATicketThatDoesNotParseIsADecodeError) {
  const auto server = libssl_server(pki().serve({}));
  Met met = meet_server(make_client(pki().trust()), server.get());
  const Bytes truncated = {4, 0, 0, 3, 1, 2, 3};
  const auto received = met.ours.post_handshake().receive(truncated);
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error().code, ktls::ErrorCode::kDecodeError);
  EXPECT_EQ(received.error().alert, SSL_AD_DECODE_ERROR);
}

TEST(LibsslPeer, ALargeTicketSplitOverRecordsIsTaken) {
  const auto server = libssl_server(pki().serve({}));
  SSL_CTX_set_num_tickets(server.get(), 0);
  const auto client = make_client(pki().trust());
  Met met = meet_server(client, server.get());
  // NewSessionTicket (RFC 8446 section 4.6.1) with a ticket of 2^16 - 1 bytes.
  Bytes body = {0, 0, 0x0e, 0x10, 1, 2, 3, 4, 1, 9, 0xff, 0xff};
  body.resize(body.size() + 0xffff, 0x55);
  body.insert(body.end(), {0, 0});
  Bytes message = {4, static_cast<std::uint8_t>(body.size() >> 16),
                   static_cast<std::uint8_t>(body.size() >> 8),
                   static_cast<std::uint8_t>(body.size())};
  message.insert(message.end(), body.begin(), body.end());
  std::span<const std::uint8_t> rest(message);
  while (!rest.empty()) {
    EXPECT_EQ(client->session_count(), 0U);
    const auto fragment = rest.first(std::min<std::size_t>(rest.size(), 16000));
    rest = rest.subspan(fragment.size());
    ASSERT_TRUE(met.ours.post_handshake().receive(fragment));
    EXPECT_EQ(met.ours.post_handshake().inside_message(), !rest.empty());
  }
  EXPECT_EQ(client->session_count(), 1U);
}

TEST(LibsslPeer, AClientsRenegotiationIsAnEvent) {
  const auto client = libssl_client();
  restrict_to(client.get(), ProtocolVersion::kTls12);
  Met met = meet_client(make_server(pki().serve({})), client.get());
  ASSERT_EQ(SSL_renegotiate(met.libssl.ssl()), 1);
  SSL_do_handshake(met.libssl.ssl());
  EXPECT_EQ(met.ours.open(met.libssl.take_output()), "");
  ASSERT_EQ(met.ours.events().size(), 1U);
  EXPECT_TRUE(std::holds_alternative<RenegotiationRequested>(met.ours.events()[0]));
}

TEST(LibsslPeer, AServersHelloRequestIsAnEvent) {
  const auto server = libssl_server(pki().serve({}));
  restrict_to(server.get(), ProtocolVersion::kTls12);
  Met met = meet_server(make_client(pki().trust()), server.get());
  ASSERT_EQ(SSL_renegotiate(met.libssl.ssl()), 1);
  SSL_do_handshake(met.libssl.ssl());
  EXPECT_EQ(met.ours.open(met.libssl.take_output()), "");
  ASSERT_EQ(met.ours.events().size(), 1U);
  EXPECT_TRUE(std::holds_alternative<RenegotiationRequested>(met.ours.events()[0]));
}

}  // namespace
}  // namespace tls::test
