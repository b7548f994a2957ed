// Lists of cipher suites and groups as users write them, held to what this libssl has.
#include "userspace/handshake/openssl/suite_list.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "userspace/handshake/openssl/group_list.h"
#include "userspace/handshake/openssl/pointers.h"

namespace tls::test {
namespace {

using ktls::ErrorCode;

constexpr auto kTls12 = ProtocolVersion::kTls12;
constexpr auto kTls13 = ProtocolVersion::kTls13;

std::string parsed(std::string_view list, ProtocolVersion version) {
  const auto suites = parse_suite_list(list, version);
  return suites ? libssl_list_of(*suites) : suites.error().detail;
}

void expect_refusal(std::string_view list, ProtocolVersion version, std::string_view name,
                    std::string_view why) {
  const auto suites = parse_suite_list(list, version);
  ASSERT_FALSE(suites) << list;
  EXPECT_EQ(suites.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(suites.error().detail.find(why), std::string::npos) << suites.error().detail;
  EXPECT_TRUE(suites.error().detail.starts_with(name)) << suites.error().detail;
}

std::vector<const SSL_CIPHER*> ciphers_of_libssl() {
  const SslCtxPtr context(SSL_CTX_new(TLS_method()));
  EXPECT_EQ(SSL_CTX_set_cipher_list(context.get(), "ALL:COMPLEMENTOFALL:@SECLEVEL=0"), 1);
  EXPECT_EQ(SSL_CTX_set_ciphersuites(
                context.get(),
                "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:"
                "TLS_AES_128_CCM_SHA256:TLS_AES_128_CCM_8_SHA256"),
            1);
  STACK_OF(SSL_CIPHER)* const all = SSL_CTX_get_ciphers(context.get());
  std::vector<const SSL_CIPHER*> ciphers;
  for (int i = 0; i < sk_SSL_CIPHER_num(all); ++i) ciphers.push_back(sk_SSL_CIPHER_value(all, i));
  return ciphers;
}

TEST(SuiteList, TakesEveryAuthenticatedAeadSuiteOfLibsslByBothNamesAndNothingElse) {
  std::size_t taken = 0;
  for (const SSL_CIPHER* cipher : ciphers_of_libssl()) {
    const std::string name = SSL_CIPHER_get_name(cipher);
    const auto version = SSL_CIPHER_get_protocol_id(cipher) >> 8U == 0x13 ? kTls13 : kTls12;
    const bool is_wanted =
        SSL_CIPHER_is_aead(cipher) == 1 && SSL_CIPHER_get_auth_nid(cipher) != NID_auth_null;
    const auto by_name = parse_suite_list(name, version);
    const auto by_standard_name = parse_suite_list(SSL_CIPHER_standard_name(cipher), version);
    ASSERT_EQ(by_name.has_value(), is_wanted) << name;
    ASSERT_EQ(by_standard_name.has_value(), is_wanted) << name;
    if (!is_wanted) continue;
    ++taken;
    EXPECT_EQ(by_name->front()->id, SSL_CIPHER_get_protocol_id(cipher)) << name;
    EXPECT_EQ(by_standard_name->front(), by_name->front()) << name;
    EXPECT_EQ(libssl_list_of(*by_name), name);
    const bool is_psk = SSL_CIPHER_get_kx_nid(cipher) == NID_kx_psk ||
                        SSL_CIPHER_get_kx_nid(cipher) == NID_kx_rsa_psk ||
                        SSL_CIPHER_get_kx_nid(cipher) == NID_kx_dhe_psk ||
                        SSL_CIPHER_get_kx_nid(cipher) == NID_kx_ecdhe_psk;
    EXPECT_EQ(uses_psk(*by_name->front()), is_psk) << name;
  }
  EXPECT_GE(taken, 60U);
}

TEST(SuiteList, KeepsTheOrderAndTakesColonsCommasAndSpaces) {
  EXPECT_EQ(
      parsed("AES128-CCM8,:TLS_PSK_WITH_ARIA_128_GCM_SHA256, ECDHE-RSA-AES128-GCM-SHA256", kTls12),
      "AES128-CCM8:PSK-ARIA128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256");
  EXPECT_EQ(parsed("AES128-CCM8:TLS_RSA_WITH_AES_128_CCM_8:AES128-CCM8", kTls12), "AES128-CCM8");
}

TEST(SuiteList, RefusesByNameAndSaysWhy) {
  expect_refusal("AES128-CCM8:NO-SUCH-SUITE", kTls12, "NO-SUCH-SUITE: ", "no cipher suite");
  expect_refusal("HIGH", kTls12, "HIGH: ", "keywords");
  expect_refusal("ECDHE-RSA-AES128-SHA", kTls12, "ECDHE-RSA-AES128-SHA: ", "no AEAD");
  expect_refusal("NULL-SHA256", kTls12, "NULL-SHA256: ", "does not encrypt");
  expect_refusal("ADH-AES128-GCM-SHA256", kTls12, "ADH-AES128-GCM-SHA256: ", "nobody");
  expect_refusal("TLS_RSA_WITH_CAMELLIA_128_GCM_SHA256", kTls12, "TLS_RSA_WITH_CAMELLIA",
                 "this libssl");
  expect_refusal("TLS_AES_128_GCM_SHA256", kTls12, "TLS_AES_128_GCM_SHA256: ", "for TLS 1.3");
  expect_refusal("AES128-CCM8", kTls13, "AES128-CCM8: ", "for TLS 1.2");
  expect_refusal(":, ", kTls12, "it names no suite", "no suite");
}

TEST(SuiteList, OffersTheHandshakesOwnSuitesWhereNoneAreNamed) {
  for (const auto version : {kTls12, kTls13}) {
    const auto offered = offered_suites({}, version);
    ASSERT_TRUE(offered);
    std::vector<const CipherSuite*> own;
    std::ranges::copy_if(handshake_suites(), std::back_inserter(own),
                         [version](const auto* suite) { return suite->serves(version); });
    EXPECT_EQ(*offered, own);
  }
}

TEST(SuiteList, WithPreSharedKeysForwardSecretSuitesThatUseThemComeFirst) {
  const auto offered = offered_suites({.with_psk = true}, kTls12);
  ASSERT_TRUE(offered);
  EXPECT_TRUE(libssl_list_of(*offered).starts_with(
      "ECDHE-PSK-CHACHA20-POLY1305:DHE-PSK-AES128-GCM-SHA256:DHE-PSK-AES256-GCM-SHA384:"))
      << libssl_list_of(*offered);
  EXPECT_TRUE(std::ranges::is_partitioned(*offered, [](auto* suite) { return uses_psk(*suite); }));
  EXPECT_EQ(offered_suites({.with_psk = true}, kTls13)->size(), offered_suites({}, kTls13)->size());
}

TEST(SuiteList, ASuiteThatNeedsAPreSharedKeyIsRefusedWithoutOne) {
  const SuiteChoice choice{.ciphers = "PSK-AES128-CCM8"};
  const auto refused = offered_suites(choice, kTls12);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().detail.find("TLS_PSK_WITH_AES_128_CCM_8: it needs pre-shared keys"),
            std::string::npos);
  EXPECT_TRUE(offered_suites({.ciphers = choice.ciphers, .with_psk = true}, kTls12));
}

TEST(SuiteList, TheKernelIsAskedForWhatIsNamedBesidesTheUsual) {
  const auto usual = handshake_kernel_ciphers();
  EXPECT_TRUE(std::ranges::equal(kernel_ciphers_of({}), usual));
  const auto more =
      kernel_ciphers_of({.ciphers = "ARIA256-GCM-SHA384:AES128-CCM8:AES128-GCM-SHA256"});
  ASSERT_EQ(more.size(), usual.size() + 1);
  EXPECT_EQ(more.back(), ktls::Cipher::kAria256Gcm);
}

TEST(GroupList, TakesNamesOfLibsslInTheirOrderAndEachGroupOnce) {
  EXPECT_EQ(parse_group_list("X25519").value(), "X25519");
  EXPECT_EQ(parse_group_list("P-384,secp384r1:X448, ffdhe2048").value(), "P-384:X448:ffdhe2048");
}

TEST(GroupList, NamesTheGroupThatLibsslDoesNotHave) {
  const auto refused = parse_group_list("X25519:P-257");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(refused.error().detail.starts_with("P-257: ")) << refused.error().detail;
  EXPECT_FALSE(parse_group_list(","));
}

}  // namespace
}  // namespace tls::test
