// TLS 1.3 traffic keys and their update against RFC 8448, Botan and tlslite-ng.
#include "userspace/schedule/traffic_keys.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

#include "tests/vectors/vectors.h"

namespace tls {
namespace {

using vectors::to_hex;

const CipherSuite& suite_of(std::uint16_t id) {
  return *find_cipher_suite(id);
}

TEST(TrafficKeys, AgreeWithRfc8448) {
  for (const auto& line : vectors::read_lines("rfc8448.jsonl")) {
    const auto keys = derive_traffic_keys(suite_of(0x1301), TrafficSecret(line.bytes("secret")));
    ASSERT_TRUE(keys);
    EXPECT_EQ(to_hex(keys->key.bytes()), line.text("key")) << line.text("name");
    EXPECT_EQ(to_hex(keys->iv.bytes()), line.text("iv")) << line.text("name");
  }
}

TEST(TrafficKeys, NextSecretAgreesWithBotan) {
  int checked = 0;
  for (const auto& line : vectors::read_lines("rfc8448.jsonl")) {
    if (!line.has("next_secret")) continue;
    const auto next =
        derive_next_traffic_secret(suite_of(0x1301), TrafficSecret(line.bytes("secret")));
    ASSERT_TRUE(next);
    EXPECT_EQ(to_hex(next->bytes()), line.text("next_secret"));
    ++checked;
  }
  EXPECT_EQ(checked, 2);
}

TEST(TrafficKeys, AgreeWithTlsliteForEverySuite) {
  std::set<std::string> suites;
  for (const auto& line : vectors::read_lines("records.jsonl")) {
    if (line.text("kind") != "tls13") continue;
    const auto id = line.text("suite");
    suites.insert(id);
    const CipherSuite& suite = suite_of(static_cast<std::uint16_t>(line.hex_number("suite")));
    for (const std::string side : {"client", "server"}) {
      const auto keys = derive_traffic_keys(suite, TrafficSecret(line.bytes(side + "_secret")));
      ASSERT_TRUE(keys);
      EXPECT_EQ(to_hex(keys->key.bytes()), line.object("keys").text(side + "_key"));
      EXPECT_EQ(to_hex(keys->iv.bytes()), line.object("keys").text(side + "_iv"));
    }
  }
  EXPECT_EQ(suites.size(), 3U);
}

TEST(TrafficKeys, HaveTheSizesOfEveryRowOfTls13) {
  int rows = 0;
  for (const CipherSuite& suite : cipher_suites()) {
    if (!suite.serves(ProtocolVersion::kTls13)) continue;
    const auto keys = derive_traffic_keys(suite, TrafficSecret::with_size(size_of(suite.prf_hash)));
    ASSERT_TRUE(keys) << suite.name;
    EXPECT_EQ(keys->key.size(), suite.bulk_cipher->key_size) << suite.name;
    // RFC 9150 section 6: key and IV are as long as the hash.
    const bool is_integrity = suite.bulk_cipher->kind == ProtectionKind::kIntegrity;
    EXPECT_EQ(keys->iv.size(), is_integrity ? size_of(suite.prf_hash) : 12) << suite.name;
    EXPECT_TRUE(keys->mac_key.empty()) << suite.name;
    ++rows;
  }
  EXPECT_EQ(rows, 9);
}

TEST(TrafficKeys, RefuseASecretThatIsNotAsLongAsTheHash) {
  for (const CipherSuite& suite : cipher_suites()) {
    if (!suite.serves(ProtocolVersion::kTls13)) continue;
    const bool is_384 = suite.prf_hash == HashAlgorithm::kSha384;
    const auto secret = TrafficSecret::with_size(is_384 ? 32 : 48);
    const auto keys = derive_traffic_keys(suite, secret);
    ASSERT_FALSE(keys) << suite.name;
    EXPECT_EQ(keys.error().code, ktls::ErrorCode::kInvalidArgument);
    EXPECT_FALSE(derive_next_traffic_secret(suite, secret));
  }
}

TEST(TrafficKeys, RefuseASuiteWhoseCipherTls13CannotUse) {
  for (const CipherSuite& suite : cipher_suites()) {
    if (!suite.mac) continue;
    const auto secret = TrafficSecret::with_size(size_of(suite.prf_hash));
    EXPECT_FALSE(derive_traffic_keys(suite, secret)) << suite.name;
    EXPECT_FALSE(derive_next_traffic_secret(suite, secret)) << suite.name;
  }
}

}  // namespace
}  // namespace tls
