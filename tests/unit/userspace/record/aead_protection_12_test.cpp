// TLS 1.2 AEAD records: nonces, and every way in which one can be wrong.
#include "userspace/record/aead_protection_12.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/unit/userspace/record/states.h"

namespace tls {
namespace {

using ktls::ErrorCode;
using test::Bytes;

const CipherSuite& gcm() {
  return test::suite_of(test::kAes128Gcm12);
}
const CipherSuite& chacha() {
  return test::suite_of(test::kChaCha12);
}

using test::expect_refused;

std::uint64_t explicit_nonce_of(const Bytes& wire) {
  return ktls::load_big_endian<std::uint64_t>(wire.data() + kRecordHeaderSize);
}

TEST(AeadProtection12, ExplicitNonceCountsUpFromWhereItIsTold) {
  ConnectionState state = test::state_of(gcm(), 7, ~1UL);
  for (const std::uint64_t expected : {~1UL, ~0UL, 0UL, 1UL}) {
    const Bytes wire = test::sealed(state, ContentType::kApplicationData, Bytes{1});
    EXPECT_EQ(explicit_nonce_of(wire), expected);
  }
  EXPECT_EQ(state.sequence(), 11U);
}

TEST(AeadProtection12, OpensAnyExplicitNonce) {
  for (const std::uint64_t nonce : {0UL, 1UL, 0x0123456789abcdefUL, ~0UL}) {
    ConnectionState writer = test::state_of(gcm(), 3, nonce);
    ConnectionState reader = test::state_of(gcm(), 3, 99);
    Bytes wire = test::sealed(writer, ContentType::kHandshake, Bytes{1, 2, 3});
    const auto opened = test::opened(reader, wire);
    ASSERT_TRUE(opened);
    EXPECT_EQ(opened->type, ContentType::kHandshake);
    EXPECT_TRUE(std::ranges::equal(opened->content, Bytes{1, 2, 3}));
  }
}

TEST(AeadProtection12, RecordsOfChaCha20CarryNoNonce) {
  ConnectionState state = test::state_of(chacha(), 0, 99);
  const Bytes wire = test::sealed(state, ContentType::kApplicationData, Bytes{1, 2, 3});
  EXPECT_EQ(wire.size(), 5U + 3 + 16);
  EXPECT_EQ(wire, test::record_12_of(chacha(), 23, {1, 2, 3}));
}

TEST(AeadProtection12, RefusesAnotherVersionThanThreeThree) {
  for (const std::uint8_t minor : Bytes{1, 2, 4}) {
    ConnectionState writer = test::state_of(gcm());
    Bytes wire = test::sealed(writer, ContentType::kApplicationData, Bytes{1});
    wire[2] = minor;
    expect_refused(gcm(), wire, ErrorCode::kDecodeError, AlertDescription::kProtocolVersion);
  }
}

TEST(AeadProtection12, RefusesATypeThatIsNotOfTls) {
  expect_refused(chacha(), test::record_12_of(chacha(), 24, {1}), ErrorCode::kUnexpectedMessage,
                 AlertDescription::kUnexpectedMessage);
}

TEST(AeadProtection12, TakesARecordWithoutRoomForNonceAndTagForABadMac) {
  for (const std::size_t size : {0U, 7U, 8U, 23U}) {
    expect_refused(gcm(), test::with_header(23, 0x0303, Bytes(size)), ErrorCode::kBadRecordMac,
                   AlertDescription::kBadRecordMac);
  }
  expect_refused(chacha(), test::with_header(23, 0x0303, Bytes(15)), ErrorCode::kBadRecordMac,
                 AlertDescription::kBadRecordMac);
}

TEST(AeadProtection12, RefusesAnAuthenticRecordWithTooMuchContent) {
  const Bytes largest = test::record_12_of(chacha(), 23, Bytes(kPlaintextSizeMax));
  EXPECT_TRUE(test::read_strictly(chacha(), largest));
  expect_refused(chacha(), test::record_12_of(chacha(), 23, Bytes(kPlaintextSizeMax + 1)),
                 ErrorCode::kRecordOverflow, AlertDescription::kRecordOverflow);
}

TEST(AeadProtection12, RefusesABodyOverTwoToTheFourteenAndTwoThousandFortyEight) {
  expect_refused(gcm(), test::with_header(23, 0x0303, Bytes(kCiphertextSizeMax + 1)),
                 ErrorCode::kRecordOverflow, AlertDescription::kRecordOverflow);
  expect_refused(gcm(), test::with_header(23, 0x0303, Bytes(kCiphertextSizeMax)),
                 ErrorCode::kBadRecordMac, AlertDescription::kBadRecordMac);
}

}  // namespace
}  // namespace tls
