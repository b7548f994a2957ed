// What a site answers where one of its own fields cannot be sent.
#include "tools/http/site.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "tests/unit/tools/http/document_tree.h"
#include "tools/http/request.h"

namespace http {
namespace {

constexpr std::string_view kBare =
    "HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

class SiteTest : public DocumentTree {
 protected:
  // A policy that the command line would refuse.
  void add_unfit_field() { policy_.headers.push_back({.name = "X-Own", .value = "a\r\nB: c"}); }

  Response answer(std::string_view target, std::string_view fields = "") {
    received_ = std::string("GET ").append(target).append(" HTTP/1.1\r\nHost: h\r\n");
    received_.append(fields).append("\r\n");
    RequestReader reader;
    const auto read = reader.read(received_);
    const auto site = Site::open(root(), policy_);
    if (!site || !std::holds_alternative<Request>(read)) {
      ADD_FAILURE() << "no request, or no site: " << received_;
      return {};
    }
    return site->answer(std::get<Request>(read), {.now = now_realtime(), .keep_alive = true},
                        dates_);
  }

  static void expect_bare(const Response& response) {
    EXPECT_EQ(response.status, 500);
    EXPECT_EQ(response.head, kBare);
    EXPECT_FALSE(response.body.file);
    EXPECT_TRUE(response.body.pieces.empty());
    EXPECT_EQ(response.body.after, "");
    EXPECT_EQ(response.ranges, 0U);
    EXPECT_FALSE(response.keep_alive);
  }

  SitePolicy policy_;
  DateCache dates_;

 private:
  std::string received_;
};

TEST_F(SiteTest, SaysHowManyRangesItSends) {
  file("a.txt", "hello");
  for (const auto& [range, count] : {std::pair("bytes=0-1", 1U), std::pair("bytes=0-0,4-4", 2U)}) {
    const Response response = answer("/a.txt", std::string("Range: ") + range + "\r\n");
    EXPECT_EQ(response.status, 206);
    EXPECT_EQ(response.ranges, count);
    EXPECT_EQ(response.body.pieces.size(), count);
  }
  EXPECT_EQ(answer("/a.txt").ranges, 0U);
}

TEST_F(SiteTest, SendsNothingBehindAHeadThatCouldNotBeMade) {
  file("a.txt", "hello");
  directory("docs");
  policy_.listing = true;
  add_unfit_field();
  for (const std::string_view target : {"/a.txt", "/docs/", "/docs", "/gone"}) {
    SCOPED_TRACE(target);
    expect_bare(answer(target));
  }
  expect_bare(answer("/a.txt", "Range: bytes=0-1\r\n"));
  expect_bare(answer("/a.txt", "Range: bytes=0-0,4-4\r\n"));
}

TEST_F(SiteTest, AddsNoErrorPageToAHeadThatCouldNotBeMade) {
  add_unfit_field();
  const ErrorAnswer refused{.status = 400, .keep_alive = true};
  expect_bare(error_response(refused, policy_, now_realtime(), dates_));
}

}  // namespace
}  // namespace http
