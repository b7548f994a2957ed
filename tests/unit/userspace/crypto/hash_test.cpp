// Hashes and HMACs: known answers, reuse, and the MAC that hides a size.
#include "userspace/crypto/hash.h"

#include <array>
#include <span>
#include <string_view>
#include <type_traits>

#include <gtest/gtest.h>

#include "tests/vectors/vectors.h"
#include "userspace/crypto/hmac.h"

namespace tls {
namespace {

using vectors::Bytes;
using vectors::to_hex;

static_assert(!std::is_copy_constructible_v<Hash> && !std::is_copy_constructible_v<Hmac>);

Bytes bytes_of(std::string_view text) {
  return {text.begin(), text.end()};
}

struct Known {
  HashAlgorithm algorithm;
  std::string_view digest_of_abc;
};
constexpr std::array kKnown = {
    Known{HashAlgorithm::kMd5, "900150983cd24fb0d6963f7d28e17f72"},           // RFC 1321 A.5
    Known{HashAlgorithm::kSha1, "a9993e364706816aba3e25717850c26c9cd0d89d"},  // FIPS 180
    Known{HashAlgorithm::kSha256,
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},  // FIPS 180
    Known{HashAlgorithm::kSha384,
          "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded163"
          "1a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7"},  // FIPS 180
    Known{HashAlgorithm::kSm3,
          "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"},  // GB/T 32905 A.1
};

TEST(Hash, AgreesWithItsStandardInOneAndInManyParts) {
  for (const Known& known : kKnown) {
    Hash hash = Hash::create(known.algorithm).value();
    EXPECT_EQ(hash.algorithm(), known.algorithm);
    Bytes whole(hash.size());
    ASSERT_TRUE(hash.digest({bytes_of("abc")}, whole));
    EXPECT_EQ(to_hex(whole), known.digest_of_abc);
    Bytes parts(hash.size());
    ASSERT_TRUE(hash.digest({bytes_of("a"), {}, bytes_of("bc")}, parts)) << "and starts anew";
    EXPECT_EQ(to_hex(parts), known.digest_of_abc);
  }
}

TEST(Hmac, AgreesWithRfc2202AndRfc4231) {
  struct Row {
    HashAlgorithm algorithm;
    std::string_view mac;
  };
  for (const Row& row : {Row{HashAlgorithm::kMd5, "750c783e6ab0b503eaa86e310a5db738"},
                         Row{HashAlgorithm::kSha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
                         Row{HashAlgorithm::kSha256,
                             "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
                         Row{HashAlgorithm::kSha384,
                             "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47"
                             "e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649"}}) {
    Hmac hmac = Hmac::create(row.algorithm, bytes_of("Jefe")).value();
    for (int again = 0; again < 2; ++again) {
      Bytes out(hmac.size());
      ASSERT_TRUE(hmac.compute({bytes_of("what do ya want "), bytes_of("for nothing?")}, out));
      EXPECT_EQ(to_hex(out), row.mac);
    }
  }
}

TEST(Hmac, ComputesSecretlyWhatItComputesOpenly) {
  for (const HashAlgorithm algorithm : {HashAlgorithm::kMd5, HashAlgorithm::kSha1,
                                        HashAlgorithm::kSha256, HashAlgorithm::kSha384}) {
    const Bytes key(size_of(algorithm), 0x42);
    Hmac hmac = Hmac::create(algorithm, key).value();
    Bytes record(700);
    for (std::size_t i = 0; i < record.size(); ++i) record[i] = static_cast<std::uint8_t>(i * 11);
    std::array<std::uint8_t, Hmac::kTlsHeaderSize> header{1, 2, 3, 4, 5, 6, 7, 8, 23, 3, 3, 0, 0};
    const std::size_t largest = record.size() - hmac.size() - 1;
    for (std::size_t size = largest - 255; size <= largest; ++size) {
      header[12] = static_cast<std::uint8_t>(size);
      Bytes openly(hmac.size());
      ASSERT_TRUE(hmac.compute({header, std::span(record).first(size)}, openly));
      Bytes secretly(hmac.size());
      ASSERT_TRUE(hmac.compute_secretly(header, record, size, secretly));
      ASSERT_EQ(to_hex(secretly), to_hex(openly)) << name_of(algorithm) << ' ' << size;
    }
  }
}

}  // namespace
}  // namespace tls
