#include "tools/http/multipart_ranges.h"

#include <cstddef>
#include <string>

#include <gtest/gtest.h>

namespace http {
namespace {

const std::string kContent = "0123456789";

std::string body_of(const MultipartRanges& multipart) {
  std::string body;
  for (std::size_t i = 0; i < multipart.ranges().size(); ++i) {
    const ByteRange& range = multipart.ranges()[i];
    body += multipart.part_head(i) + kContent.substr(range.first, range.size());
  }
  return body + multipart.end();
}

TEST(MultipartRanges, IsTheBodyOfTheStandard) {
  const MultipartRanges multipart({{0, 1}, {8, 9}}, 10, "text/plain", 0x0123456789abcdef);
  EXPECT_EQ(multipart.content_type(),
            "multipart/byteranges; boundary=ktls-bridge-0123456789abcdef");
  EXPECT_EQ(body_of(multipart),
            "--ktls-bridge-0123456789abcdef\r\n"
            "Content-Type: text/plain\r\n"
            "Content-Range: bytes 0-1/10\r\n"
            "\r\n"
            "01\r\n"
            "--ktls-bridge-0123456789abcdef\r\n"
            "Content-Type: text/plain\r\n"
            "Content-Range: bytes 8-9/10\r\n"
            "\r\n"
            "89\r\n"
            "--ktls-bridge-0123456789abcdef--\r\n");
}

TEST(MultipartRanges, KnowsItsLengthToTheByte) {
  for (const auto& ranges :
       {std::vector<ByteRange>{{0, 0}, {9, 9}}, std::vector<ByteRange>{{0, 9}, {1, 1}, {3, 5}}}) {
    const MultipartRanges multipart(ranges, kContent.size(), "image/png", 7);
    EXPECT_EQ(multipart.content_length(), body_of(multipart).size());
  }
}

TEST(MultipartRanges, HasItsBoundaryFromTheCallersRandomNumber) {
  const MultipartRanges one({{0, 1}, {8, 9}}, 10, "text/plain", 1);
  const MultipartRanges other({{0, 1}, {8, 9}}, 10, "text/plain", 2);
  EXPECT_NE(one.content_type(), other.content_type());
  EXPECT_NE(one.end(), other.end());
}

}  // namespace
}  // namespace http
