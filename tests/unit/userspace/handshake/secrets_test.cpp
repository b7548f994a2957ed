// Secrets from libssl's key log lines.
#include "userspace/handshake/openssl/secrets.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace tls::test {
namespace {

const std::string kRandom(64, '7');

std::string hex_line(const std::string& label, const std::string& hex) {
  return label + " " + kRandom + " " + hex;
}

TEST(Secrets, TakesTheFirstApplicationSecretsOfBothSides) {
  std::string hex;
  std::vector<std::uint8_t> bytes;
  for (int i = 0; i < 48; ++i) {
    const auto value = static_cast<std::uint8_t>(i * 5 + 3);
    bytes.push_back(value);
    hex += "0123456789abcdef"[value >> 4];
    hex += "0123456789abcdef"[value & 15];
  }
  ApplicationSecrets secrets;
  take_keylog_line(hex_line("CLIENT_TRAFFIC_SECRET_0", hex), secrets);
  EXPECT_TRUE(secrets.server.empty());
  take_keylog_line(hex_line("SERVER_TRAFFIC_SECRET_0", hex.substr(0, 64)), secrets);
  EXPECT_TRUE(std::ranges::equal(secrets.client.bytes(), bytes));
  EXPECT_TRUE(std::ranges::equal(secrets.server.bytes(), std::span(bytes).first(32)));
}

TEST(Secrets, IgnoresOtherLines) {
  ApplicationSecrets secrets;
  const std::string hex(64, 'a');
  for (const std::string label :
       {"CLIENT_RANDOM", "CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        "EXPORTER_SECRET", "CLIENT_TRAFFIC_SECRET_1", "CLIENT_TRAFFIC_SECRET_00"}) {
    take_keylog_line(hex_line(label, hex), secrets);
  }
  take_keylog_line("", secrets);
  take_keylog_line("CLIENT_TRAFFIC_SECRET_0", secrets);
  take_keylog_line("CLIENT_TRAFFIC_SECRET_0 " + hex, secrets);
  EXPECT_TRUE(secrets.client.empty());
  EXPECT_TRUE(secrets.server.empty());
}

TEST(Secrets, TakesNoSecretOfAnImpossibleSize) {
  ApplicationSecrets secrets;
  take_keylog_line(hex_line("CLIENT_TRAFFIC_SECRET_0", std::string(98, 'a')), secrets);
  take_keylog_line(hex_line("SERVER_TRAFFIC_SECRET_0", std::string(63, 'a')), secrets);
  EXPECT_TRUE(secrets.client.empty());
  EXPECT_TRUE(secrets.server.empty());
}

TEST(Secrets, AreNotDerivedFromWithoutBothOfThem) {
  const CipherSuite& suite = *find_cipher_suite(0x1301);
  ApplicationSecrets secrets;
  take_keylog_line(hex_line("CLIENT_TRAFFIC_SECRET_0", std::string(64, 'a')), secrets);
  const auto keys = derive_connection_keys(nullptr, ProtocolVersion::kTls13, suite, Role::kClient,
                                           std::move(secrets));
  ASSERT_FALSE(keys);
  EXPECT_EQ(keys.error().code, ktls::ErrorCode::kProtocolViolation);
}

TEST(Secrets, OfTheClientAreWhatTheServerReadsWith) {
  const CipherSuite& suite = *find_cipher_suite(0x1301);
  const auto derive = [&suite](Role role) {
    ApplicationSecrets secrets;
    take_keylog_line(hex_line("CLIENT_TRAFFIC_SECRET_0", std::string(64, 'c')), secrets);
    take_keylog_line(hex_line("SERVER_TRAFFIC_SECRET_0", std::string(64, '5')), secrets);
    return derive_connection_keys(nullptr, ProtocolVersion::kTls13, suite, role, std::move(secrets))
        .value();
  };
  const ConnectionKeys client = derive(Role::kClient);
  const ConnectionKeys server = derive(Role::kServer);
  EXPECT_TRUE(std::ranges::equal(client.write.key.bytes(), server.read.key.bytes()));
  EXPECT_TRUE(std::ranges::equal(client.read.iv.bytes(), server.write.iv.bytes()));
  EXPECT_EQ(client.write_secret.bytes()[0], 0xcc);
  EXPECT_EQ(server.write_secret.bytes()[0], 0x55);
}

}  // namespace
}  // namespace tls::test
