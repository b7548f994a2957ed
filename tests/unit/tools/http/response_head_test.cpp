#include "tools/http/response_head.h"

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

namespace http {
namespace {

TEST(ResponseHead, IsAStatusLineFieldsAndAnEmptyLine) {
  ResponseHead head(200);
  head.add("Content-Type", "text/html").add("Content-Length", std::uint64_t{1234});
  const auto text = std::move(head).finish();
  ASSERT_TRUE(text);
  EXPECT_EQ(*text, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1234\r\n\r\n");
}

TEST(ResponseHead, KeepsTheSpaceBeforeAMissingPhrase) {
  EXPECT_EQ(*ResponseHead(299).finish(), "HTTP/1.1 299 \r\n\r\n");
}

TEST(ResponseHead, WritesNumbersOfAllSizes) {
  const auto text = std::move(ResponseHead(200)
                                  .add("A", std::uint64_t{0})
                                  .add("B", std::numeric_limits<std::uint64_t>::max()))
                        .finish();
  ASSERT_TRUE(text);
  EXPECT_EQ(*text, "HTTP/1.1 200 OK\r\nA: 0\r\nB: 18446744073709551615\r\n\r\n");
}

TEST(ResponseHead, RefusesWhateverWouldEndALine) {
  for (const std::string_view value :
       {std::string_view("a\r\nSet-Cookie: x"), std::string_view("a\n"), std::string_view("\r"),
        std::string_view("a\0b", 3), std::string_view("\x7f")}) {
    ResponseHead head(200);
    head.add("Location", value).add("Other", "good");
    const auto text = std::move(head).finish();
    ASSERT_FALSE(text);
    EXPECT_EQ(text.error().code, ktls::ErrorCode::kInvalidArgument);
    EXPECT_EQ(text.error().detail, "malformed response field 'Location'");
  }
}

TEST(ResponseHead, RefusesNamesThatAreNoTokens) {
  for (const std::string_view name : {"", "A B", "A:", "A\r\nB"}) {
    EXPECT_FALSE(std::move(ResponseHead(200).add(name, "x")).finish()) << name;
  }
}

TEST(ResponseHead, IsAllocatedOnceForTheUsualFields) {
  ResponseHead head(206);
  for (const std::string_view name : {"Date", "Server", "Last-Modified", "ETag", "Content-Range",
                                      "Content-Length", "Accept-Ranges", "Cache-Control"}) {
    head.add(name, "Sun, 06 Nov 1994 08:49:37 GMT");
  }
  const auto text = std::move(head).finish();
  ASSERT_TRUE(text);
  EXPECT_EQ(text->capacity(), ResponseHead::kUsualSize);
}

TEST(ReasonPhrase, IsKnownForEachStatusOfTheRoom) {
  for (const int status :
       {200, 206, 304, 308, 400, 403, 404, 405, 408, 412, 414, 416, 421, 431, 500, 501, 503, 505}) {
    EXPECT_FALSE(reason_phrase(status).empty()) << status;
  }
  EXPECT_EQ(reason_phrase(404), "Not Found");
  EXPECT_EQ(reason_phrase(299), "");
}

TEST(DateCache, FollowsTheCallersClock) {
  DateCache cache;
  const Seconds now{std::chrono::seconds(784111777)};
  EXPECT_EQ(cache.at(Seconds{}), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(cache.at(now), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(cache.at(now), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(cache.at(now + std::chrono::seconds(1)), "Sun, 06 Nov 1994 08:49:38 GMT");
  EXPECT_EQ(cache.at(now), "Sun, 06 Nov 1994 08:49:37 GMT");
}

}  // namespace
}  // namespace http
