#include "userspace/schedule/key_block.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

#include "tests/vectors/vectors.h"

namespace tls {
namespace {

using vectors::Bytes;
using vectors::bytes_of;
using vectors::to_hex;

TEST(KeyBlock, AgreesWithTlsliteForBothHashesAndBothNonces) {
  std::set<std::string> suites;
  for (const auto& line : vectors::read_lines("records.jsonl")) {
    if (line.at("kind") != "tls") continue;
    const auto id = line.at("suite").get<std::string>();
    suites.insert(id);
    const CipherSuite& suite =
        *find_cipher_suite(static_cast<std::uint16_t>(std::stoul(id, nullptr, 16)));
    const auto block =
        derive_key_block(suite, MasterSecret(bytes_of(line, "master_secret")),
                         bytes_of(line, "client_random"), bytes_of(line, "server_random"));
    ASSERT_TRUE(block);
    const auto& expected = line.at("key_block");
    EXPECT_EQ(to_hex(block->client_write.key.bytes()), expected.at("client_key"));
    EXPECT_EQ(to_hex(block->server_write.key.bytes()), expected.at("server_key"));
    EXPECT_EQ(to_hex(block->client_write.iv.bytes()), expected.at("client_iv"));
    EXPECT_EQ(to_hex(block->server_write.iv.bytes()), expected.at("server_iv"));
  }
  EXPECT_EQ(suites, (std::set<std::string>{"c02b", "c02f", "c030", "cca8", "cca9"}));
}

TEST(KeyBlock, RefusesWrongLengthsAndSuitesOfTls13) {
  const auto master = MasterSecret::with_size(48);
  const Bytes random(32);
  const Bytes short_random(31);
  const CipherSuite& suite = *find_cipher_suite(0xC02F);
  ASSERT_TRUE(derive_key_block(suite, master, random, random));
  EXPECT_FALSE(derive_key_block(suite, MasterSecret::with_size(47), random, random));
  EXPECT_FALSE(derive_key_block(suite, master, short_random, random));
  EXPECT_FALSE(derive_key_block(suite, master, random, short_random));
  const auto of_13 = derive_key_block(*find_cipher_suite(0x1301), master, random, random);
  ASSERT_FALSE(of_13);
  EXPECT_EQ(of_13.error().code, ktls::ErrorCode::kInvalidArgument);
  EXPECT_FALSE(derive_key_block(null_cipher_suite(), master, random, random));
}

}  // namespace
}  // namespace tls
