#include "tools/proxy_protocol/binary_header.h"

#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/tools/proxy_protocol/socket_addresses.h"
#include "tools/proxy_protocol/crc32c.h"

namespace proxy_protocol {
namespace {

using ktls::ErrorCode;
using std::string_literals::operator""s;
using Bytes = std::vector<std::uint8_t>;

// Section 2.2, byte by byte; written here and not by the code that is tested.
const std::string kSignatureText = "\r\n\r\n\0\r\nQUIT\n"s;

// The signature, `command` and `family`, the length of `rest`, and `rest`.
Bytes header(char command, char family, const std::string& rest) {
  const std::string text = kSignatureText + command + family + static_cast<char>(rest.size() >> 8) +
                           static_cast<char>(rest.size()) + rest;
  return {text.begin(), text.end()};
}

const std::string kAddresses4 = "\xc0\x00\x02\x01\xc0\x00\x02\x02\xdc\x04\x01\xbb"s;
const std::string kAddresses6 =
    "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
    "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\xdc\x04\x01\xbb"s;

std::string path(const std::string& text) {
  return text + std::string(108 - text.size(), '\0');
}

std::string vector(char type, const std::string& value) {
  return type + std::string(1, static_cast<char>(value.size() >> 8)) +
         static_cast<char>(value.size()) + value;
}

// "SOURCE DESTINATION", "-" for a header that names none, or what is wrong.
std::string decoded(const Bytes& bytes) {
  const auto left = binary_bytes_left(bytes);
  if (!left) return left.error().detail;
  if (*left != 0) return "not whole: " + std::to_string(*left);
  const auto endpoints = decode_binary_header(bytes);
  if (!endpoints) return endpoints.error().detail;
  if (!*endpoints) return "-";
  return (*endpoints)->source.text() + " " + (*endpoints)->destination.text();
}

// With a checksum as a sender makes it: of the whole header, with zeros in its place.
Bytes with_checksum(char command, char family, const std::string& rest,
                    const std::string& behind = {}) {
  Bytes bytes = header(command, family, rest + vector(0x03, "\0\0\0\0"s) + behind);
  const std::uint32_t checksum = crc32c(bytes);
  auto at = bytes.end() - static_cast<std::ptrdiff_t>(behind.size()) - 4;
  for (int shift = 24; shift >= 0; shift -= 8) *at++ = static_cast<std::uint8_t>(checksum >> shift);
  return bytes;
}

TEST(BinaryHeader, HasTheAddressesOfItsFamily) {
  EXPECT_EQ(decoded(header(0x21, 0x11, kAddresses4)), "192.0.2.1:56324 192.0.2.2:443");
  EXPECT_EQ(decoded(header(0x21, 0x21, kAddresses6)), "[2001:db8::1]:56324 [::1]:443");
  EXPECT_EQ(decoded(header(0x21, 0x31, path("/run/a") + path("/run/b"))),
            "unix:/run/a unix:/run/b");
}

TEST(BinaryHeader, HasPathsThatAreAbstractOrFullOrEmpty) {
  const std::string full(108, 'x');
  EXPECT_EQ(decoded(header(0x21, 0x31, path("\0a"s) + full)), "unix:@a unix:" + full);
  EXPECT_EQ(decoded(header(0x21, 0x31, path("") + path("/b"))), "unix: unix:/b");
}

TEST(BinaryHeader, OfALocalConnectionNamesNoAddressWhateverItHolds) {
  EXPECT_EQ(decoded(header(0x20, 0x00, "")), "-");
  EXPECT_EQ(decoded(header(0x20, 0x11, kAddresses4)), "-");
  EXPECT_EQ(decoded(header(0x20, 0x11, "")), "-");
  EXPECT_EQ(decoded(header(0x20, 0x7f, "anything")), "-");
  EXPECT_EQ(decoded(header(0x20, 0x00, "\x04\xff\xff")), "-");
}

TEST(BinaryHeader, OfNoStreamNamesNoAddress) {
  for (const char family : {'\x00', '\x01', '\x02'})
    EXPECT_EQ(decoded(header(0x21, family, "")), "-");
  EXPECT_EQ(decoded(header(0x21, 0x10, kAddresses4)), "-");
  EXPECT_EQ(decoded(header(0x21, 0x12, kAddresses4)), "-");
  EXPECT_EQ(decoded(header(0x21, 0x22, kAddresses6)), "-");
}

TEST(BinaryHeader, MayHaveVectorsThatNobodyKnows) {
  EXPECT_EQ(decoded(header(0x21, 0x11,
                           kAddresses4 + vector(0x04, "") + vector('\xea', std::string(300, 'x')) +
                               vector(0x02, "example.org"))),
            "192.0.2.1:56324 192.0.2.2:443");
}

TEST(BinaryHeader, IsRefusedIfItsPartsDoNotFit) {
  EXPECT_EQ(decoded(header(0x22, 0x11, kAddresses4)),
            "malformed PROXY header: neither LOCAL nor PROXY of version 2");
  EXPECT_EQ(decoded(header(0x11, 0x11, kAddresses4)),
            "malformed PROXY header: neither LOCAL nor PROXY of version 2");
  for (const char family : {'\x13', '\x41', '\xf1'}) {
    EXPECT_EQ(decoded(header(0x21, family, kAddresses4)),
              "malformed PROXY header: a family or transport that there is not");
  }
  EXPECT_EQ(decoded(header(0x21, 0x11, kAddresses4.substr(1))),
            "malformed PROXY header: it ends within the addresses");
  EXPECT_EQ(decoded(header(0x21, 0x21, kAddresses4)),
            "malformed PROXY header: it ends within the addresses");
  for (const std::string& rest : {"\x04"s, "\x04\x00"s, "\x04\x00\x02x"s, "\x03\x00\x03xxx"s}) {
    EXPECT_EQ(decoded(header(0x21, 0x11, kAddresses4 + rest)),
              "malformed PROXY header: a vector has a wrong length");
  }
}

TEST(BinaryHeader, IsCheckedByItsChecksum) {
  const std::string behind = vector(0x02, "example.org");
  EXPECT_EQ(decoded(with_checksum(0x21, 0x11, kAddresses4)), "192.0.2.1:56324 192.0.2.2:443");
  EXPECT_EQ(decoded(with_checksum(0x20, 0x00, "")), "-");
  const Bytes good = with_checksum(0x21, 0x11, kAddresses4, behind);
  ASSERT_EQ(decoded(good), "192.0.2.1:56324 192.0.2.2:443");
  // But for the types and lengths of vectors: changed, they are other vectors.
  const std::size_t checksum_at = kBinaryPrefixSize + kAddresses4.size() + 3;
  const std::size_t behind_at = checksum_at + 4 + 3;
  for (std::size_t i = kBinaryPrefixSize; i < good.size(); ++i) {
    if (i + 3 >= checksum_at && i < checksum_at) continue;
    if (i + 3 >= behind_at && i < behind_at) continue;
    Bytes bad = good;
    bad[i] ^= 0x40;
    EXPECT_EQ(decoded(bad), "malformed PROXY header: its checksum is not that of its bytes") << i;
  }
  Bytes local = with_checksum(0x20, 0x00, "");
  local.back() ^= 1;
  EXPECT_EQ(decoded(local), "malformed PROXY header: its checksum is not that of its bytes");
}

TEST(BinaryHeader, IsAsLongAsItSaysAndNoLongerThan4096Bytes) {
  const auto padded = [](std::size_t size) {
    return header(0x21, 0x11, kAddresses4 + vector(0x04, std::string(size - 16 - 12 - 3, 'x')));
  };
  EXPECT_EQ(decoded(padded(kBinaryHeaderMax)), "192.0.2.1:56324 192.0.2.2:443");
  const auto left = binary_bytes_left(padded(kBinaryHeaderMax + 1));
  ASSERT_FALSE(left);
  EXPECT_EQ(left.error().code, ErrorCode::kLimitReached);
  EXPECT_EQ(left.error().detail, "a PROXY header of 4097 bytes: 4096 are taken");
}

TEST(BinaryHeader, SaysOfEveryBeginningHowMuchIsLeft) {
  const Bytes whole = header(0x21, 0x11, kAddresses4 + vector(0x04, "x"));
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    const auto left = binary_bytes_left(std::span(whole).first(size));
    ASSERT_TRUE(left) << size;
    EXPECT_EQ(*left, (size < 16 ? 16 : whole.size()) - size) << size;
  }
  for (std::size_t i = 0; i < 13; ++i) {
    Bytes bad = whole;
    bad[i] ^= 0x80;
    EXPECT_FALSE(binary_bytes_left(std::span(bad).first(i + 1))) << i;
  }
}

Endpoints endpoints(const std::string& source, const std::string& destination) {
  return {socket_address(source), socket_address(destination)};
}

TEST(BinaryHeader, IsWrittenAsTheSpecificationShowsIt) {
  EXPECT_EQ(encode_binary_header(endpoints("192.0.2.1:56324", "192.0.2.2:443"), nullptr),
            header(0x21, 0x11, kAddresses4));
  EXPECT_EQ(encode_binary_header(endpoints("[2001:db8::1]:56324", "[::1]:443"), nullptr),
            header(0x21, 0x21, kAddresses6));
  EXPECT_EQ(encode_binary_header(endpoints("unix:/run/a", "unix:/run/b"), nullptr),
            header(0x21, 0x31, path("/run/a") + path("/run/b")));
  EXPECT_EQ(encode_binary_header({}, nullptr), header(0x21, 0x00, ""));
}

TlsFacts facts() {
  return {.version = "TLSv1.3",
          .cipher = "TLS_AES_128_GCM_SHA256",
          .authority = "example.org",
          .alpn = "h2",
          .common_name = "device 7",
          .signature_algorithm = "RSA-SHA256",
          .key_algorithm = "RSA2048",
          .client_certificate = true,
          .resumed = false};
}

TEST(BinaryHeader, TellsOfTls) {
  const TlsFacts tls = facts();
  const std::string parts = vector(0x21, "TLSv1.3") + vector(0x22, "device 7") +
                            vector(0x23, "TLS_AES_128_GCM_SHA256") + vector(0x24, "RSA-SHA256") +
                            vector(0x25, "RSA2048");
  EXPECT_EQ(encode_binary_header(endpoints("192.0.2.1:56324", "192.0.2.2:443"), &tls),
            header(0x21, 0x11,
                   kAddresses4 + vector(0x01, "h2") + vector(0x02, "example.org") +
                       vector(0x20, "\x07\0\0\0\0"s + parts)));
}

TEST(BinaryHeader, TellsOfAClientCertificateWhenItWasShown) {
  const auto verdict = [](bool shown, bool resumed) {
    TlsFacts tls;
    tls.client_certificate = shown;
    tls.resumed = resumed;
    const Bytes bytes = encode_binary_header({}, &tls);
    return std::string(bytes.begin() + 19, bytes.begin() + 24);
  };
  EXPECT_EQ(verdict(true, false), "\x07\0\0\0\0"s);
  EXPECT_EQ(verdict(true, true), "\x05\0\0\0\0"s);
  EXPECT_EQ(verdict(false, false), "\x01\0\0\0\1"s);
}

TEST(BinaryHeader, LeavesOutWhatThereIsNotAndWhatIsTooLong) {
  TlsFacts tls;
  tls.version = "TLSv1.2";
  tls.common_name = std::string(kValueMax + 1, 'x');
  EXPECT_EQ(encode_binary_header({}, &tls),
            header(0x21, 0x00, vector(0x20, "\x01\0\0\0\1"s + vector(0x21, "TLSv1.2"))));
  for (std::string* const each : {&tls.version, &tls.cipher, &tls.authority, &tls.alpn,
                                  &tls.common_name, &tls.signature_algorithm, &tls.key_algorithm}) {
    *each = std::string(kValueMax, 'x');
  }
  EXPECT_LE(encode_binary_header(endpoints("unix:/a", "unix:/b"), &tls).size(), kBinaryHeaderMax);
}

}  // namespace
}  // namespace proxy_protocol
