#include "tools/http/own_header.h"

#include <string>

#include <gtest/gtest.h>

namespace http {
namespace {

TEST(OwnHeader, IsANameAndAValue) {
  const auto header = parse_own_header("Strict-Transport-Security: max-age=63072000; preload ");
  ASSERT_TRUE(header);
  EXPECT_EQ(header->name, "Strict-Transport-Security");
  EXPECT_EQ(header->value, "max-age=63072000; preload");
  EXPECT_EQ(parse_own_header("X-A:b:c")->value, "b:c");
  EXPECT_EQ(parse_own_header("X-A:")->value, "");
}

struct BadHeader {
  std::string_view text;
  std::string_view why;
};

TEST(OwnHeader, CannotBreakTheResponse) {
  constexpr BadHeader kBad[] = {
      {"", "there is no ':'"},
      {"X-A", "there is no ':'"},
      {": value", "the name is not a token"},
      {"X A: b", "the name is not a token"},
      {"X-A : b", "the name is not a token"},
      {" X-A: b", "the name is not a token"},
      {"X-A\r\nX-B: c", "the name is not a token"},
      {"X-A: b\r\nX-B: c", "the value has a control character"},
      {"X-A: b\nX-B: c", "the value has a control character"},
      {"X-A: b\x1b", "the value has a control character"},
      {"Content-Length: 5", "Content-Length is said by the server itself"},
      {"transfer-encoding: chunked", "Transfer-Encoding is said by the server itself"},
      {"CONNECTION: close", "Connection is said by the server itself"},
      {"Date: now", "Date is said by the server itself"},
      {"Content-Range: bytes 0-1/2", "Content-Range is said by the server itself"},
      {"ETag: \"a\"", "ETag is said by the server itself"},
      {"Cache-Control: no-store", "Cache-Control is said by --cache"},
  };
  for (const BadHeader& bad : kBad) {
    const auto header = parse_own_header(bad.text);
    ASSERT_FALSE(header) << bad.text;
    EXPECT_EQ(header.error().code, ktls::ErrorCode::kInvalidArgument);
    EXPECT_NE(header.error().detail.find(bad.why), std::string::npos) << header.error().detail;
  }
}

}  // namespace
}  // namespace http
