// record_size_limit against plain libssl, which is taught the extension by its own custom one.
#include "userspace/handshake/openssl/record_size_limit.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ktls/base/endian.h"
#include "tests/unit/userspace/handshake/peers.h"

namespace tls::test {
namespace {

using ktls::ErrorCode;

constexpr std::size_t kAeadTagSize = 16;

// Keeps what our end wrote.
class RecordedPeer : public OurPeer {
 public:
  using OurPeer::OurPeer;
  Bytes take_output() override {
    Bytes output = OurPeer::take_output();
    written_.insert(written_.end(), output.begin(), output.end());
    return output;
  }
  [[nodiscard]] const Bytes& written() const { return written_; }

 private:
  Bytes written_;
};

// Body sizes of the records of `stream` that are protected in TLS 1.3.
std::vector<std::size_t> protected_sizes(Bytes stream) {
  std::vector<std::size_t> sizes;
  for (Bytes record = take_record(stream); !record.empty(); record = take_record(stream)) {
    if (record[0] == 23) sizes.push_back(record.size() - kRecordHeaderSize);
  }
  return sizes;
}

std::size_t largest(const std::vector<std::size_t>& sizes) {
  return sizes.empty() ? 0 : *std::ranges::max_element(sizes);
}

void restrict_to(SSL_CTX* context, ProtocolVersion version) {
  SSL_CTX_set_min_proto_version(context, static_cast<int>(version));
  SSL_CTX_set_max_proto_version(context, static_cast<int>(version));
}

struct Case {
  ProtocolVersion version;
  Role role;  // ours
};

class RecordSizeLimit : public testing::TestWithParam<Case> {
 protected:
  RecordSizeLimit() {
    restrict_to(libssl_context_.get(), GetParam().version);
    extension_.add_to(libssl_context_.get());
  }

  [[nodiscard]] bool is_13() const { return GetParam().version == ProtocolVersion::kTls13; }
  [[nodiscard]] bool is_server() const { return GetParam().role == Role::kServer; }
  [[nodiscard]] std::size_t content_size_of(std::size_t limit) const {
    return is_13() ? limit - 1 : limit;
  }

  // Both ends of a handshake, whatever comes of it.
  struct Ends {
    RecordedPeer ours;
    LibsslPeer libssl;
  };
  Ends meet(SSL_SESSION* session = nullptr) {
    const std::string name = "server.test";
    Ends ends{is_server() ? RecordedPeer(our_context_, Role::kServer)
                          : RecordedPeer(our_context_, Role::kClient, name),
              is_server() ? LibsslPeer(libssl_context_.get(), Role::kClient, name, session)
                          : LibsslPeer(libssl_context_.get(), Role::kServer)};
    is_server() ? converse(ends.libssl, ends.ours) : converse(ends.ours, ends.libssl);
    return ends;
  }

  // Our side of a handshake that must succeed, after the exchange of what it leaves behind.
  Connection connected(Ends& ends) {
    const Bytes after = ends.ours.inbox();
    Connection connection = finish(ends.ours);
    EXPECT_EQ(connection.open(after), "");
    return connection;
  }
  Connection connect() {
    Ends ends = meet();
    return connected(ends);
  }

