// CBC records, MAC first and encryption first: every padding, and every way in which one can be
// wrong, which must all look the same.
#include "userspace/record/cbc_protection.h"

#include <algorithm>
#include <array>
#include <set>
#include <span>
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/userspace/record/states.h"
#include "userspace/record/etm_protection.h"

namespace tls {
namespace {

using ktls::ErrorCode;
using test::Bytes;
using test::Use;

constexpr std::array kVersions = {ProtocolVersion::kSsl3, ProtocolVersion::kTls10,
                                  ProtocolVersion::kTls11, ProtocolVersion::kTls12};

// TLS_RSA_WITH_AES_128_CBC_SHA, and the same with blocks of eight bytes (3DES).
constexpr std::uint16_t kAes = 0x002F;
constexpr std::uint16_t kTripleDes = 0x000A;

Use use_of(ProtocolVersion version, std::uint16_t id = kAes, bool encrypt_then_mac = false) {
  return {find_cipher_suite(id), version, encrypt_then_mac};
}

Bytes mac_of(const Use& use, std::span<const std::uint8_t> content) {
  const TrafficKeys keys = test::keys_of(use);
  RecordMac mac = RecordMac::create(use.version, *use.suite->mac, keys.mac_key).value();
  Bytes out(mac.size());
  EXPECT_TRUE(mac.compute(0, ContentType::kApplicationData, content, out));
  return out;
}

Bytes joined(std::initializer_list<Bytes> parts) {
  Bytes bytes;
  for (const Bytes& part : parts) bytes.insert(bytes.end(), part.begin(), part.end());
  return bytes;
}

// `inner`, whole blocks of it, encrypted as a peer might that pads as it likes; with an IV block of
// its own choice from TLS 1.1 on.
Bytes encrypted(const Use& use, const Bytes& inner) {
  const TrafficKeys keys = test::keys_of(use);
  CbcCipher cipher = CbcCipher::create(*use.suite->bulk_cipher, keys.key.bytes()).value();
  Bytes body = inner;
  if (use.version >= ProtocolVersion::kTls11) {
    body.insert(body.begin(), cipher.block_size(), 0xC5);
  }
  EXPECT_TRUE(cipher.encrypt(keys.iv.bytes(), body, body));
  return body;
}

Bytes record_of(const Use& use, Bytes body) {
  return test::with_header(23, static_cast<std::uint16_t>(use.version), std::move(body));
}

// Padding of `length` bytes and the byte that says so.
Bytes padding_of(std::size_t length) {
  return Bytes(length + 1, static_cast<std::uint8_t>(length));
}

// A good record of number 0 whose padding has `length` bytes: the content fills what is left.
struct Padded {
  Bytes content;
  Bytes padding;
};
Padded padded(const Use& use, std::size_t length) {
  const std::size_t block = use.suite->bulk_cipher->block_size;
  const std::size_t mac_size = use.encrypt_then_mac ? 0 : size_of(*use.suite->mac);
  const std::size_t rest = (mac_size + length + 1) % block;
  return {test::content_of(3 * block + (rest == 0 ? 0 : block - rest)), padding_of(length)};
}

Bytes sealed_with(const Use& use, const Bytes& content, const Bytes& padding) {
  if (!use.encrypt_then_mac) {
    return record_of(use, encrypted(use, joined({content, mac_of(use, content), padding})));
  }
  const Bytes body = encrypted(use, joined({content, padding}));
  return record_of(use, joined({body, mac_of(use, body)}));
}

ktls::Result<Opened> opened(const Use& use, Bytes& record) {
  ConnectionState state = test::state_of(use);
  return test::opened(state, record);
}

void expect_opens(const Use& use, Bytes record, const Bytes& content) {
  const auto result = opened(use, record);
  ASSERT_TRUE(result) << use;
  ASSERT_TRUE(std::ranges::equal(result->content, content)) << use;
}

// What the error says; all that is wrong with padding and MAC must say the same.
std::string refusal(const Use& use, Bytes record) {
  const auto result = opened(use, record);
  EXPECT_FALSE(result) << use;
  if (result) return "opened";
  EXPECT_EQ(result.error().code, ErrorCode::kBadRecordMac) << use;
  EXPECT_EQ(result.error().alert, code_of(AlertDescription::kBadRecordMac)) << use;
  return result.error().message();
}

// --- padding ---------------------------------------------------------------------------------

TEST(CbcProtection, TakesPaddingOfEveryLengthInTls) {
  for (const ProtocolVersion version : kVersions) {
    if (version == ProtocolVersion::kSsl3) continue;
    for (const std::uint16_t id : {kAes, kTripleDes}) {
      for (const bool encrypt_then_mac : {false, true}) {
        const Use use = use_of(version, id, encrypt_then_mac);
        for (std::size_t length = 0; length < 256; ++length) {
          const auto [content, padding] = padded(use, length);
          expect_opens(use, sealed_with(use, content, padding), content);
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

TEST(CbcProtection, TakesARecordThatIsNothingButMacAndPadding) {
  for (const ProtocolVersion version : kVersions) {
    // SHA-1's 20 bytes and 12 of padding are two blocks.
    const Use use = use_of(version);
    expect_opens(use, sealed_with(use, {}, padding_of(11)), {});
    if (version == ProtocolVersion::kSsl3) continue;
    expect_opens(use, sealed_with(use, {}, padding_of(11 + 240)), {});
  }
}

TEST(CbcProtection, RefusesEveryWrongPaddingByteInTls) {
  std::set<std::string> refusals;
  for (const ProtocolVersion version : kVersions) {
    if (version == ProtocolVersion::kSsl3) continue;
    for (const bool encrypt_then_mac : {false, true}) {
      const Use use = use_of(version, kAes, encrypt_then_mac);
      for (const std::size_t length : {std::size_t{3}, std::size_t{15}, std::size_t{255}}) {
        const Padded good = padded(use, length);
        for (std::size_t at = 0; at < length; ++at) {
          Bytes padding = good.padding;
          padding[at] ^= static_cast<std::uint8_t>(1U << (at % 8));
          refusals.insert(refusal(use, sealed_with(use, good.content, padding)));
        }
      }
    }
  }
  EXPECT_EQ(refusals.size(), 1U) << testing::PrintToString(refusals);
}

TEST(CbcProtection, MindsOnlyTheLengthOfPaddingInSslv3) {
  for (const std::uint16_t id : {kAes, kTripleDes}) {
    const Use use = use_of(ProtocolVersion::kSsl3, id);
    const std::size_t block = use.suite->bulk_cipher->block_size;
    for (std::size_t length = 0; length < block; ++length) {
      auto [content, padding] = padded(use, length);
      for (std::size_t i = 0; i < length; ++i) padding[i] = static_cast<std::uint8_t>(0xA0 + i);
      expect_opens(use, sealed_with(use, content, padding), content);
    }
  }
}

TEST(CbcProtection, RefusesPaddingLongerThanABlockInSslv3) {
  std::set<std::string> refusals;
  for (const std::uint16_t id : {kAes, kTripleDes}) {
    const Use use = use_of(ProtocolVersion::kSsl3, id);
    for (std::size_t length = use.suite->bulk_cipher->block_size + 1; length < 256; ++length) {
      const auto [content, padding] = padded(use, length);
      refusals.insert(refusal(use, sealed_with(use, content, padding)));
    }
  }
  EXPECT_EQ(refusals.size(), 1U) << testing::PrintToString(refusals);
}

// Longer than what there is: the length byte points before the content, into the MAC, or beyond.
TEST(CbcProtection, RefusesPaddingThatIsLongerThanTheRecord) {
  std::set<std::string> refusals;
  for (const ProtocolVersion version : kVersions) {
    for (const bool encrypt_then_mac : {false, true}) {
      const Use use = use_of(version, kAes, encrypt_then_mac);
      const std::size_t size = encrypt_then_mac ? 16 : 32;
      const std::size_t most = encrypt_then_mac ? 15 : 11;
      for (std::size_t length = most + 1; length < 256; ++length) {
        // All of it says the same, as good padding does.
        Bytes inner(size, static_cast<std::uint8_t>(length));
        const Bytes body = encrypted(use, inner);
        refusals.insert(refusal(
            use, record_of(use, encrypt_then_mac ? joined({body, mac_of(use, body)}) : body)));
      }
    }
  }
  EXPECT_EQ(refusals.size(), 1U) << testing::PrintToString(refusals);
}

TEST(CbcProtection, AWrongMacAndAWrongPaddingAreTheSameError) {
  for (const ProtocolVersion version : kVersions) {
    const Use use = use_of(version);
    std::set<std::string> refusals;
    const auto [content, padding] = padded(use, 5);
    for (std::size_t at = 0; at < 20; ++at) {
      Bytes mac = mac_of(use, content);
      mac[at] ^= 1;
      refusals.insert(
          refusal(use, record_of(use, encrypted(use, joined({content, mac, padding})))));
    }
    Bytes other = content;
    other[0] ^= 1;
    refusals.insert(refusal(
        use, record_of(use, encrypted(use, joined({other, mac_of(use, content), padding})))));
    refusals.insert(
        refusal(use, record_of(use, encrypted(use, joined({content, mac_of(use, content),
                                                           Bytes{5, 5, 5, 5, 5, 200}})))));
    EXPECT_EQ(refusals.size(), 1U) << use << testing::PrintToString(refusals);
  }
}

// --- sizes -----------------------------------------------------------------------------------

TEST(CbcProtection, RefusesABodyThatIsTooShortForItsParts) {
  for (const ProtocolVersion version : kVersions) {
    for (const bool encrypt_then_mac : {false, true}) {
      const Use use = use_of(version, kAes, encrypt_then_mac);
      for (const std::size_t blocks : {0U, 1U}) {
        Bytes record = record_of(use, Bytes(16 * blocks));
        const auto result = opened(use, record);
        ASSERT_FALSE(result) << use;
        EXPECT_EQ(result.error().code, ErrorCode::kBadRecordMac) << use;
      }
    }
  }
}

TEST(CbcProtection, RefusesABodyThatIsNotWholeBlocks) {
  for (const ProtocolVersion version : kVersions) {
    const Use use = use_of(version);
    for (std::size_t size = 1; size < 200; ++size) {
      if (size % 16 == 0) continue;
      Bytes record = record_of(use, Bytes(size));
      const auto result = opened(use, record);
      ASSERT_FALSE(result) << use << ' ' << size;
      EXPECT_EQ(result.error().code, ErrorCode::kDecryptionFailed);
      EXPECT_EQ(result.error().alert, code_of(AlertDescription::kBadRecordMac));
    }
  }
}

// With encrypt-then-MAC nobody can see it but who has the key: the MAC comes first.
TEST(EtmProtection, ChecksTheMacBeforeAnythingElse) {
  for (const ProtocolVersion version : kVersions) {
    const Use use = use_of(version, kAes, true);
    const Bytes body = test::content_of(41);
    refusal(use, record_of(use, joined({body, Bytes(20)})));
    Bytes authentic = record_of(use, joined({body, mac_of(use, body)}));
    const auto result = opened(use, authentic);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::kDecryptionFailed) << use;
    // Nothing, or nothing but an IV, has no room for the padding's length.
    for (const Bytes& nothing : {Bytes{}, Bytes(version >= ProtocolVersion::kTls11 ? 16 : 0, 7)}) {
      refusal(use, record_of(use, joined({nothing, mac_of(use, nothing)})));
    }
  }
}

TEST(EtmProtection, AuthenticatesTheCiphertextAndTheIv) {
  for (const ProtocolVersion version : kVersions) {
    const Use use = use_of(version, kAes, true);
    ConnectionState writer = test::state_of(use);
    const Bytes wire = test::sealed(writer, ContentType::kApplicationData, Bytes(40, 'x'));
    const std::span<const std::uint8_t> body = std::span(wire).subspan(kRecordHeaderSize);
    EXPECT_TRUE(std::ranges::equal(mac_of(use, body.first(body.size() - 20)), body.last(20)))
        << use;
  }
}

// --- what is written -------------------------------------------------------------------------

TEST(CbcProtection, WritesWhatThePeerWouldCompute) {
  for (const ProtocolVersion version : kVersions) {
    for (const std::uint16_t id : {kAes, kTripleDes}) {
      const Use use = use_of(version, id);
      const TrafficKeys keys = test::keys_of(use);
      const std::size_t block = use.suite->bulk_cipher->block_size;
      for (std::size_t size = 0; size < 40; ++size) {
        const Bytes content = test::content_of(size);
        ConnectionState writer = test::state_of(use);
        const Bytes wire = test::sealed(writer, ContentType::kApplicationData, content);
        const std::size_t length = block - 1 - (size + 20) % block;
        Bytes body = joined({content, mac_of(use, content), padding_of(length)});
        const auto fixed = test::fixed_iv_block_of(use);
        body.insert(body.begin(), fixed.begin(), fixed.end());
        CbcCipher cipher = CbcCipher::create(*use.suite->bulk_cipher, keys.key.bytes()).value();
        ASSERT_TRUE(cipher.encrypt(keys.iv.bytes(), body, body));
        ASSERT_EQ(wire, record_of(use, body)) << use << ' ' << size;
      }
    }
  }
}

TEST(CbcProtection, ChainsRecordsAndSoStartsEachWithAnotherBlock) {
  for (const bool encrypt_then_mac : {false, true}) {
    for (const ProtocolVersion version : kVersions) {
      const Use use = use_of(version, kAes, encrypt_then_mac);
      ConnectionState writer = test::state_of(use);
      std::set<Bytes> starts;
      for (int i = 0; i < 20; ++i) {
        const Bytes wire = test::sealed(writer, ContentType::kApplicationData, Bytes(32, 'x'));
        starts.emplace(wire.begin() + 5, wire.begin() + 5 + 16);
      }
      EXPECT_EQ(starts.size(), 20U) << use;
    }
  }
}

TEST(CbcProtection, TakesAnotherFixedBlockForTheRecordsToCome) {
  for (const bool encrypt_then_mac : {false, true}) {
    const Use use = use_of(ProtocolVersion::kTls12, kAes, encrypt_then_mac);
    ConnectionState first = test::state_of(use);
    ConnectionState second = test::state_of(use);
    second.set_fixed_iv_block(Bytes(15, 9));  // of another size: ignored
    ASSERT_EQ(test::sealed(first, ContentType::kAlert, Bytes{1}),
              test::sealed(second, ContentType::kAlert, Bytes{1}));
    second.set_fixed_iv_block(Bytes(16, 9));
    Bytes ours = test::sealed(first, ContentType::kAlert, Bytes{1});
    Bytes theirs = test::sealed(second, ContentType::kAlert, Bytes{1});
    EXPECT_NE(ours, theirs);
    for (Bytes* wire : {&ours, &theirs}) {
      ConnectionState reader = test::state_of(use, 0);
      ConnectionState again = test::state_of(use, 0);
      Bytes before = test::sealed(again, ContentType::kAlert, Bytes{1});
      ASSERT_TRUE(test::opened(reader, before));
      EXPECT_TRUE(test::opened(reader, *wire)) << "a reader need not know the block";
    }
  }
}

TEST(CbcProtection, GoesOnAfterARecordThatDidNotOpen) {
  for (const ProtocolVersion version : kVersions) {
    for (const bool encrypt_then_mac : {false, true}) {
      const Use use = use_of(version, kAes, encrypt_then_mac);
      ConnectionState writer = test::state_of(use);
      ConnectionState reader = test::state_of(use);
      for (int i = 0; i < 3; ++i) {
        Bytes wire = test::sealed(writer, ContentType::kApplicationData, Bytes(50, 'x'));
        Bytes forged = wire;
        forged[kRecordHeaderSize + 20] ^= 1;
        ASSERT_FALSE(test::opened(reader, forged)) << use;
        Bytes cut(wire.begin(), wire.end() - 1);
        ASSERT_FALSE(test::opened(reader, cut)) << use;
        ASSERT_TRUE(test::opened(reader, wire)) << use << ' ' << i;
      }
    }
  }
}

}  // namespace
}  // namespace tls
