// What a client asks of the peer's key, and what it shows of its own.
#include "userspace/handshake/openssl/pins.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/userspace/handshake/visits.h"

namespace tls::test {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using Words = std::vector<std::string>;

const std::string kOther = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

CertificateFiles files_of(const LeafOptions& leaf) {
  const ServerOptions options = pki().serve(leaf);
  return {.certificate_file = options.certificate_file, .key_file = options.key_file};
}

ClientOptions pinning(const Words& pins, bool verify = false) {
  ClientOptions options = pki().trust();
  options.pins = pins;
  options.verify = verify;
  if (!verify) options.ca_file.clear();
  return options;
}

// The client's error at a server with an ECDSA key; empty if there was none.
std::string objection_of(const ClientOptions& options, ProtocolVersion version,
                         const std::string& name = "server.test") {
  OurPeer client(make_client(only_version(options, version)), Role::kClient, name);
  OurPeer server(make_server(pki().serve({})), Role::kServer);
  converse(client, server);
  if (!client.failed()) return "";
  EXPECT_EQ(client.error().code, ErrorCode::kVerifyFailed);
  EXPECT_TRUE(server.failed());
  return client.error().detail;
}

// As the client tells it of a key that is not pinned.
std::string pin_of_server() {
  const std::string said = objection_of(pinning({kOther}), ProtocolVersion::kTls13);
  const std::size_t begin = said.find("sha256//");
  return begin == std::string::npos ? said : said.substr(begin, kOther.size());
}

TEST(Pins, AreParsedAsCurlHasThem) {
  const std::string other = "sha256//" + std::string(42, '/') + "8=";
  EXPECT_EQ(parse_pins(kOther).value(), Words{kOther});
  EXPECT_EQ(parse_pins(kOther + ";" + other).value(), (Words{kOther, other}));
  for (const std::string& wrong :
       {std::string(), std::string("sha256//"), kOther + ";", ";" + kOther,
        "sha1//" + kOther.substr(8), kOther.substr(8), kOther + "A",
        "sha256//" + std::string(44, 'A'),
        "sha256//" + std::string(42, 'A') + "B=", "sha256//" + std::string(42, '_') + "A="}) {
    const auto parsed = parse_pins(wrong);
    ASSERT_FALSE(parsed) << wrong;
    EXPECT_EQ(parsed.error().code, ErrorCode::kInvalidArgument);
  }
}

class PinsInEveryVersion : public testing::TestWithParam<ProtocolVersion> {};

INSTANTIATE_TEST_SUITE_P(Pins, PinsInEveryVersion,
                         testing::Values(ProtocolVersion::kTls12, ProtocolVersion::kTls13),
                         name_of_version);

TEST_P(PinsInEveryVersion, AKeyThatIsPinnedIsAcceptedAndAnyOtherIsNot) {
  const std::string pin = pin_of_server();
  for (const bool verify : {false, true}) {
    SCOPED_TRACE(verify);
    EXPECT_EQ(objection_of(pinning({pin}, verify), GetParam()), "");
    EXPECT_EQ(objection_of(pinning({kOther, pin}, verify), GetParam()), "");
    EXPECT_EQ(objection_of(pinning({kOther}, verify), GetParam()),
              "the certificate of server.test is not accepted: its public key is " + pin +
                  ", which is not pinned");
  }
}

TEST_P(PinsInEveryVersion, APinDoesNotReplaceVerification) {
  const std::string pin = pin_of_server();
  EXPECT_EQ(objection_of(pinning({pin}, true), GetParam(), "other.test"),
            "the certificate of other.test is not accepted: hostname mismatch");
  EXPECT_EQ(objection_of(pinning({pin}, false), GetParam(), "other.test"), "");
}

class ClientCertificatesInEveryVersion : public testing::TestWithParam<ProtocolVersion> {};

INSTANTIATE_TEST_SUITE_P(ClientCertificates, ClientCertificatesInEveryVersion,
                         testing::Values(ProtocolVersion::kTls12, ProtocolVersion::kTls13),
                         name_of_version);

TEST_P(ClientCertificatesInEveryVersion, AreShownToAServerThatAsks) {
  ServerOptions server_options = pki().serve({});
  server_options.client_ca_file = pki().ca_file;
  const auto server = make_server(server_options);
  ClientOptions options = only_version(pki().trust(), GetParam());
  options.certificates = {files_of({.common_name = "one"})};
  OurPeer client(make_client(options), Role::kClient, "server.test");
  OurPeer ours(server, Role::kServer);
  converse(client, ours);
  Connection finished = finish(ours);
  ASSERT_TRUE(finished.negotiated().peer_certificate);
  EXPECT_EQ(finished.negotiated().peer_certificate->subject, "CN=one");
  EXPECT_EQ(finished.open(finish(client).seal("hello")), "hello");

  options.certificates.clear();
  OurPeer without(make_client(options), Role::kClient, "server.test");
  OurPeer refusing(server, Role::kServer);
  converse(without, refusing);
  EXPECT_TRUE(refusing.failed());
}

TEST(ClientCertificates, AreOneForEachKindOfKey) {
  ClientOptions options = pki().trust();
  options.certificates = {files_of({}), files_of({.key = KeyKind::kRsa})};
  EXPECT_TRUE(Context::client(options));
  options.certificates.push_back(files_of({}));
  const auto context = Context::client(options);
  ASSERT_FALSE(context);
  EXPECT_EQ(context.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(context.error().detail,
            options.certificates[2].certificate_file + ": has the same kind of key as " +
                options.certificates[0].certificate_file + ", and a client shows one of each kind");
}

TEST(ClientCertificates, ThatCannotBeReadAreNamedAndThoseOutOfTheirDatesWarnedOf) {
  ClientOptions options = pki().trust();
  options.certificates = {{.certificate_file = "/nonexistent/client.pem"}};
  const auto context = Context::client(options);
  ASSERT_FALSE(context);
  EXPECT_EQ(context.error().code, ErrorCode::kSystem);
  EXPECT_NE(context.error().message().find("/nonexistent/client.pem"), std::string::npos);
  options.certificates = {files_of({.not_before_s = -7200, .not_after_s = -3600})};
  const auto warned = make_client(options);
  ASSERT_EQ(warned->warnings().size(), 1U);
  EXPECT_NE(warned->warnings()[0].find("has expired"), std::string::npos);
}

}  // namespace
}  // namespace tls::test
