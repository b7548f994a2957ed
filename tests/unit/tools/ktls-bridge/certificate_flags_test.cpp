#include "tools/ktls-bridge/certificate_flags.h"

#include <algorithm>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <gtest/gtest.h>

namespace tools {
namespace {

using Words = std::vector<std::string>;

const std::string kPin = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

struct Parsed {
  TlsOptions options;
  Words pins;
  std::string objection;  // empty: none
};

Parsed parse(Words words) {
  Parsed parsed;
  CLI::App app;
  add_credential_flags(app, parsed.options);
  add_client_flags(app, parsed.options);
  add_pin_flag(app, parsed.pins);
  std::ranges::reverse(words);  // as CLI11 wants them
  try {
    app.parse(words);
  } catch (const CLI::Error& error) {
    parsed.objection = error.what();
    return parsed;
  }
  const auto valid = validate_certificates(parsed.options);
  if (!valid) parsed.objection = valid.error().detail;
  return parsed;
}

TEST(CertificateFlags, PairCertificatesWithKeysInTheirOrder) {
  const Parsed parsed =
      parse({"--cert", "a.pem", "--cert", "b.pem", "--key", "a.key", "--key", "b.key"});
  EXPECT_EQ(parsed.objection, "");
  const auto certificates = certificates_of(parsed.options);
  ASSERT_EQ(certificates.size(), 2U);
  EXPECT_EQ(certificates[0].certificate_file, "a.pem");
  EXPECT_EQ(certificates[0].key_file, "a.key");
  EXPECT_EQ(certificates[1].certificate_file, "b.pem");
  EXPECT_EQ(certificates[1].key_file, "b.key");
}

TEST(CertificateFlags, NeedAKeyForEachCertificateOrNone) {
  const Parsed parsed = parse({"--cert", "a.pem", "--cert", "b.pem"});
  EXPECT_EQ(parsed.objection, "");
  EXPECT_EQ(certificates_of(parsed.options)[1].key_file, "");
  EXPECT_EQ(parse({"--cert", "a.pem", "--cert", "b.pem", "--key", "a.key"}).objection,
            "--key: 1 for 2 of --cert: give one for each, or none if the keys are in the files of "
            "--cert");
  EXPECT_EQ(parse({"--key", "a.key"}).objection, "--key needs --cert");
}

TEST(CertificateFlags, TellWhetherThereIsAnythingToRead) {
  EXPECT_FALSE(has_certificates(parse({}).options));
  EXPECT_TRUE(has_certificates(parse({"--cert", "a.pem"}).options));
  const Parsed directory = parse({"--cert-dir", "certs", "--ocsp", "a.der", "--ocsp", "b.der"});
  EXPECT_EQ(directory.objection, "");
  EXPECT_TRUE(has_certificates(directory.options));
  EXPECT_EQ(directory.options.ocsp_files, (Words{"a.der", "b.der"}));
  EXPECT_EQ(parse({"--ocsp", "a.der"}).objection, "--ocsp needs --cert or --cert-dir");
  EXPECT_FALSE(has_certificates(without_credentials(directory.options)));
}

TEST(CertificateFlags, AskClientsForNothingWithoutAnAuthority) {
  EXPECT_NE(parse({"--client-crl", "list.pem"}).objection.find("--client-ca"), std::string::npos);
  const Parsed parsed = parse({"--client-ca", "ca.pem", "--client-crl", "list.pem"});
  EXPECT_EQ(parsed.objection, "");
  EXPECT_EQ(parsed.options.client_crl_file, "list.pem");
  EXPECT_EQ(without_credentials(parsed.options).client_crl_file, "");
}

TEST(CertificateFlags, TakePinsOneByOneAndInOne) {
  EXPECT_EQ(parse({"--pin", kPin, "--pin", kPin + ";" + kPin}).pins, (Words{kPin, kPin, kPin}));
  const std::string objection = parse({"--pin", "sha256//short"}).objection;
  EXPECT_NE(objection.find("--pin"), std::string::npos);
  EXPECT_NE(objection.find("\"sha256//short\""), std::string::npos);
}

}  // namespace
}  // namespace tools
