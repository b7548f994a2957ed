// Connection states: who holds a sequence number, and what becomes of it.
#include "userspace/record/connection_state.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <type_traits>
#include <utility>

#include <gtest/gtest.h>

#include "tests/unit/userspace/record/states.h"

namespace tls {
namespace {

using ktls::ErrorCode;
using test::Bytes;
using test::Use;

static_assert(!std::is_copy_constructible_v<ConnectionState>);
static_assert(!std::is_copy_assignable_v<ConnectionState>);
static_assert(std::is_nothrow_move_constructible_v<ConnectionState>);
static_assert(std::is_nothrow_move_assignable_v<ConnectionState>);

constexpr std::uint64_t kLast = UINT64_MAX;

// On Debian 12's OpenSSL 3.0 these are missing: IDEA, Camellia's GCM and SM4's AEADs.
TEST(ConnectionState, IsMadeForAllRowsButThoseThatLibcryptoLacks) {
  for (const CipherSuite& suite : cipher_suites()) {
    for (const ProtocolVersion version : test::kProtocolVersions) {
      if (!suite.serves(version)) continue;
      const Use use{&suite, version};
      const auto created =
          ConnectionState::create(version, suite, test::keys_of(use), test::start_of(use));
      const std::string_view cipher = suite.bulk_cipher->name;
      const bool may_be_missing = cipher == "IDEA-CBC" || cipher.starts_with("SM4-") ||
                                  (cipher.starts_with("CAMELLIA-") && cipher.ends_with("-GCM"));
      EXPECT_TRUE(created || may_be_missing) << use;
      EXPECT_EQ(created.has_value(), check_available(suite).has_value()) << use;
      if (!created) {
        EXPECT_EQ(created.error().code, ErrorCode::kUnsupported) << use;
      }
    }
  }
  EXPECT_GT(test::every_use().size(), 1000U);
}

TEST(ConnectionState, RefusesKeysThatDoNotFitTheSuite) {
  for (const Use& use : test::every_use()) {
    for (const int member : {0, 1, 2}) {
      for (const bool longer : {false, true}) {
        TrafficKeys keys = test::keys_of(use);
        const auto resized = [&](std::size_t size) { return Bytes(longer ? size + 1 : size - 1); };
        const std::size_t size = member == 0   ? keys.key.size()
                                 : member == 1 ? keys.iv.size()
                                               : keys.mac_key.size();
        // A MAC key, or an IV, at its capacity cannot grow: what is too much is cut off.
        const std::size_t capacity = member == 2 ? MacKey::kCapacity : WriteIv::kCapacity;
        if (longer ? size == capacity : size == 0) continue;
        if (member == 0) keys.key = WriteKey(resized(size));
        if (member == 1) keys.iv = WriteIv(resized(size));
        if (member == 2) keys.mac_key = MacKey(resized(size));
        const auto created =
            ConnectionState::create(use.version, *use.suite, std::move(keys), test::start_of(use));
        ASSERT_FALSE(created) << use << ' ' << member;
        EXPECT_EQ(created.error().code, ErrorCode::kInvalidArgument) << use << ' ' << member;
      }
    }
  }
}

TEST(ConnectionState, RefusesCombinationsThatNoVersionHas) {
  const auto refused = [](ProtocolVersion version, std::uint16_t id, bool encrypt_then_mac) {
    const Use use{find_cipher_suite(id), version, encrypt_then_mac};
    const auto created =
        ConnectionState::create(version, *use.suite, test::keys_of(use), test::start_of(use));
    return !created && created.error().code == ErrorCode::kInvalidArgument;
  };
  EXPECT_TRUE(refused(ProtocolVersion::kTls12, 0x0005, true)) << "RC4 with encrypt-then-MAC";
  EXPECT_TRUE(refused(ProtocolVersion::kTls13, 0x002F, false)) << "CBC in TLS 1.3";
  EXPECT_TRUE(refused(ProtocolVersion::kTls13, 0x0005, false)) << "RC4 in TLS 1.3";
  EXPECT_TRUE(refused(ProtocolVersion::kTls13, 0x0002, false)) << "no cipher in TLS 1.3";
  EXPECT_TRUE(refused(ProtocolVersion::kTls12, 0xC0B4, false)) << "RFC 9150 before TLS 1.3";
  EXPECT_TRUE(refused(ProtocolVersion::kSsl2, 0x1301, false)) << "an AEAD in SSLv2";
}

TEST(ConnectionState, WantsABlockOfRandomBytesForCbcFromTls11On) {
  for (const bool encrypt_then_mac : {false, true}) {
    for (const auto version : {ProtocolVersion::kTls11, ProtocolVersion::kTls12}) {
      const Use use{find_cipher_suite(0x002F), version, encrypt_then_mac};
      for (const std::size_t size : {0U, 8U, 15U, 17U, 32U}) {
        const Bytes block(size);
        StateStart start = test::start_of(use);
        start.fixed_iv_block = block;
        const auto created =
            ConnectionState::create(version, *use.suite, test::keys_of(use), start);
        ASSERT_FALSE(created) << use << ' ' << size;
        EXPECT_EQ(created.error().code, ErrorCode::kInvalidArgument);
      }
    }
    for (const auto version : {ProtocolVersion::kSsl3, ProtocolVersion::kTls10}) {
      const Use use{find_cipher_suite(0x002F), version, encrypt_then_mac};
      const Bytes block(64);
      StateStart start = test::start_of(use);
      start.fixed_iv_block = block;
      EXPECT_TRUE(ConnectionState::create(version, *use.suite, test::keys_of(use), start))
          << "and ignores it before";
    }
  }
}

TEST(ConnectionState, CannotBeCreatedFromTheNullSuite) {
  for (const ProtocolVersion version : test::kProtocolVersions) {
    const auto created = ConnectionState::create(version, null_cipher_suite(), {});
    ASSERT_FALSE(created);
    EXPECT_EQ(created.error().code, ErrorCode::kInvalidArgument);
  }
  TrafficKeys keys;
  keys.iv = WriteIv::with_size(12);
  EXPECT_FALSE(
      ConnectionState::create(ProtocolVersion::kTls13, null_cipher_suite(), std::move(keys)));
}

// Header, nonce or IV, content, type, MAC or tag, and padding to whole blocks.
std::size_t expected_size(const Use& use, std::size_t content_size) {
  const BulkCipher& cipher = *use.suite->bulk_cipher;
  const auto padded = [&](std::size_t size) {
    return (size / cipher.block_size + 1) * cipher.block_size;
  };
  if (use.is_ssl2()) {
    return cipher.block_size == 0 ? 2 + 16 + content_size : 3 + 16 + padded(content_size);
  }
  if (use.version == ProtocolVersion::kTls13) return 5 + content_size + 1 + cipher.tag_size;
  const std::size_t mac = use.suite->mac ? size_of(*use.suite->mac) : 0;
  if (use.kind() != ProtectionKind::kCbc) {
    return 5 + cipher.explicit_nonce_size + content_size + mac + cipher.tag_size;
  }
  const std::size_t iv = use.version >= ProtocolVersion::kTls11 ? cipher.block_size : 0;
  return 5 + iv + (use.encrypt_then_mac ? padded(content_size) + mac : padded(content_size + mac));
}

TEST(ConnectionState, SealedSizeIsWhatTheStandardsSay) {
  for (const Use& use : test::every_use()) {
    const ConnectionState state = test::state_of(use);
    for (const std::size_t size : {0U, 1U, 7U, 8U, 15U, 16U, 1000U, 16384U}) {
      ASSERT_EQ(state.sealed_size(size), expected_size(use, size)) << use << ' ' << size;
    }
    const bool is_13 = use.version == ProtocolVersion::kTls13;
    EXPECT_EQ(state.sealed_size(10, 100), expected_size(use, 10) + (is_13 ? 100 : 0)) << use;
  }
  EXPECT_EQ(ConnectionState::null().sealed_size(0), 5U);
  EXPECT_EQ(ConnectionState::null(0x0002).sealed_size(10), 12U);
}

TEST(ConnectionState, SealsAndOpensEachTypeOfEverySuite) {
  for (const Use& use : test::every_use()) {
    ConnectionState writer = test::state_of(use);
    ConnectionState reader = test::state_of(use);
    for (const ContentType type :
         {ContentType::kHandshake, ContentType::kAlert, ContentType::kApplicationData}) {
      Bytes wire = test::sealed(writer, type, Bytes{4, 5, 6});
      const auto opened = test::opened(reader, wire);
      ASSERT_TRUE(opened) << use;
      EXPECT_EQ(opened->type, use.is_ssl2() ? ContentType::kHandshake : type) << use;
      EXPECT_TRUE(std::ranges::equal(opened->content, Bytes{4, 5, 6})) << use;
      EXPECT_EQ(opened->inner_size, use.version == ProtocolVersion::kTls13 ? 4U : 3U) << use;
    }
    EXPECT_EQ(writer.sequence(), 3U) << use;
    EXPECT_EQ(reader.sequence(), 3U) << use;
  }
}

TEST(ConnectionState, CallerErrorsConsumeNoNumber) {
  ConnectionState state = test::state_of(test::suite_of(test::kAes128Gcm13));
  constexpr auto kType = ContentType::kApplicationData;
  Bytes wire(2 * kBodySizeMax);
  const Bytes longest(kBodySizeMax - 17);
  const Bytes too_long(kBodySizeMax - 16);
  const auto over = state.seal({.type = kType, .content = too_long}, wire);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code, ErrorCode::kInvalidArgument);
  const auto over_padding =
      state.seal({.type = kType, .content = Bytes(10), .padding = kBodySizeMax - 26}, wire);
  ASSERT_FALSE(over_padding);
  EXPECT_EQ(over_padding.error().code, ErrorCode::kInvalidArgument);
  const auto tight = state.seal({.type = kType, .content = Bytes(10)}, std::span(wire).first(31));
  ASSERT_FALSE(tight);
  EXPECT_EQ(tight.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(state.sequence(), 0U);
  EXPECT_EQ(state.seal({.type = kType, .content = Bytes(10)}, std::span(wire).first(32)), 32U);
  EXPECT_EQ(state.seal({.type = kType, .content = longest}, wire), 5 + kBodySizeMax);
  EXPECT_EQ(state.sequence(), 2U);
}

TEST(ConnectionState, ARecordOfSslv2ThatItsHeaderCannotSayConsumesNoNumber) {
  for (const std::uint32_t id : {0x010080U, 0x0700C0U}) {
    const Use use{find_ssl2_cipher_kind(id)->suite, ProtocolVersion::kSsl2};
    const bool is_padded = use.suite->bulk_cipher->block_size != 0;
    const std::size_t content_max = (is_padded ? 0x3ff8U - 1 : 0x7fffU) - 16;
    ConnectionState state = test::state_of(use, 3);
    ConnectionState reader = test::state_of(use, 3);
    Bytes wire(0x10000);
    const auto over = state.seal(
        {.type = ContentType::kApplicationData, .content = Bytes(content_max + 1)}, wire);
    ASSERT_FALSE(over) << use;
    EXPECT_EQ(over.error().code, ErrorCode::kInvalidArgument) << use;
    EXPECT_EQ(state.sequence(), 3U);
    Bytes largest = test::sealed(state, ContentType::kApplicationData, Bytes(content_max));
    EXPECT_EQ(state.sequence(), 4U);
    EXPECT_TRUE(test::opened(reader, largest)) << use;
  }
}

TEST(ConnectionState, ARecordThatDoesNotOpenConsumesNoNumber) {
  for (const Use& use : test::every_use()) {
    // RC4's key stream has gone on, so what comes after a bad record cannot be opened.
    if (use.kind() == ProtectionKind::kStream) continue;
    ConnectionState writer = test::state_of(use);
    ConnectionState reader = test::state_of(use);
    // SSLv3 does not care what its padding holds: the byte to change is in the content.
    Bytes wire = test::sealed(writer, ContentType::kApplicationData, test::content_of(40));
    Bytes forged = wire;
    forged[wire.size() - 40] ^= 0x80;
    const auto refused = test::opened(reader, forged);
    ASSERT_FALSE(refused) << use;
    EXPECT_EQ(refused.error().code, ErrorCode::kBadRecordMac) << use;
    EXPECT_EQ(refused.error().alert, code_of(AlertDescription::kBadRecordMac)) << use;
    EXPECT_EQ(reader.sequence(), 0U) << use;
    Bytes genuine = wire;
    EXPECT_TRUE(test::opened(reader, genuine)) << use;
    EXPECT_EQ(reader.sequence(), 1U) << use;
    Bytes replayed = wire;
    EXPECT_FALSE(test::opened(reader, replayed)) << use;
  }
}

TEST(ConnectionState, ABadRecordLeavesNoPlaintextInItsBody) {
  for (const Use& use : test::distinct_uses()) {
    if (use.kind() == ProtectionKind::kNull || use.kind() == ProtectionKind::kIntegrity) continue;
    ConnectionState writer = test::state_of(use);
    ConnectionState reader = test::state_of(use);
    const Bytes content(64, 'P');
    Bytes wire = test::sealed(writer, ContentType::kApplicationData, content);
    wire[use.is_ssl2() ? 3 : kRecordHeaderSize] ^= 1;
    ASSERT_FALSE(test::opened(reader, wire)) << use;
    EXPECT_TRUE(std::ranges::search(wire, Bytes(8, 'P')).empty()) << use;
  }
}

TEST(ConnectionState, OpensExactlyOneWholeRecord) {
  for (const Use& use : test::every_use()) {
    ConnectionState writer = test::state_of(use);
    const Bytes wire = test::sealed(writer, ContentType::kApplicationData, test::content_of(32));
    Bytes longer = wire;
    longer.insert(longer.end(), 16, 0);
    const Bytes shorter(wire.begin(), wire.end() - 16);
    const Bytes header_only(wire.begin(), wire.end() - static_cast<std::ptrdiff_t>(
                                                           wire.size() - (use.is_ssl2() ? 3 : 5)));
    for (Bytes record : {longer, shorter, header_only}) {
      ConnectionState reader = test::state_of(use);
      // Whatever the header says: what lies in the body is what is opened.
      const auto [header, body] = test::parts_of(use.version, record);
      EXPECT_FALSE(reader.open(header, body)) << use << ' ' << record.size();
    }
  }
}

TEST(ConnectionState, UsesTheLastSequenceNumberAndThenNoMore) {
  for (const Use& use : test::every_use()) {
    ConnectionState writer = test::state_of(use, kLast - 1);
    ConnectionState reader = test::state_of(use, kLast - 1);
    for (std::uint64_t left = 2; left > 0; --left) {
      EXPECT_EQ(writer.records_left(), left);
      Bytes wire = test::sealed(writer, ContentType::kApplicationData, Bytes{1});
      EXPECT_TRUE(test::opened(reader, wire)) << use;
    }
    EXPECT_EQ(writer.records_left(), 0U);
    Bytes wire(200);
    const auto sealed =
        writer.seal({.type = ContentType::kApplicationData, .content = Bytes{1}}, wire);
    ASSERT_FALSE(sealed) << use;
    EXPECT_EQ(sealed.error().code, ErrorCode::kLimitReached);
    EXPECT_EQ(wire, Bytes(200));
    Bytes next = use.is_ssl2() ? Bytes(50) : test::with_header(23, 0x0303, Bytes(40));
    const auto opened = test::opened(reader, next);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, ErrorCode::kLimitReached);
    const auto keys = ConnectionState::into_record_keys(std::move(writer));
    ASSERT_FALSE(keys) << "the kernel would use the last number a second time";
    EXPECT_EQ(keys.error().code, ErrorCode::kLimitReached);
  }
}

TEST(ConnectionState, HandsTheKernelWhatTheNextRecordNeeds) {
  for (const CipherSuite* offered : handshake_suites()) {
    const CipherSuite& suite = *offered;
    ConnectionState state = test::state_of(suite, 5, 0xff00);
    for (int i = 0; i < 3; ++i) {
      (void)test::sealed(state, ContentType::kApplicationData, Bytes{1});
    }
    const auto keys = ConnectionState::into_record_keys(std::move(state));
    ASSERT_TRUE(keys) << suite.name;
    const TrafficKeys expected = test::keys_of(suite);
    EXPECT_EQ(static_cast<std::uint16_t>(keys->version),
              static_cast<std::uint16_t>(suite.version_max));
    EXPECT_EQ(keys->cipher, suite.bulk_cipher->kernel);
    EXPECT_TRUE(std::ranges::equal(keys->key.bytes(), expected.key.bytes()));
    EXPECT_TRUE(std::ranges::equal(keys->iv.bytes(), expected.iv.bytes()));
    EXPECT_EQ(keys->sequence, 8U);
    const bool carries_nonce =
        suite.serves(ProtocolVersion::kTls12) && suite.bulk_cipher->explicit_nonce_size != 0;
    EXPECT_EQ(keys->explicit_nonce, carries_nonce ? 0xff03U : 0U) << suite.name;
  }
}

TEST(ConnectionState, HasNothingForTheKernelOfOtherCiphersAndVersions) {
  for (const Use& use : test::every_use()) {
    const bool is_known = use.suite->bulk_cipher->kernel.has_value();
    const auto keys = ConnectionState::into_record_keys(test::state_of(use));
    EXPECT_EQ(keys.has_value(), is_known) << use;
    if (!keys) {
      EXPECT_EQ(keys.error().code, ErrorCode::kUnsupported) << use;
    }
  }
  // No suite says so, but the class can be made: an AEAD before TLS 1.2.
  const Use use{find_cipher_suite(0xC02F), ProtocolVersion::kTls11};
  const auto keys = ConnectionState::into_record_keys(test::state_of(use));
  ASSERT_FALSE(keys);
  EXPECT_EQ(keys.error().code, ErrorCode::kUnsupported);
}

TEST(ConnectionState, CountsClearRecordsOfSslv2Alone) {
  ConnectionState tls = ConnectionState::null(0x0303, 7);
  (void)test::sealed(tls, ContentType::kHandshake, Bytes{1});
  EXPECT_EQ(tls.sequence(), 7U);
  for (const std::uint16_t version : std::to_array<std::uint16_t>({0x0002, 0x0200})) {
    ConnectionState ssl2 = ConnectionState::null(version, 7);
    Bytes wire = test::sealed(ssl2, ContentType::kHandshake, Bytes{1, 2, 3});
    EXPECT_EQ(wire, (Bytes{0x80, 3, 1, 2, 3}));
    EXPECT_EQ(ssl2.sequence(), 8U);
    const auto [header, body] = test::parts_of(ProtocolVersion::kSsl2, wire);
    EXPECT_TRUE(ssl2.open(header, body));
    EXPECT_EQ(ssl2.sequence(), 9U);
  }
}

TEST(ConnectionState, TheNullStateHasNothingForTheKernel) {
  const auto keys = ConnectionState::into_record_keys(ConnectionState::null());
  ASSERT_FALSE(keys);
  EXPECT_EQ(keys.error().code, ErrorCode::kUnsupported);
}

TEST(ConnectionState, RefusesEverythingOnceItWasMovedFrom) {
  ConnectionState state = test::state_of(test::suite_of(test::kAes128Gcm12));
  const ConnectionState holder = std::move(state);
  Bytes wire = test::with_header(23, 0x0303, Bytes(40));
  // NOLINTBEGIN(bugprone-use-after-move): what a spent state answers is what is tested.
  const auto sealed =
      state.seal({.type = ContentType::kApplicationData, .content = Bytes{1}}, wire);
  ASSERT_FALSE(sealed);
  EXPECT_EQ(sealed.error().code, ErrorCode::kProtocolViolation);
  EXPECT_EQ(test::opened(state, wire).error().code, ErrorCode::kProtocolViolation);
  EXPECT_EQ(state.sealed_size(10), 0U);
  state.set_fixed_iv_block({});
  EXPECT_EQ(ConnectionState::into_record_keys(std::move(state)).error().code,
            ErrorCode::kProtocolViolation);
  // NOLINTEND(bugprone-use-after-move)
}

}  // namespace
}  // namespace tls
