// Several certificates of one server: by name, by what the client can verify, and from a directory.
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <openssl/pem.h>

#include "tests/unit/userspace/handshake/visits.h"
#include "userspace/handshake/openssl/certificate_directory.h"
#include "userspace/handshake/openssl/certificate_sets.h"
#include "userspace/handshake/openssl/credentials.h"

namespace tls::test {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using Set = CertificateSets::Set;

CertificateFiles files_of(const LeafOptions& leaf) {
  const ServerOptions options = pki().serve(leaf);
  return {.certificate_file = options.certificate_file, .key_file = options.key_file};
}

// A client that verifies signatures of one kind of key alone.
SslCtxPtr client_that_verifies(KeyKind kind) {
  SslCtxPtr client = libssl_client();
  const bool rsa = kind == KeyKind::kRsa;
  EXPECT_EQ(
      SSL_CTX_set1_sigalgs_list(client.get(), rsa ? "RSA-PSS+SHA256:RSA+SHA256" : "ECDSA+SHA256"),
      1);
  EXPECT_EQ(SSL_CTX_set_cipher_list(client.get(), rsa ? "ECDHE-RSA-AES128-GCM-SHA256"
                                                      : "ECDHE-ECDSA-AES128-GCM-SHA256"),
            1);
  return client;
}

TEST(CertificateSets, HaveOneOfEachKindThatHoldsTheNameTheFirstOfEachAndTheVeryNameFirst) {
  constexpr int kRsa = 1;
  constexpr int kEcdsa = 2;
  const CertificateSets sets({{kRsa, {"a.test"}},
                              {kEcdsa, {"*.test", "b.test"}},
                              {kEcdsa, {"a.test", "c.test"}},
                              {kRsa, {"*.test"}},
                              {kRsa, {"host.test"}}},
                             4);
  const auto shown = [&](std::string_view name) { return sets[sets.find(name)]; };
  EXPECT_EQ(shown("a.test"), (Set{0, 2}));
  EXPECT_EQ(shown("b.test"), (Set{1, 3}));
  EXPECT_EQ(shown("c.test"), (Set{2, 3}));
  EXPECT_EQ(shown("d.test"), (Set{1, 3}));
  EXPECT_EQ(shown("host.test"), (Set{1, 3}));
  for (const std::string_view other : {"", "test", "a.b.test", "*.test", "unknown"}) {
    EXPECT_EQ(sets.find(other), CertificateSets::kDefault) << other;
  }
  EXPECT_EQ(sets[CertificateSets::kDefault], (Set{0, 1}));
}

TEST(CertificateSets, ShowBesideTheFirstWhatHoldsAllItsNames) {
  const auto beside = [](std::vector<CertificateNames> all) {
    const std::size_t common = all.size();
    return CertificateSets(std::move(all), common)[CertificateSets::kDefault];
  };
  EXPECT_EQ(beside({{1, {"a.test", "b.test"}}, {2, {"a.test"}}}), (Set{0}));
  EXPECT_EQ(beside({{1, {"a.test"}}, {2, {"a.test", "b.test"}}}), (Set{0, 1}));
  EXPECT_EQ(beside({{1, {}}, {2, {"a.test"}}}), (Set{0}));
  EXPECT_EQ(beside({{1, {"a.test"}}, {1, {"a.test"}}}), (Set{0}));
}

TEST(CertificateSets, AreOneForNamesWithTheSameCertificates) {
  const CertificateSets sets({{1, {"a.test", "b.test"}}, {2, {"b.test", "a.test"}}}, 2);
  EXPECT_EQ(sets.find("a.test"), CertificateSets::kDefault);
  EXPECT_EQ(sets.find("b.test"), CertificateSets::kDefault);
}

class CertificatesInEveryVersion : public testing::TestWithParam<ProtocolVersion> {};

INSTANTIATE_TEST_SUITE_P(Certificates, CertificatesInEveryVersion,
                         testing::Values(ProtocolVersion::kTls12, ProtocolVersion::kTls13),
                         name_of_version);

TEST_P(CertificatesInEveryVersion, AClientIsShownTheOneForTheNameItAsksForOrTheFirst) {
  ServerOptions options = pki().serve({.dns_names = {"first.test"}});
  options.certificates = {files_of({.dns_names = {"second.test", "*.second.test"}}),
                          files_of({.dns_names = {"www.second.test"}})};
  options.hosts = {host("host.test")};
  const auto server = make_server(options);
  const auto certificates = server->certificates();
  ASSERT_EQ(certificates.size(), 4U);
  const auto shown = [&](const std::string& name) {
    return visit_as(name, server, GetParam()).fingerprint;
  };
  EXPECT_EQ(shown("first.test"), certificates[0].fingerprint);
  EXPECT_EQ(shown("host.test"), certificates[1].fingerprint);
  EXPECT_EQ(shown("second.test"), certificates[2].fingerprint);
  EXPECT_EQ(shown("Mail.second.test."), certificates[2].fingerprint);
  EXPECT_EQ(shown("www.second.test"), certificates[3].fingerprint);
  EXPECT_EQ(shown("unknown.test"), certificates[0].fingerprint);
  EXPECT_EQ(shown(""), certificates[0].fingerprint);
  EXPECT_EQ(visit_as("second.test", server, GetParam()).host, "");
  EXPECT_EQ(visit_as("host.test", server, GetParam()).host, "host.test");
}

TEST_P(CertificatesInEveryVersion, RsaAndEcdsaStandSideBySideAndTheClientGetsWhatItCanVerify) {
  ServerOptions options = pki().serve({.key = KeyKind::kRsa, .dns_names = {"a.test"}});
  options.certificates = {files_of({.dns_names = {"a.test"}}),
                          files_of({.key = KeyKind::kRsa, .dns_names = {"b.test", "host.test"}}),
                          files_of({.dns_names = {"b.test"}})};
  options.hosts = {host("host.test")};
  const auto server = make_server(options);
  const auto certificates = server->certificates();
  const auto shown = [&](const std::string& name, KeyKind kind) {
    const SslCtxPtr client = client_that_verifies(kind);
    return visit_as(name, server, GetParam(), nullptr, client.get()).fingerprint;
  };
  for (const std::string name : {"a.test", "unknown.test", ""}) {
    SCOPED_TRACE(name);
    EXPECT_EQ(shown(name, KeyKind::kRsa), certificates[0].fingerprint);
    EXPECT_EQ(shown(name, KeyKind::kEcdsa), certificates[2].fingerprint);
  }
  EXPECT_EQ(shown("b.test", KeyKind::kRsa), certificates[3].fingerprint);
  EXPECT_EQ(shown("b.test", KeyKind::kEcdsa), certificates[4].fingerprint);
  // A host's own goes before, and the rest stands in for what it has not.
  EXPECT_EQ(shown("host.test", KeyKind::kEcdsa), certificates[1].fingerprint);
  EXPECT_EQ(shown("host.test", KeyKind::kRsa), certificates[3].fingerprint);
}

TEST_P(CertificatesInEveryVersion, ASessionIsResumedUnderItsOwnNameOnly) {
  ServerOptions options = pki().serve({.dns_names = {"a.test"}});
  options.certificates = {files_of({.dns_names = {"b.test", "c.test"}})};
  const auto server = make_server(options);
  for (const std::string first : {"a.test", "b.test", "c.test"}) {
    for (const std::string second : {"a.test", "b.test", "c.test"}) {
      SCOPED_TRACE(first + ", then " + second);
      const Visit full = visit_as(first, server, GetParam());
      EXPECT_EQ(visit_as(second, server, GetParam(), full.session.get()).resumed, first == second);
    }
  }
}

TEST(Certificates, OfADirectoryAreTakenInTheOrderOfTheirNames) {
  const TemporaryDirectory directory;
  const auto put = [&](const std::string& name, const std::string& key, const LeafOptions& leaf) {
    const Issued issued = pki().authority.issue(leaf);
    static_cast<void>(directory.write(
        name, key.empty() ? issued.certificate_pem + issued.key_pem : issued.certificate_pem));
    if (!key.empty()) static_cast<void>(directory.write(key, issued.key_pem));
  };
  put("b.pem", "", {.dns_names = {"b.test", "www.b.test"}});
  put("a.crt", "a.key", {.key = KeyKind::kRsa, .dns_names = {"a.test"}});
  put("c.d.pem", "c.d.key", {.dns_names = {"c.test"}});
  static_cast<void>(directory.write(".hidden.pem", "no certificate"));
  static_cast<void>(directory.write("README", "no certificate"));
  std::filesystem::create_directory(directory.path() / "folder");
  ServerOptions options;
  options.certificate_directory = directory.path();
  const auto server = make_server(options);
  const auto certificates = server->certificates();
  ASSERT_EQ(certificates.size(), 3U);
  const auto shown = [&](const std::string& name) {
    return visit_as(name, server, ProtocolVersion::kTls13).fingerprint;
  };
  EXPECT_EQ(shown("unknown.test"), certificates[0].fingerprint);
  EXPECT_EQ(shown("a.test"), certificates[0].fingerprint);
  EXPECT_EQ(shown("www.b.test"), certificates[1].fingerprint);
  EXPECT_EQ(shown("c.test"), certificates[2].fingerprint);

  // What is named goes before what is found.
  ServerOptions named = pki().serve({.dns_names = {"named.test"}});
  named.certificate_directory = directory.path();
  EXPECT_EQ(make_server(named)->certificates().size(), 4U);
  EXPECT_EQ(make_server(named)->certificates()[1].fingerprint, certificates[0].fingerprint);
}

TEST(Certificates, OfADirectoryAreAllNeeded) {
  const auto error_of = [](const std::string& directory) {
    ServerOptions options;
    options.certificate_directory = directory;
    const auto context = Context::server(options);
    return context ? Error::of(ErrorCode::kCancelled, "no error") : context.error();
  };
  const Error missing = error_of("/nonexistent/certificates");
  EXPECT_EQ(missing.code, ErrorCode::kSystem);
  EXPECT_NE(missing.message().find("/nonexistent/certificates"), std::string::npos);
  const TemporaryDirectory directory;
  const Error empty = error_of(directory.path());
  EXPECT_EQ(empty.code, ErrorCode::kInvalidArgument);
  EXPECT_NE(empty.detail.find("holds no certificate"), std::string::npos);
  const Issued issued = pki().authority.issue({});
  static_cast<void>(directory.write("a.pem", issued.certificate_pem + issued.key_pem));
  const std::string keyless = directory.write("b.pem", issued.certificate_pem);
  EXPECT_NE(error_of(directory.path()).detail.find(keyless + ": holds no PEM private key"),
            std::string::npos);
}

TEST(Certificates, ThatAreBrokenAreNamed) {
  ServerOptions options = pki().serve({});
  options.certificates = {files_of({}), {.certificate_file = "/nonexistent/second.pem"}};
  const auto context = Context::server(options);
  ASSERT_FALSE(context);
  EXPECT_EQ(context.error().code, ErrorCode::kSystem);
  EXPECT_NE(context.error().message().find("/nonexistent/second.pem"), std::string::npos);
}

TEST(Certificates, NamesAreThoseOfTheSubjectAltNameThatAClientCanAskFor) {
  const auto names_of = [](const LeafOptions& leaf) {
    const Issued issued = pki().authority.issue(leaf);
    const BioPtr bio(BIO_new_mem_buf(issued.certificate_pem.data(),
                                     static_cast<int>(issued.certificate_pem.size())));
    const CertificatePtr certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    return dns_names_of(certificate.get());
  };
  EXPECT_EQ(names_of({.common_name = "common.test",
                      .dns_names = {"A.test", "*.b.TEST", "w*.c.test", "10.0.0.1"},
                      .addresses = {"127.0.0.1"}}),
            (std::vector<std::string>{"a.test", "*.b.test"}));
  EXPECT_TRUE(names_of({.common_name = "common.test", .dns_names = {}}).empty());
}

}  // namespace
}  // namespace tls::test