  std::shared_ptr<Context> our_context_ =
      is_server() ? make_server(pki().serve({})) : make_client(pki().trust());
  SslCtxPtr libssl_context_ = is_server() ? libssl_client() : libssl_server(pki().serve({}));
  RecordSizeExtension extension_;
};

std::string name_of_case(const testing::TestParamInfo<Case>& info) {
  return std::string(info.param.role == Role::kServer ? "Server" : "Client") +
         (info.param.version == ProtocolVersion::kTls13 ? "Tls13" : "Tls12");
}

INSTANTIATE_TEST_SUITE_P(EveryRoleAndVersion, RecordSizeLimit,
                         testing::Values(Case{ProtocolVersion::kTls12, Role::kClient},
                                         Case{ProtocolVersion::kTls12, Role::kServer},
                                         Case{ProtocolVersion::kTls13, Role::kClient},
                                         Case{ProtocolVersion::kTls13, Role::kServer}),
                         name_of_case);

TEST_P(RecordSizeLimit, OursIsTheLargestRecordOfTheVersion) {
  extension_.sent = wire_of_limit(16384);
  static_cast<void>(connect());
  // A client offers both versions here, so it names the larger size.
  EXPECT_EQ(extension_.received, wire_of_limit(is_13() || !is_server() ? 16385 : 16384));
}

TEST_P(RecordSizeLimit, IsNotAnsweredUnlessItWasOffered) {
  Ends ends = meet();
  EXPECT_EQ(connected(ends).negotiated().fragment_size_max, kPlaintextSizeMax);
  EXPECT_EQ(extension_.received.has_value(), !is_server());
}

TEST_P(RecordSizeLimit, OfThePeerBoundsWhatIsSent) {
  for (const unsigned limit : {64, 65, 100, 512, 513, 514, 1024, 16383, 16384, 16385, 65535}) {
    SCOPED_TRACE(limit);
    extension_.sent = wire_of_limit(limit);
    Ends ends = meet();
    Connection ours = connected(ends);
    EXPECT_EQ(ours.negotiated().fragment_size_max,
              std::min(content_size_of(limit), kPlaintextSizeMax));

    const std::string text(40000, 'x');
    const Bytes wire = ours.seal(text);
    Bytes rest = wire;
    const std::size_t overhead =
        ours.negotiated().suite->bulk_cipher->explicit_nonce_size + kAeadTagSize;
    for (Bytes record = take_record(rest); !record.empty(); record = take_record(rest)) {
      EXPECT_LE(record.size() - kRecordHeaderSize, limit + overhead);
    }
    EXPECT_EQ(ends.libssl.read(wire), text);
    EXPECT_EQ(ours.open(ends.libssl.write(text)), text);
  }
}

TEST_P(RecordSizeLimit, BelowSixtyFourIsAnIllegalParameter) {
  for (const unsigned limit : {0, 1, 63}) {
    extension_.sent = wire_of_limit(limit);
    Ends ends = meet();
    ASSERT_TRUE(ends.ours.failed()) << limit;
    EXPECT_EQ(ends.ours.error().code, ErrorCode::kHandshakeFailed);
    EXPECT_EQ(ends.ours.error().alert, SSL_AD_ILLEGAL_PARAMETER);
  }
}

TEST_P(RecordSizeLimit, OfAnotherSizeThanTwoBytesIsADecodeError) {
  for (const Bytes& malformed : {Bytes{}, Bytes{1}, Bytes{0, 64, 0}}) {
    extension_.sent = malformed;
    Ends ends = meet();
    ASSERT_TRUE(ends.ours.failed()) << malformed.size();
    EXPECT_EQ(ends.ours.error().alert, SSL_AD_DECODE_ERROR);
  }
}

TEST_P(RecordSizeLimit, IsNegotiatedAnewWhenASessionIsResumed) {
  SessionPtr session;
  bool resumed = false;
  using Limit = std::optional<unsigned>;
  for (const Limit limit : {Limit(1000), Limit(2000), Limit()}) {
    extension_ = {};
    if (limit) extension_.sent = wire_of_limit(*limit);
    Ends ends = meet(session.get());
    Connection ours = connected(ends);
    EXPECT_EQ(ours.negotiated().resumed, resumed);
    EXPECT_EQ(ours.negotiated().fragment_size_max,
              limit ? content_size_of(*limit) : kPlaintextSizeMax);
    EXPECT_EQ(extension_.received.has_value(), limit || !is_server());
    EXPECT_EQ(ends.libssl.read(ours.seal("text")), "text");
    SSL_set_shutdown(ends.libssl.ssl(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    session.reset(SSL_get1_session(ends.libssl.ssl()));
    resumed = true;
  }
}

// --- what each role must not do --------------------------------------------------------------

RecordSizeExtension limit_of(unsigned limit) {
  return {.sent = wire_of_limit(limit), .received = {}};
}

// A libssl client of one version that offers `extension`.
SslCtxPtr client_with(RecordSizeExtension& extension, ProtocolVersion version) {
  SslCtxPtr context = libssl_client();
  restrict_to(context.get(), version);
  extension.add_to(context.get());
  return context;
}

ServerOptions server_with_a_long_certificate() {
  LeafOptions leaf{.key = KeyKind::kRsa};
  for (int i = 0; i < 100; ++i) leaf.dns_names.push_back("name" + std::to_string(i) + ".test");
  return pki().serve(leaf);
}

TEST(RecordSizeLimitOfAServer, BoundsItsHandshakeAndTicketsInTls13) {
  const auto server = make_server(server_with_a_long_certificate());
  for (const unsigned limit : {513, 700, 1200}) {
    SCOPED_TRACE(limit);
    RecordSizeExtension extension = limit_of(limit);
    const auto client = client_with(extension, ProtocolVersion::kTls13);
    LibsslPeer libssl(client.get(), Role::kClient, "server.test");
    RecordedPeer ours(server, Role::kServer);
    converse(libssl, ours);
    EXPECT_EQ(extension.received, wire_of_limit(16385));
    const auto sizes = protected_sizes(ours.written());
    EXPECT_GT(sizes.size(), 5U);
    EXPECT_EQ(largest(sizes), limit + kAeadTagSize);
    EXPECT_EQ(libssl.read(finish(ours).seal("text")), "text");
  }
}

TEST(RecordSizeLimitOfAServer, IsNotPromisedWhereLibsslWouldBreakIt) {
  const auto server = make_server(server_with_a_long_certificate());
  for (const unsigned limit : {64, 512}) {
    RecordSizeExtension extension = limit_of(limit);
    const auto client = client_with(extension, ProtocolVersion::kTls13);
    LibsslPeer libssl(client.get(), Role::kClient, "server.test");
    RecordedPeer ours(server, Role::kServer);
    converse(libssl, ours);
    EXPECT_EQ(extension.received, std::nullopt);
    EXPECT_EQ(largest(protected_sizes(ours.written())), 513U + kAeadTagSize);
    // What comes afterwards is ours, and as small as the client said.
    const Bytes wire = finish(ours).seal(std::string(2000, 'x'));
    EXPECT_EQ(largest(protected_sizes(wire)), limit + kAeadTagSize);
    EXPECT_EQ(libssl.read(wire), std::string(2000, 'x'));
  }
}

TEST(RecordSizeLimitOfAServer, IsPromisedInTls12WhereOnlyFinishedIsProtected) {
  RecordSizeExtension extension = limit_of(64);
  const auto client = client_with(extension, ProtocolVersion::kTls12);
  LibsslPeer libssl(client.get(), Role::kClient, "server.test");
  OurPeer ours(make_server(server_with_a_long_certificate()), Role::kServer);
  converse(libssl, ours);
  EXPECT_EQ(extension.received, wire_of_limit(16384));
  EXPECT_EQ(finish(ours).negotiated().fragment_size_max, 64U);
}

TEST(RecordSizeLimitOfAServer, YieldsToMaxFragmentLength) {
  for (const auto version : {ProtocolVersion::kTls12, ProtocolVersion::kTls13}) {
    const auto server = make_server(pki().serve({}));
    RecordSizeExtension extension = limit_of(4000);
    const auto client = client_with(extension, version);
    SSL_CTX_set_tlsext_max_fragment_length(client.get(), TLSEXT_max_fragment_length_1024);
    LibsslPeer first(client.get(), Role::kClient, "server.test");
    OurPeer first_ours(server, Role::kServer);
    converse(first, first_ours);
    EXPECT_EQ(extension.received, std::nullopt);
    Connection connection = finish(first_ours);
    EXPECT_EQ(connection.negotiated().fragment_size_max, 1024U);
    EXPECT_EQ(first.read(connection.seal("text")), "text");

    SSL_set_shutdown(first.ssl(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    const SessionPtr session(SSL_get1_session(first.ssl()));
    LibsslPeer second(client.get(), Role::kClient, "server.test", session.get());
    OurPeer second_ours(server, Role::kServer);
    converse(second, second_ours);
    EXPECT_EQ(extension.received, std::nullopt);
    const Connection resumed = finish(second_ours);
    EXPECT_TRUE(resumed.negotiated().resumed);
    EXPECT_EQ(resumed.negotiated().fragment_size_max, 1024U);
  }
}

TEST(RecordSizeLimitOfAClient, NamesTheSizeOfTls12WhereItOffersNoOther) {
  RecordSizeExtension extension;
  const auto server = libssl_server(pki().serve({}));
  extension.add_to(server.get());
  OurPeer ours(make_client(only_version(pki().trust(), ProtocolVersion::kTls12)), Role::kClient,
               "server.test");
  LibsslPeer libssl(server.get(), Role::kServer);
  converse(ours, libssl);
  EXPECT_TRUE(ours.done());
  EXPECT_EQ(extension.received, wire_of_limit(16384));
}

TEST(RecordSizeLimitOfAClient, IsOfferedAgainAfterAHelloRetryRequest) {
  RecordSizeExtension extension = limit_of(700);
  const auto server = libssl_server(pki().serve({}));
  SSL_CTX_set1_groups_list(server.get(), "P-384");  // our key share is of another group
  extension.add_to(server.get());
  OurPeer ours(make_client(pki().trust()), Role::kClient, "server.test");
  LibsslPeer libssl(server.get(), Role::kServer);
  converse(ours, libssl);
  EXPECT_EQ(extension.received, wire_of_limit(16385));
  EXPECT_EQ(finish(ours).negotiated().fragment_size_max, 699U);
}

// Adds an extension to the ServerHello that a TLS 1.2 flight begins with.
Bytes with_extension(Bytes flight, const Bytes& extension) {
  const auto grow = [&](std::size_t at) {
    const auto size = ktls::load_big_endian<std::uint16_t>(&flight[at]);
    ktls::store_big_endian(&flight[at], static_cast<std::uint16_t>(size + extension.size()));
  };
  constexpr std::size_t kHelloHeaderSize = 4;
  constexpr std::size_t kVersionAndRandomSize = 2 + 32;
  constexpr std::size_t kSuiteAndCompressionSize = 2 + 1;
  const std::size_t session_id = kRecordHeaderSize + kHelloHeaderSize + kVersionAndRandomSize;
  const std::size_t extensions = session_id + 1 + flight[session_id] + kSuiteAndCompressionSize;
  grow(3);                      // of the record
  grow(kRecordHeaderSize + 2);  // of the message: the lower two of three bytes
  grow(extensions);
  flight.insert(flight.begin() + static_cast<std::ptrdiff_t>(extensions + 2), extension.begin(),
                extension.end());
  return flight;
}

TEST(RecordSizeLimitOfAClient, EndsAHandshakeWhoseServerAnswersMaxFragmentLengthAsWell) {
  RecordSizeExtension extension = limit_of(1024);
  const auto server = libssl_server(pki().serve({}));
  restrict_to(server.get(), ProtocolVersion::kTls12);
  extension.add_to(server.get());
  OurPeer ours(make_client(pki().trust()), Role::kClient, "server.test");
  LibsslPeer libssl(server.get(), Role::kServer);
  libssl.receive(ours.take_output());
  ours.receive(with_extension(libssl.take_output(), {0, 1, 0, 1, 2}));
  ASSERT_TRUE(ours.failed());
  // RFC 5246 section 7.4.1.4 comes first: we never offer max_fragment_length.
  EXPECT_EQ(ours.error().alert, SSL_AD_UNSUPPORTED_EXTENSION) << ours.error().detail;
}

}  // namespace
}  // namespace tls::test
