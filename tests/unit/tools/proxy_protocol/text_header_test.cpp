#include "tools/proxy_protocol/text_header.h"

#include <string>

#include <gtest/gtest.h>

#include "tests/unit/tools/proxy_protocol/socket_addresses.h"

namespace proxy_protocol {
namespace {

// The longest lines that the specification knows, section 2.1.
constexpr const char* kLongest4 = "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n";
constexpr const char* kLongest6 =
    "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
constexpr const char* kLongestUnknown =
    "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";

// "SOURCE DESTINATION", "-" for a line that names none, or what is wrong.
std::string decoded(const std::string& line) {
  const auto left = text_bytes_left(line);
  if (!left) return left.error().detail;
  if (*left != 0) return "not whole: " + std::to_string(*left);
  const auto endpoints = decode_text_header(line);
  if (!endpoints) return endpoints.error().detail;
  if (!*endpoints) return "-";
  return (*endpoints)->source.text() + " " + (*endpoints)->destination.text();
}

TEST(TextHeader, IsReadAsTheSpecificationShowsIt) {
  EXPECT_EQ(decoded("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"),
            "192.168.0.1:56324 192.168.0.11:443");
  EXPECT_EQ(decoded(kLongest4), "255.255.255.255:65535 255.255.255.255:65535");
  EXPECT_EQ(decoded(kLongest6),
            "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535 "
            "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
  EXPECT_EQ(decoded("PROXY TCP6 2001:db8::1 ::1 1 0\r\n"), "[2001:db8::1]:1 [::1]:0");
  EXPECT_EQ(decoded("PROXY TCP6 :: :: 0 0\r\n"), "[::]:0 [::]:0");
  EXPECT_EQ(decoded("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"), "0.0.0.0:0 0.0.0.0:0");
}

TEST(TextHeader, OfAnUnknownConnectionNamesNoAddressWhateverItSays) {
  EXPECT_EQ(decoded("PROXY UNKNOWN\r\n"), "-");
  EXPECT_EQ(decoded(kLongestUnknown), "-");
  EXPECT_EQ(decoded("PROXY UNKNOWN \xff\x01 anything\r\n"), "-");
}

TEST(TextHeader, IsRefusedUnlessItIsExactlyOne) {
  const char* const malformed[] = {
      "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
      "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r \n",
      "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
      "PROXY TCP4 192.0.2.1 192.0.2.2\r\n",
      "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
      "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
      "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
      "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
      "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
      "PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
      "PROXY TCP4 192.0.2 192.0.2.2 1 22222\r\n",
      "PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
      "PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
      "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
      "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
      "PROXY TCP4 192.0.2.1 192.0.2.2 1x 2\r\n",
      "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
      "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
      "PROXY TCP6 2001:db8::1%lo 2001:db8::2 1 2\r\n",
      "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
      "PROXY UNKNOWNS\r\n",
      "proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
      "PROXY\r\n",
      "GET / HTTP/1.1\r\n",
  };
  for (const char* const line : malformed) {
    EXPECT_TRUE(decoded(line).starts_with("malformed PROXY line: ")) << line << decoded(line);
  }
  using std::string_literals::operator""s;
  EXPECT_TRUE(decoded("PROXY TCP6 ::1\0 ::2 1 2\r\n"s).starts_with("malformed PROXY line: "));
}

TEST(TextHeader, HasAnEndWithin107Bytes) {
  const std::string unknown = "PROXY UNKNOWN ";
  const auto line = [&](std::size_t size) {
    return unknown + std::string(size - unknown.size() - 2, 'x') + "\r\n";
  };
  EXPECT_EQ(decoded(line(kTextHeaderMax)), "-");
  EXPECT_TRUE(decoded(line(kTextHeaderMax + 1)).starts_with("malformed PROXY line: "));
  EXPECT_EQ(text_bytes_left(unknown + std::string(kTextHeaderMax - unknown.size() - 2, 'x')), 2U);
  EXPECT_FALSE(text_bytes_left(unknown + std::string(kTextHeaderMax - unknown.size() - 1, 'x')));
}

TEST(TextHeader, HasAtLeastSoMuchLeftAsItSaysOfEveryBeginning) {
  for (const std::string line :
       {kLongest4, kLongest6, kLongestUnknown, "PROXY UNKNOWN\r\n", "PROXY TCP6 :: :: 0 0\r\n",
        "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
        "PROXY TCP6 2001:db8::1 ::1 1 0\r\n"}) {
    for (std::size_t size = 0; size <= line.size(); ++size) {
      const auto left = text_bytes_left(line.substr(0, size));
      ASSERT_TRUE(left) << line.substr(0, size);
      EXPECT_LE(*left, line.size() - size) << line.substr(0, size);
      EXPECT_EQ(*left == 0, size == line.size()) << line.substr(0, size);
    }
  }
}

TEST(TextHeader, IsWrittenAsItIsRead) {
  const auto encoded = [](const std::string& source, const std::string& destination) {
    return encode_text_header({socket_address(source), socket_address(destination)});
  };
  EXPECT_EQ(encoded("192.168.0.1:56324", "192.168.0.11:443"),
            "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n");
  EXPECT_EQ(encoded("[2001:db8::1]:56324", "[::1]:443"),
            "PROXY TCP6 2001:db8::1 ::1 56324 443\r\n");
  EXPECT_EQ(encoded("[fe80::1%lo]:1", "[fe80::2%lo]:2"), "PROXY TCP6 fe80::1 fe80::2 1 2\r\n");
}

TEST(TextHeader, IsUnknownOfWhatIsNotIp) {
  EXPECT_EQ(encode_text_header({socket_address("unix:/a"), socket_address("unix:/b")}),
            "PROXY UNKNOWN\r\n");
  EXPECT_EQ(encode_text_header({}), "PROXY UNKNOWN\r\n");
}

}  // namespace
}  // namespace proxy_protocol
