// OCSP responses: which are read, for which certificate they are, and when they are sent.
#include "userspace/handshake/openssl/staple.h"

#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/userspace/handshake/visits.h"

namespace tls::test {
namespace {

using ktls::Error;
using ktls::ErrorCode;

std::string content_of(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// Adds the authority, so that signatures can be checked.
void append_issuer(const ServerOptions& options) {
  std::ofstream(options.certificate_file, std::ios::app) << pki().authority.certificate_pem();
}

std::string response_for(const ServerOptions& options, const OcspOptions& ocsp = {}) {
  return pki().authority.ocsp_response(content_of(options.certificate_file), ocsp);
}

void put_beside(const ServerOptions& options, const std::string& response) {
  std::ofstream(options.certificate_file + ".ocsp", std::ios::binary) << response;
}

// What a client that asks for it is sent; empty: nothing.
std::string staple_seen(const std::shared_ptr<Context>& server, ProtocolVersion version,
                        const std::string& name = "server.test", bool asks = true,
                        SSL_CTX* client_context = nullptr) {
  const SslCtxPtr own = libssl_client();
  SSL_CTX* const context = client_context == nullptr ? own.get() : client_context;
  SSL_CTX_set_min_proto_version(context, static_cast<int>(version));
  SSL_CTX_set_max_proto_version(context, static_cast<int>(version));
  if (asks) SSL_CTX_set_tlsext_status_type(context, TLSEXT_STATUSTYPE_ocsp);
  LibsslPeer client(context, Role::kClient, name);
  OurPeer ours(server, Role::kServer);
  converse(client, ours);
  EXPECT_TRUE(client.done());
  static_cast<void>(end_of(client, ours));
  unsigned char* bytes = nullptr;
  const long size = SSL_get_tlsext_status_ocsp_resp(client.ssl(), &bytes);
  return size > 0 ? std::string(bytes, bytes + size) : std::string();
}

Error error_of(const ServerOptions& options) {
  const auto context = Context::server(options);
  return context ? Error::of(ErrorCode::kCancelled, "no error") : context.error();
}

class StaplesInEveryVersion : public testing::TestWithParam<ProtocolVersion> {};

INSTANTIATE_TEST_SUITE_P(Staples, StaplesInEveryVersion,
                         testing::Values(ProtocolVersion::kTls12, ProtocolVersion::kTls13),
                         name_of_version);

TEST_P(StaplesInEveryVersion, AClientThatAsksIsSentThatOfTheCertificateItIsShown) {
  ServerOptions options = pki().serve({.dns_names = {"first.test"}});
  const ServerOptions second = pki().serve({.dns_names = {"second.test"}});
  const ServerOptions third = pki().serve({.dns_names = {"third.test"}});
  append_issuer(options);
  options.certificates = {{second.certificate_file, second.key_file},
                          {third.certificate_file, third.key_file}};
  const std::string of_first = response_for(options);
  const std::string of_second = response_for(second);
  options.ocsp_files = {pki().directory.write("named.der", of_second)};
  put_beside(options, of_first);
  const auto server = make_server(options);
  EXPECT_TRUE(server->warnings().empty());
  EXPECT_EQ(staple_seen(server, GetParam(), "first.test"), of_first);
  EXPECT_EQ(staple_seen(server, GetParam(), "second.test"), of_second);
  EXPECT_EQ(staple_seen(server, GetParam(), "third.test"), "");
  EXPECT_EQ(staple_seen(server, GetParam(), "first.test", false), "");
}

TEST_P(StaplesInEveryVersion, EachKindOfKeyHasItsOwn) {
  ServerOptions options = pki().serve({});
  const ServerOptions rsa = pki().serve({.key = KeyKind::kRsa});
  options.certificates = {{rsa.certificate_file, rsa.key_file}};
  put_beside(options, response_for(options));
  put_beside(rsa, response_for(rsa));
  const auto server = make_server(options);
  for (const bool is_rsa : {false, true}) {
    const SslCtxPtr context = libssl_client();
    SSL_CTX_set1_sigalgs_list(context.get(), is_rsa ? "RSA-PSS+SHA256:RSA+SHA256" : "ECDSA+SHA256");
    EXPECT_EQ(staple_seen(server, GetParam(), "server.test", true, context.get()),
              content_of((is_rsa ? rsa : options).certificate_file + ".ocsp"))
        << is_rsa;
  }
}

TEST_P(StaplesInEveryVersion, WhatIsNotCurrentOrNotGoodIsNotSentAndWarnedOf) {
  struct Case {
    OcspOptions ocsp;
    std::string said;
  };
  const std::vector<Case> cases = {
      {{.this_update_s = -7200, .next_update_s = -60}, "has expired, not sent"},
      {{.this_update_s = 3600, .next_update_s = 7200}, "is not valid yet, not sent"},
      {{.next_update_s = 0}, "does not say until when it is good, not sent"},
      {{.status = OcspStatus::kRevoked}, "says of the certificate: revoked, not sent"},
      {{.status = OcspStatus::kUnknown}, "says of the certificate: unknown, not sent"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.said);
    const ServerOptions options = pki().serve({});
    put_beside(options, response_for(options, c.ocsp));
    const auto server = make_server(options);
    ASSERT_EQ(server->warnings().size(), 1U);
    EXPECT_EQ(server->warnings()[0],
              options.certificate_file + ".ocsp: the OCSP response " + c.said);
    EXPECT_EQ(staple_seen(server, GetParam()), "");
  }
}

TEST(Staples, AreNoLongerSentWhenTheyHaveExpired) {
  const ServerOptions options = pki().serve({});
  put_beside(options, response_for(options, {.next_update_s = 3600}));
  auto staple = Staple::read(options.certificate_file + ".ocsp").value();
  const auto credentials = load_credentials(options.certificate_file, options.key_file);
  ASSERT_TRUE(credentials);
  EXPECT_TRUE(staple.take_for(*credentials).value());
  EXPECT_TRUE(staple.is_to_be_sent(std::time(nullptr) + 3000));
  EXPECT_FALSE(staple.is_to_be_sent(std::time(nullptr) + 3601));
}

TEST(Staples, OfAnotherCertificateAreNotTaken) {
  ServerOptions options = pki().serve({});
  const std::string other = response_for(pki().serve({}));
  const std::string named = pki().directory.write("other.der", other);
  options.ocsp_files = {named};
  EXPECT_EQ(error_of(options).detail,
            named + ": the OCSP response is for none of the certificates");
  // A renewed certificate does not wait for the response that has to follow it.
  options.ocsp_files.clear();
  put_beside(options, other);
  const auto server = make_server(options);
  ASSERT_EQ(server->warnings().size(), 1U);
  EXPECT_NE(server->warnings()[0].find(".ocsp: the OCSP response is for another certificate"),
            std::string::npos);
  EXPECT_EQ(staple_seen(server, ProtocolVersion::kTls13), "");
}

TEST(Staples, ThatTheIssuerHasNotSignedAreRefused) {
  const ServerOptions options = pki().serve({});
  append_issuer(options);
  std::string response = response_for(options);
  put_beside(options, response);
  EXPECT_TRUE(Context::server(options));
  // Within the signature: the first BIT STRING whose bytes are an ECDSA-Sig-Value.
  const auto begins = [&](std::size_t at) {
    return response[at] == '\x03' && response[at + 2] == '\0' && response[at + 3] == '\x30';
  };
  std::size_t at = 0;
  while (at + 60 < response.size() && !begins(at)) ++at;
  ASSERT_LT(at + 60, response.size());
  response[at + 50] = static_cast<char>(response[at + 50] ^ 1);
  put_beside(options, response);
  const Error error = error_of(options);
  EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
  EXPECT_NE(error.detail.find(options.certificate_file + ".ocsp"), std::string::npos);
}

TEST(Staples, ThatAreNoneAreNamed) {
  ServerOptions options = pki().serve({});
  options.ocsp_files = {"/nonexistent/ocsp.der"};
  EXPECT_EQ(error_of(options).code, ErrorCode::kSystem);
  EXPECT_NE(error_of(options).message().find("/nonexistent/ocsp.der"), std::string::npos);
  const std::string good = response_for(options);
  const std::vector<std::pair<std::string, std::string>> broken = {
      {"", "not an OCSP response in DER"},
      {"text", "not an OCSP response in DER"},
      {good + "x", "not an OCSP response in DER"},
      {good.substr(0, good.size() - 1), "not an OCSP response in DER"},
      {std::string("\x30\x03\x0a\x01\x03", 5), "the OCSP responder answered trylater"},
  };
  for (const auto& [content, said] : broken) {
    options.ocsp_files = {pki().directory.write("broken.der", content)};
    const Error error = error_of(options);
    EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(error.detail, options.ocsp_files[0] + ": " + said);
  }
}

}  // namespace
}  // namespace tls::test
