#include "tools/http/body_skipper.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

namespace http {
namespace {

using State = BodySkipper::State;

Request request_with(Body body, std::uint64_t content_length = 0) {
  Request request;
  request.body = body;
  request.content_length = content_length;
  return request;
}

// State and consumed bytes, the same in one piece and byte by byte.
std::pair<State, std::size_t> skip(const Request& request, std::string_view bytes,
                                   std::uint64_t size_max = 1000) {
  BodySkipper at_once(request, size_max);
  const std::size_t consumed = at_once.skip(bytes);
  BodySkipper slowly(request, size_max);
  std::size_t taken = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) taken += slowly.skip(bytes.substr(taken, 1));
  EXPECT_EQ(slowly.state(), at_once.state()) << bytes;
  EXPECT_EQ(taken, consumed) << bytes;
  return {at_once.state(), consumed};
}

State chunks(std::string_view bytes) {
  return skip(request_with(Body::kChunked), bytes).first;
}

TEST(BodySkipper, HasNothingToSkipWithoutABody) {
  EXPECT_EQ(skip(request_with(Body::kNone), "GET"), std::pair(State::kDone, std::size_t{0}));
}

TEST(BodySkipper, SkipsASizedBodyAndNoMore) {
  const Request request = request_with(Body::kSized, 5);
  EXPECT_EQ(skip(request, "helloGET"), std::pair(State::kDone, std::size_t{5}));
  EXPECT_EQ(skip(request, "hell"), std::pair(State::kNeedMore, std::size_t{4}));
}

TEST(BodySkipper, RefusesASizedBodyBeyondItsBoundAtOnce) {
  EXPECT_EQ(skip(request_with(Body::kSized, 1001), ""), std::pair(State::kTooLong, std::size_t{0}));
  EXPECT_EQ(skip(request_with(Body::kSized, std::numeric_limits<std::uint64_t>::max()), "x").first,
            State::kTooLong);
  EXPECT_EQ(skip(request_with(Body::kSized, 1000), std::string(1000, 'x')).first, State::kDone);
}

TEST(BodySkipper, SkipsChunksExtensionsAndTrailers) {
  const Request request = request_with(Body::kChunked);
  for (const std::string_view bytes :
       {"0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", "A\r\n0123\r\n6789\r\n1\r\nx\r\n000\r\n\r\n",
        "5;a=b;c=\"d\"\r\nhello\r\n0;x\r\n\r\n", "0\r\nX: y\r\nZ: \r\n\r\n",
        "0000000000000001\r\nx\r\n0\r\n\r\n", "1 ;a\r\nx\r\n0\r\n\r\n"}) {
    std::string with_next(bytes);
    EXPECT_EQ(skip(request, with_next.append("GET")), std::pair(State::kDone, bytes.size()))
        << bytes;
    EXPECT_EQ(chunks(bytes.substr(0, bytes.size() - 1)), State::kNeedMore) << bytes;
  }
}

TEST(BodySkipper, RefusesWhatIsNoChunks) {
  for (const std::string_view bytes : {"\r\n",
                                       "x\r\n",
                                       "-1\r\n",
                                       "0x1\r\n",
                                       " 1\r\n",
                                       ";a\r\n",
                                       "1\nx\r\n",
                                       "1\r\nxy\r\n",
                                       "1\r\nx\n",
                                       "1\r\nx\r0",
                                       "1\rx",
                                       "0\r\n\n",
                                       "0\n",
                                       "0\r\n\rx",
                                       "0\r\nX: y\n",
                                       "1;\n",
                                       "1;\x01\r\n",
                                       "00000000000000001\r\n",
                                       "FFFFFFFFFFFFFFFFF\r\n",
                                       "1\r\nx\r\n\r\n"}) {
    EXPECT_EQ(chunks(bytes), State::kMalformed) << bytes;
  }
}

TEST(BodySkipper, BoundsChunksWithWhatFramesThem) {
  const Request request = request_with(Body::kChunked);
  const std::string_view bytes = "5\r\nhello\r\n0\r\n\r\n";
  EXPECT_EQ(skip(request, bytes, bytes.size()).first, State::kDone);
  EXPECT_EQ(skip(request, bytes, bytes.size() - 1).first, State::kTooLong);
  EXPECT_EQ(skip(request, bytes, 5).first, State::kTooLong);
  EXPECT_EQ(skip(request, "FFFFFFFFFFFFFFFF\r\n" + std::string(2000, 'x')).first, State::kTooLong);
  EXPECT_EQ(skip(request, "1;" + std::string(2000, 'x')).first, State::kTooLong);
  EXPECT_EQ(skip(request, "0\r\n" + std::string(2000, 'x')).first, State::kTooLong);
}

}  // namespace
}  // namespace http
