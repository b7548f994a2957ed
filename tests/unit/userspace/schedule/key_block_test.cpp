// Key blocks up to TLS 1.2, and SSLv2's keys, against tlslite-ng's.
#include "userspace/schedule/key_block.h"

#include <array>
#include <set>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "tests/vectors/vectors.h"

namespace tls {
namespace {

using vectors::Bytes;
using vectors::from_hex;
using vectors::to_hex;

TEST(KeyBlock, AgreesWithTlsliteForBothHashesAndBothNonces) {
  std::set<std::string> suites;
  for (const auto& line : vectors::read_lines("records.jsonl")) {
    if (line.text("kind") != "tls") continue;
    const auto id = line.text("suite");
    suites.insert(id);
    const CipherSuite& suite =
        *find_cipher_suite(static_cast<std::uint16_t>(line.hex_number("suite")));
    const auto block =
        derive_key_block(ProtocolVersion::kTls12, suite, MasterSecret(line.bytes("master_secret")),
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

struct KnownBlock {
  ProtocolVersion version;
  std::string_view master_secret;
  std::string_view client_random;
  std::string_view server_random;
  std::string_view client_mac_key, server_mac_key;
  std::string_view client_key, server_key;
  std::string_view client_iv, server_iv;
};

// tlslite-ng's for TLS_RSA_WITH_AES_256_CBC_SHA: the versions whose PRFs are older than TLS 1.2's.
constexpr std::array kKnownBlocks = {
    KnownBlock{ProtocolVersion::kSsl3,
               "295cd7d5af3f1ca412110b70d519abc3e76609dbc353d9167f2b4dfb02b55d06"
               "bc3463ee75ae09311c5012edc3952843",
               "da655b8a7a5add4e39ca2d4c5c87e81e4b25540ac643cb479529d718d8c6fa4d",
               "d1cb595c689ebebfaeb97e2a8a85fa8b21403baac289855de4ab4134fb52c6ea",
               "93015f05a0f7f7d5880f9e51b4158d3e76b2f8ef",
               "82054352cb4912bf1433b5eda3b27148f5b70fd5",
               "440a7ea7856039c721b3a2ea9102ec69ad54fe2021bc04c5643e9567d2d533ad",
               "922849623ab8ca85abd6618a9d8abe49397b5e4a3a42f4d9a90409f86d41a787",
               "3a682aeefd31853b5ec779561b720298", "4d365443c96697b30522b4116a76d18e"},
    KnownBlock{ProtocolVersion::kTls10,
               "24a6d54fd9ef491388276e98e5f2f39f17e3603a59badef062eb1b1615597b7b"
               "663c0878010938be9ddab8278c66000e",
               "eb994444bc03e3ab9ca90122cbe87a29c9b435be9502a6c53341c09543d4babe",
               "7f56886b3ba9d945bbd6601529f3528e3fc4685b72d9c0cdc863a03faec028d4",
               "39b86ef86df0644d11c06af9e23fca2ecfa49b28",
               "900e15b4abdf59442c4d40d1aad9f1313f16edfc",
               "5e1e648972069b65adf6f7b2dffaf6faafe1421c64906a5c5bc5ad8f8bf5a6e5",
               "fa721e631de915a9852f5b6078071314489564e9ec75a19dd5ffce2d8c7b192a",
               "c123f90eacf019f594bba7eff77232ee", "da21c91332678aff2721ca85f12c627a"},
};

void expect_block(const KnownBlock& known, ProtocolVersion version) {
  const auto block = derive_key_block(version, *find_cipher_suite(0x0035),
                                      MasterSecret(from_hex(known.master_secret)),
                                      from_hex(known.client_random), from_hex(known.server_random));
  ASSERT_TRUE(block);
  EXPECT_EQ(to_hex(block->client_write.mac_key.bytes()), known.client_mac_key);
  EXPECT_EQ(to_hex(block->server_write.mac_key.bytes()), known.server_mac_key);
  EXPECT_EQ(to_hex(block->client_write.key.bytes()), known.client_key);
  EXPECT_EQ(to_hex(block->server_write.key.bytes()), known.server_key);
  EXPECT_EQ(to_hex(block->client_write.iv.bytes()), known.client_iv);
  EXPECT_EQ(to_hex(block->server_write.iv.bytes()), known.server_iv);
}

TEST(KeyBlock, AgreesWithTlsliteForTheOlderPrfs) {
  for (const KnownBlock& known : kKnownBlocks) expect_block(known, known.version);
  expect_block(kKnownBlocks[1], ProtocolVersion::kTls11);
}

TEST(KeyBlock, HasTheSizesOfEveryRowInEveryVersionUpToTls12) {
  const auto master = MasterSecret::with_size(48);
  const Bytes random(32);
  for (const CipherSuite& suite : cipher_suites()) {
    for (const auto version : {ProtocolVersion::kSsl3, ProtocolVersion::kTls10,
                               ProtocolVersion::kTls11, ProtocolVersion::kTls12}) {
      if (!suite.serves(version)) continue;
      const auto block = derive_key_block(version, suite, master, random, random);
      ASSERT_TRUE(block) << suite.name;
      const std::size_t mac_key_size = suite.mac ? size_of(*suite.mac) : 0;
      for (const TrafficKeys* keys : {&block->client_write, &block->server_write}) {
        EXPECT_EQ(keys->key.size(), suite.bulk_cipher->key_size) << suite.name;
        EXPECT_EQ(keys->iv.size(), suite.bulk_cipher->iv_size) << suite.name;
        EXPECT_EQ(keys->mac_key.size(), mac_key_size) << suite.name;
      }
    }
  }
}

TEST(KeyBlock, RefusesWrongLengthsVersionsAndSuitesOfRfc9150) {
  constexpr auto k12 = ProtocolVersion::kTls12;
  const auto master = MasterSecret::with_size(48);
  const Bytes random(32);
  const Bytes short_random(31);
  const CipherSuite& suite = *find_cipher_suite(0xC02F);
  ASSERT_TRUE(derive_key_block(k12, suite, master, random, random));
  EXPECT_FALSE(derive_key_block(k12, suite, MasterSecret::with_size(47), random, random));
  EXPECT_FALSE(derive_key_block(k12, suite, master, short_random, random));
  EXPECT_FALSE(derive_key_block(k12, suite, master, random, short_random));
  for (const auto version : {ProtocolVersion::kSsl2, ProtocolVersion::kTls13}) {
    const auto block = derive_key_block(version, suite, master, random, random);
    ASSERT_FALSE(block);
    EXPECT_EQ(block.error().code, ktls::ErrorCode::kInvalidArgument);
  }
  EXPECT_FALSE(derive_key_block(k12, *find_cipher_suite(0xC0B4), master, random, random));
  EXPECT_FALSE(derive_key_block(k12, null_cipher_suite(), master, random, random));
}

TEST(Ssl2Keys, AgreeWithTlslite) {
  const Ssl2CipherKind& triple_des = *find_ssl2_cipher_kind(0x0700C0);
  const auto keys = derive_ssl2_keys(
      *triple_des.suite, MasterSecret(from_hex("ca00ba08a7ffee00283b1fefd81da245a188a65ae89f0a24")),
      from_hex("a8db38783e992c36c77dfd33483a04f4"), from_hex("2bf23089dc7692a25fbd03ac9d3e4390"));
  ASSERT_TRUE(keys);
  EXPECT_EQ(to_hex(keys->client_write.key.bytes()),
            "581dabccf6b36f0e97d12ad99323c5ce5b12ea1179180275");
  EXPECT_EQ(to_hex(keys->server_write.key.bytes()),
            "fc7ba91a30ad4150506d7c72555407a0ac9864a8410beae0");
  EXPECT_TRUE(keys->client_write.iv.empty());
  EXPECT_TRUE(keys->server_write.iv.empty());
  EXPECT_TRUE(keys->client_write.mac_key.empty());

  const auto of_rc4 =
      derive_ssl2_keys(*find_ssl2_cipher_kind(0x010080)->suite,
                       MasterSecret(from_hex("824c41be7c6bac958ef5a56d2078f84e")),
                       from_hex("db1aab031f21caede1de962ed3df642bfd674743099cda87100dc4d945deb721"),
                       from_hex("8178272556928cc8d23ec9581e2b1751657b331ee886171b7d72aa"));
  ASSERT_TRUE(of_rc4);
  EXPECT_EQ(to_hex(of_rc4->client_write.key.bytes()), "ffcb4b3a79e6745e84fe7d2ccf996b4f");
  EXPECT_EQ(to_hex(of_rc4->server_write.key.bytes()), "ae2dfb3d8ef689c2bdc28543f7f25359");
}

}  // namespace
}  // namespace tls
