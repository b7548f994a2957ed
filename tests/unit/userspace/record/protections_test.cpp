// The protections beside AEAD and CBC: stream ciphers, no cipher, SSLv2 and RFC 9150, byte for byte
// against what their standards say.
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "tests/unit/userspace/record/states.h"
#include "userspace/crypto/stream_cipher.h"
#include "userspace/record/record_mac.h"

namespace tls {
namespace {

using ktls::ErrorCode;
using test::Bytes;
using test::Use;

void append(Bytes& to, std::span<const std::uint8_t> bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

Bytes joined(std::initializer_list<std::span<const std::uint8_t>> parts) {
  Bytes bytes;
  for (const auto part : parts) append(bytes, part);
  return bytes;
}

ErrorCode refusal(const ktls::Result<Opened>& opened) {
  EXPECT_FALSE(opened.has_value());
  return opened ? ErrorCode::kSystem : opened.error().code;
}

// --- stream ----------------------------------------------------------------------------------

constexpr std::array kVersions = {ProtocolVersion::kSsl3, ProtocolVersion::kTls10,
                                  ProtocolVersion::kTls11, ProtocolVersion::kTls12};

Bytes mac_of(const Use& use, std::uint64_t sequence, ContentType type, const Bytes& content) {
  const TrafficKeys keys = test::keys_of(use);
  RecordMac mac = RecordMac::create(use.version, *use.suite->mac, keys.mac_key).value();
  Bytes out(mac.size());
  EXPECT_TRUE(mac.compute(sequence, type, content, out));
  return out;
}

TEST(StreamProtection, IsContentAndMacUnderOneKeyStreamForAllRecords) {
  for (const ProtocolVersion version : kVersions) {
    for (const int id : {0x0001, 0x0002, 0x0004, 0x0005}) {
      const Use use{find_cipher_suite(static_cast<std::uint16_t>(id)), version};
      const TrafficKeys keys = test::keys_of(use);
      std::optional<StreamCipher> cipher;
      if (use.kind() == ProtectionKind::kStream) {
        cipher = StreamCipher::create(*use.suite->bulk_cipher, keys.key.bytes()).value();
      }
      ConnectionState writer = test::state_of(use, 5);
      ConnectionState reader = test::state_of(use, 5);
      for (const std::size_t size : {3U, 0U, 100U, 16384U}) {
        const Bytes content = test::content_of(size);
        const std::uint64_t sequence = writer.sequence();
        Bytes body = joined({content, mac_of(use, sequence, ContentType::kAlert, content)});
        if (cipher) {
          ASSERT_TRUE(cipher->apply(body, body));
        }
        Bytes wire = test::sealed(writer, ContentType::kAlert, content);
        EXPECT_EQ(wire, test::with_header(21, static_cast<std::uint16_t>(version), body)) << use;
        const auto opened = test::opened(reader, wire);
        ASSERT_TRUE(opened) << use;
        EXPECT_TRUE(std::ranges::equal(opened->content, content)) << use;
      }
    }
  }
}

TEST(StreamProtection, RefusesABodyThatIsShorterThanItsMac) {
  for (const int id : {0x0002, 0x0005}) {
    const Use use{find_cipher_suite(static_cast<std::uint16_t>(id)), ProtocolVersion::kTls12};
    for (std::size_t size = 0; size <= 20; ++size) {
      ConnectionState state = test::state_of(use);
      Bytes record = test::with_header(23, 0x0303, Bytes(size));
      EXPECT_EQ(refusal(test::opened(state, record)), ErrorCode::kBadRecordMac) << use << size;
      EXPECT_EQ(state.sequence(), 0U);
    }
  }
}

// --- SSLv2 -----------------------------------------------------------------------------------

Use ssl2_use(std::uint32_t id) {
  return {find_ssl2_cipher_kind(id)->suite, ProtocolVersion::kSsl2};
}
constexpr std::uint32_t kRc4 = 0x010080;
constexpr std::uint32_t kTripleDes = 0x0700C0;

// draft-hickman-netscape-ssl-00: "MAC-DATA = HASH[ SECRET, ACTUAL-DATA, PADDING-DATA,
// SEQUENCE-NUMBER ]", the sequence number being 32 bits, and the secret the key to write with.
Bytes ssl2_body(const Use& use, std::uint32_t sequence, const Bytes& data) {
  const TrafficKeys keys = test::keys_of(use);
  std::array<std::uint8_t, 4> number{};
  ktls::store_big_endian(number.data(), sequence);
  const Bytes message = joined({keys.key.bytes(), data, number});
  Bytes mac(16);
  EXPECT_EQ(EVP_Digest(message.data(), message.size(), mac.data(), nullptr, EVP_md5(), nullptr), 1);
  Bytes body = joined({mac, data});
  if (use.kind() == ProtectionKind::kStream) {
    auto cipher = StreamCipher::create(*use.suite->bulk_cipher, keys.key.bytes()).value();
    EXPECT_TRUE(cipher.apply(body, body));
  } else {
    auto cipher = CbcCipher::create(*use.suite->bulk_cipher, keys.key.bytes()).value();
    EXPECT_TRUE(cipher.encrypt(keys.iv.bytes(), body, body));
  }
  return body;
}

TEST(Ssl2Protection, OfAStreamCipherHasTheShortHeaderAndNoPadding) {
  const Use use = ssl2_use(kRc4);
  for (const std::uint32_t sequence : {0U, 3U, 0xffffffffU}) {
    ConnectionState writer = test::state_of(use, sequence);
    const Bytes content = test::content_of(300);
    const Bytes body = ssl2_body(use, sequence, content);
    EXPECT_EQ(test::sealed(writer, ContentType::kApplicationData, content),
              joined({Bytes{0x81, 0x3c}, body}));
  }
}

TEST(Ssl2Protection, OfABlockCipherHasTheLongHeaderAndSaysItsPadding) {
  const Use use = ssl2_use(kTripleDes);
  for (std::size_t size = 0; size < 40; ++size) {
    const std::size_t padding = 8 - size % 8;
    const Bytes content = test::content_of(size);
    const Bytes data = joined({content, Bytes(padding, static_cast<std::uint8_t>(padding - 1))});
    ConnectionState writer = test::state_of(use);
    const Bytes header = {0, static_cast<std::uint8_t>(16 + data.size()),
                          static_cast<std::uint8_t>(padding)};
    EXPECT_EQ(test::sealed(writer, ContentType::kApplicationData, content),
              joined({header, ssl2_body(use, 0, data)}));
  }
}

TEST(Ssl2Protection, CountsToTwoToTheThirtyTwoInItsMacs) {
  const Use use = ssl2_use(kTripleDes);
  ConnectionState writer = test::state_of(use, (1ULL << 32) + 7);
  const Bytes wire = test::sealed(writer, ContentType::kApplicationData, Bytes(7));
  EXPECT_TRUE(std::ranges::equal(std::span(wire).subspan(3), ssl2_body(use, 7, Bytes(8))));
}

TEST(Ssl2Protection, OpensAnyPaddingOfAPeerAndNoneAtAll) {
  const Use use = ssl2_use(kTripleDes);
  const Bytes data = test::content_of(24);
  for (const std::uint8_t padding : Bytes{0, 1, 7, 8, 24}) {
    Bytes body = ssl2_body(use, 0, data);
    ConnectionState reader = test::state_of(use);
    const RecordHeader header{.type = ContentType::kHandshake,
                              .version = 0x0200,
                              .body_size = body.size(),
                              .is_ssl2 = true,
                              .padding = padding};
    const auto opened = reader.open(header, body);
    ASSERT_TRUE(opened) << static_cast<int>(padding);
    EXPECT_TRUE(std::ranges::equal(opened->content, std::span(data).first(24U - padding)));
  }
  // The header may say more than there is: its own check only knows the body with the MAC.
  Bytes body = ssl2_body(use, 0, data);
  ConnectionState reader = test::state_of(use);
  const auto opened = reader.open({.type = ContentType::kHandshake,
                                   .version = 0x0200,
                                   .body_size = body.size(),
                                   .is_ssl2 = true,
                                   .padding = 40},
                                  body);
  ASSERT_TRUE(opened);
  EXPECT_TRUE(opened->content.empty());
}

TEST(Ssl2Protection, RefusesShortBodiesAndPartsOfBlocks) {
  for (const std::uint32_t id : {kRc4, kTripleDes}) {
    const Use use = ssl2_use(id);
    for (std::size_t size = 0; size < 40; ++size) {
      ConnectionState state = test::state_of(use);
      Bytes body(size);
      const auto opened = state.open(
          {.type = ContentType::kHandshake, .version = 0x0200, .body_size = size, .is_ssl2 = true},
          body);
      const bool is_whole = id == kRc4 || size % 8 == 0;
      EXPECT_EQ(refusal(opened), is_whole ? ErrorCode::kBadRecordMac : ErrorCode::kDecryptionFailed)
          << size;
      EXPECT_EQ(state.sequence(), 0U);
    }
  }
}

// --- RFC 9150 --------------------------------------------------------------------------------

struct Integrity {
  std::uint16_t id;
  const EVP_MD* md;
};

// RFC 9150 section 5: HMAC(write_key, nonce || additional_data || TLSInnerPlaintext).
Bytes integrity_record(const Integrity& of, std::uint64_t sequence, const Bytes& inner) {
  const TrafficKeys keys = test::keys_of(*find_cipher_suite(of.id));
  Bytes nonce(keys.iv.bytes().begin(), keys.iv.bytes().end());
  for (std::size_t i = 0; i < 8; ++i) {
    nonce[nonce.size() - 1 - i] ^= static_cast<std::uint8_t>(sequence >> (8 * i));
  }
  Bytes tag(keys.key.size());
  const Bytes header = {23, 3, 3, 0, static_cast<std::uint8_t>(inner.size() + tag.size())};
  const Bytes message = joined({nonce, header, inner});
  EXPECT_NE(HMAC(of.md, keys.key.bytes().data(), static_cast<int>(keys.key.size()), message.data(),
                 message.size(), tag.data(), nullptr),
            nullptr);
  return joined({header, inner, tag});
}

TEST(IntegrityProtection13, LeavesThePlaintextAsItIsAndAppendsATag) {
  for (const Integrity& of : {Integrity{0xC0B4, EVP_sha256()}, Integrity{0xC0B5, EVP_sha384()}}) {
    const CipherSuite& suite = *find_cipher_suite(of.id);
    ASSERT_EQ(suite.bulk_cipher->kind, ProtectionKind::kIntegrity);
    for (const std::uint64_t sequence : {0ULL, 0x0102030405060708ULL}) {
      ConnectionState writer = test::state_of(suite, sequence);
      Bytes wire =
          test::sealed(writer, {.type = ContentType::kHandshake, .content = Bytes{1, 2, 3}});
      EXPECT_EQ(wire, integrity_record(of, sequence, {1, 2, 3, 22}));
      Bytes padded =
          test::sealed(writer, {.type = ContentType::kAlert, .content = Bytes{1, 0}, .padding = 3});
      EXPECT_EQ(padded, integrity_record(of, sequence + 1, {1, 0, 21, 0, 0, 0}));

      ConnectionState reader = test::state_of(suite, sequence);
      ASSERT_TRUE(test::opened(reader, wire));
      const auto opened = test::opened(reader, padded);
      ASSERT_TRUE(opened);
      EXPECT_EQ(opened->type, ContentType::kAlert);
      EXPECT_EQ(opened->inner_size, 6U);
      EXPECT_TRUE(std::ranges::equal(opened->content, Bytes{1, 0}));
    }
  }
}

TEST(IntegrityProtection13, RefusesWhatHasNoRoomForATagAndOtherHeaders) {
  const Integrity of{0xC0B4, EVP_sha256()};
  const CipherSuite& suite = *find_cipher_suite(of.id);
  for (const std::size_t size : {0U, 1U, 31U, 32U}) {
    ConnectionState state = test::state_of(suite);
    Bytes record = test::with_header(23, 0x0303, Bytes(size));
    EXPECT_EQ(refusal(test::opened(state, record)), ErrorCode::kBadRecordMac);
  }
  const Bytes good = integrity_record(of, 0, {1, 23});
  for (const auto& [at, code] :
       {std::pair{0, ErrorCode::kUnexpectedMessage}, std::pair{2, ErrorCode::kIllegalParameter},
        std::pair{4, ErrorCode::kBadRecordMac}}) {
    Bytes record = good;
    record[static_cast<std::size_t>(at)] ^= 1;
    ConnectionState state = test::state_of(suite);
    EXPECT_EQ(refusal(test::opened(state, record)), code) << at;
  }
}

// --- AEADs that the handshake does not offer -------------------------------------------------

// RFC 7905's forerunner: no explicit nonce, four bytes of IV, and the number itself is the rest.
TEST(AeadProtection12, OfTheDraftOfChaCha20HasTheNumberForANonce) {
  const auto suite = std::ranges::find_if(cipher_suites(), [](const CipherSuite& row) {
    return row.bulk_cipher->name == "CHACHA20-POLY1305-DRAFT00";
  });
  ASSERT_NE(suite, cipher_suites().end());
  constexpr std::uint64_t kSequence = 0x0102030405060708;
  ConnectionState writer = test::state_of(*suite, kSequence);
  const Bytes wire = test::sealed(writer, ContentType::kApplicationData, Bytes{1, 2, 3});
  const TrafficKeys keys = test::keys_of(*suite);
  Aead aead = Aead::create(*suite->bulk_cipher, keys.key.bytes()).value();
  Aead::Nonce nonce{};
  std::ranges::copy(keys.iv.bytes(), nonce.begin());
  ktls::store_big_endian(&nonce[4], kSequence);
  const Bytes data = {1, 2, 3, 4, 5, 6, 7, 8, 23, 3, 3, 0, 3};
  Bytes body(3 + 16);
  ASSERT_TRUE(aead.seal(nonce, data, Bytes{1, 2, 3}, {}, body));
  EXPECT_EQ(wire, test::with_header(23, 0x0303, body));
}

TEST(AeadProtection12, OfCcm8HasTheExplicitNonceAndAShortTag) {
  const CipherSuite& suite = *find_cipher_suite(0xC0A0);
  ASSERT_EQ(suite.bulk_cipher->name, "AES-128-CCM-8");
  ConnectionState writer = test::state_of(suite, 0, 0x1122334455667788);
  Bytes wire = test::sealed(writer, ContentType::kApplicationData, Bytes{1, 2, 3});
  ASSERT_EQ(wire.size(), 5U + 8 + 3 + 8);
  EXPECT_EQ(ktls::load_big_endian<std::uint64_t>(&wire[5]), 0x1122334455667788U);
  ConnectionState reader = test::state_of(suite);
  EXPECT_TRUE(test::opened(reader, wire));
}

}  // namespace
}  // namespace tls
