// The TLS 1.2 key block against tlslite-ng's.
#include "userspace/schedule/key_block.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

#include "tests/vectors/vectors.h"

namespace tls {
namespace {

using vectors::Bytes;
using vectors::to_hex;

TEST(KeyBlock, AgreesWithTlsliteForBothHashesAndBothNonces) {
  std::set<std::string> suites;
  for (const auto& line : vectors::read_lines("records.jsonl")) {
    if (line.text("kind") != "tls") continue;
    const auto id = line.text("suite");
    suites.insert(id);
    const CipherSuite& suite =
        *find_cipher_suite(static_cast<std::uint16_t>(line.hex_number("suite")));
    const auto block = derive_key_block(suite, MasterSecret(line.bytes("master_secret")),
                                        line.bytes("client_random"), line.bytes("server_random"));
    ASSERT_TRUE(block);
    const auto expected = line.object("key_block");
    EXPECT_EQ(to_hex(block->client_write.key.bytes()), expected.text("client_key"));
    EXPECT_EQ(to_hex(block->server_write.key.bytes()), expected.text("server_key"));
    EXPECT_EQ(to_hex(block->client_write.iv.bytes()), expected.text("client_iv"));
    EXPECT_EQ(to_hex(block->server_write.iv.bytes()), expected.text("server_iv"));
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
