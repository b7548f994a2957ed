#include "userspace/schedule/traffic_keys.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

#include "tests/vectors/vectors.h"

namespace tls {
namespace {

using vectors::bytes_of;
using vectors::to_hex;

const CipherSuite& suite_of(std::uint16_t id) {
  return *find_cipher_suite(id);
}

TEST(TrafficKeys, AgreeWithRfc8448) {
  for (const auto& line : vectors::read_lines("rfc8448.jsonl")) {
    const auto keys =
        derive_traffic_keys(suite_of(0x1301), TrafficSecret(bytes_of(line, "secret")));
    ASSERT_TRUE(keys);
    EXPECT_EQ(to_hex(keys->key.bytes()), line.at("key")) << line.at("name");
    EXPECT_EQ(to_hex(keys->iv.bytes()), line.at("iv")) << line.at("name");
  }
}

TEST(TrafficKeys, NextSecretAgreesWithBotan) {
  int checked = 0;
  for (const auto& line : vectors::read_lines("rfc8448.jsonl")) {
    if (!line.contains("next_secret")) continue;
    const auto next =
        derive_next_traffic_secret(suite_of(0x1301), TrafficSecret(bytes_of(line, "secret")));
    ASSERT_TRUE(next);
    EXPECT_EQ(to_hex(next->bytes()), line.at("next_secret"));
    ++checked;
  }
  EXPECT_EQ(checked, 2);
}

TEST(TrafficKeys, AgreeWithTlsliteForEverySuite) {
  std::set<std::string> suites;
  for (const auto& line : vectors::read_lines("records.jsonl")) {
    if (line.at("kind") != "tls13") continue;
    const auto id = line.at("suite").get<std::string>();
    suites.insert(id);
    const CipherSuite& suite = suite_of(static_cast<std::uint16_t>(std::stoul(id, nullptr, 16)));
    for (const std::string side : {"client", "server"}) {
      const auto keys =
          derive_traffic_keys(suite, TrafficSecret(bytes_of(line, (side + "_secret").c_str())));
      ASSERT_TRUE(keys);
      EXPECT_EQ(to_hex(keys->key.bytes()), line.at("keys").at(side + "_key"));
      EXPECT_EQ(to_hex(keys->iv.bytes()), line.at("keys").at(side + "_iv"));
    }
  }
  EXPECT_EQ(suites.size(), 3U);
}

TEST(TrafficKeys, RefuseASecretThatIsNotAsLongAsTheHash) {
  const auto of_sha256 = TrafficSecret::with_size(32);
  const auto of_sha384 = TrafficSecret::with_size(48);
  for (const CipherSuite& suite : cipher_suites()) {
    const bool is_384 = suite.prf_hash == HashAlgorithm::kSha384;
    const auto keys = derive_traffic_keys(suite, is_384 ? of_sha256 : of_sha384);
    ASSERT_FALSE(keys) << suite.name;
    EXPECT_EQ(keys.error().code, ktls::ErrorCode::kInvalidArgument);
    EXPECT_FALSE(derive_next_traffic_secret(suite, is_384 ? of_sha256 : of_sha384));
  }
}

TEST(TrafficKeys, RefuseASuiteOfTls12) {
  EXPECT_FALSE(derive_traffic_keys(suite_of(0xC02F), TrafficSecret::with_size(32)));
  EXPECT_FALSE(derive_next_traffic_secret(suite_of(0xC02F), TrafficSecret::with_size(32)));
}

}  // namespace
}  // namespace tls
