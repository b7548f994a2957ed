// Requests as anybody may send them: the reader of heads, and behind it what `serve` reads of one:
// target, preconditions, range, coding. Three bytes of the input say how the rest arrives.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "tests/fuzz/input.h"
#include "tests/fuzz/require.h"
#include "tools/http/body_skipper.h"
#include "tools/http/conditional.h"
#include "tools/http/date.h"
#include "tools/http/encoding_choice.h"
#include "tools/http/range.h"
#include "tools/http/request.h"
#include "tools/http/target.h"

namespace tls::fuzz {
namespace {

using http::Field;
using Answer = std::variant<http::NeedMore, http::Request, http::Refusal>;

constexpr http::RequestLimits kNarrow{
    .head_size_max = 200, .target_size_max = 50, .fields_max = 6, .empty_lines_max = 2};
constexpr std::uint64_t kBodySizeMax = 200;
constexpr http::Seconds kModified{std::chrono::seconds(784111777)};
constexpr http::Seconds kNow{std::chrono::seconds(1700000000)};

// The answer to `bytes` that arrive in pieces of `piece`, each time in memory of their own, as ASan
// then sees who reads beyond them. `received` holds what the answer's views are of.
Answer read_in_pieces(std::string_view bytes, std::size_t piece, const http::RequestLimits& limits,
                      std::string& received) {
  http::RequestReader reader(limits);
  for (std::size_t size = 0;; size = std::min(size + piece, bytes.size())) {
    received = std::string(bytes.substr(0, size));
    received.shrink_to_fit();
    Answer answer = reader.read(received);
    if (!std::holds_alternative<http::NeedMore>(answer) || size == bytes.size()) return answer;
  }
}

void check_alike(const Answer& a, const Answer& b) {
  require(a.index() == b.index(), "pieces make no difference");
  if (const auto* refusal = std::get_if<http::Refusal>(&a)) {
    const auto& other = std::get<http::Refusal>(b);
    require(refusal->status == other.status, "pieces make no difference to the status");
    require(refusal->status >= 400 && refusal->status <= 505, "a refusal is an error");
  }
  const auto* const request = std::get_if<http::Request>(&a);
  if (request == nullptr) return;
  const auto& other = std::get<http::Request>(b);
  require(request->method_token == other.method_token && request->target == other.target &&
              request->version_minor == other.version_minor &&
              request->keep_alive == other.keep_alive && request->body == other.body &&
              request->content_length == other.content_length &&
              request->expects_continue == other.expects_continue &&
              request->head_size == other.head_size,
          "pieces make no difference to the request");
  for (std::size_t i = 0; i < http::kFieldCount; ++i) {
    const auto name = static_cast<Field>(i);
    require(request->field(name) == other.field(name), "pieces make no difference to a field");
  }
}

void check_request(const http::Request& request, std::string_view bytes) {
  require(request.head_size <= bytes.size(), "no more is consumed than there is");
  const std::string_view head = bytes.substr(0, request.head_size);
  require(head.ends_with("\r\n\r\n"), "a head ends in an empty line");
  require(request.target.data() >= head.data() &&
              request.target.data() + request.target.size() <= head.data() + head.size(),
          "the target is of the head");
  require(!request.target.empty() && !request.method_token.empty(), "a request line has parts");
  require((request.body == http::Body::kSized) == (request.content_length > 0),
          "a body with a size is one that has bytes");
  require(request.version_minor == 0 || request.field(Field::kHost), "HTTP/1.1 has Host");
  require(!(request.field(Field::kContentLength) && request.field(Field::kTransferEncoding)),
          "a request is framed in one way");
}

void check_body(const http::Request& request, std::string_view bytes, std::size_t piece) {
  http::BodySkipper at_once(request, kBodySizeMax);
  http::BodySkipper in_pieces(request, kBodySizeMax);
  const std::size_t consumed = at_once.skip(bytes);
  require(consumed <= std::min<std::size_t>(bytes.size(), kBodySizeMax), "a body is bounded");
  std::size_t skipped = 0;
  for (std::size_t begin = 0; begin < bytes.size(); begin += piece) {
    if (in_pieces.state() != http::BodySkipper::State::kNeedMore) break;
    skipped += in_pieces.skip(bytes.substr(begin, piece));
  }
  require(skipped == consumed && in_pieces.state() == at_once.state(),
          "pieces make no difference to a body");
}

void check_target(std::string_view text) {
  const auto parsed = http::parse_target(text);
  const auto* const target = std::get_if<http::Target>(&parsed);
  if (target == nullptr) return;
  const std::string& path = target->path;
  require(path.starts_with('/') && path.find('\0') == std::string::npos, "a path is absolute");
  const std::string closed = path + "/";
  for (const std::string_view segment : {"/../", "/./"}) {
    require(closed.find(segment) == std::string::npos, "a path has no dot segments", path);
  }
  require(path.find("//") == std::string::npos, "a path has no empty segments", path);
  const auto again = http::parse_target(http::percent_encode_path(path));
  require(std::holds_alternative<http::Target>(again) && std::get<http::Target>(again).path == path,
          "an encoded path is decoded to itself", path);
}

void check_range(std::string_view field, std::uint64_t size) {
  const auto answer = http::parse_range(field, size);
  require(answer.ranges.empty() == (answer.kind != http::RangeAnswer::Kind::kPartial),
          "a part of a file is of ranges");
  require(answer.ranges.size() <= http::kRangesMax, "there are no more ranges than allowed");
  std::uint64_t left = size;
  for (const http::ByteRange& range : answer.ranges) {
    require(range.first <= range.last && range.last < size, "a range is within the file");
    require(range.size() <= left, "ranges are no longer than the file");
    left -= range.size();
  }
}

void check_fields(const http::Request& request, std::uint64_t size) {
  if (const auto range = request.field(Field::kRange)) check_range(*range, size);
  for (const bool has_tag : {false, true}) {
    const auto tag = has_tag ? std::optional(http::EntityTag{false, "a"}) : std::nullopt;
    const auto decision = http::evaluate(request, {true, tag, kModified}, kNow);
    require(!decision.uses_range ||
                (decision.verdict == http::Verdict::kProceed &&
                 request.method == http::Method::kGet && request.field(Field::kRange)),
            "a range counts for GET");
  }
  if (const auto since = request.field(Field::kIfModifiedSince)) {
    if (const auto date = http::parse_date(*since, kNow)) {
      require(http::parse_date(http::text(http::imf_fixdate(*date)), kNow) == *date,
              "a date that was read is written as itself", *since);
    }
  }
  const auto codings = http::codings_in_order(request.field(Field::kAcceptEncoding));
  for (std::size_t i = 0; i < http::kCodingCount; ++i) {
    require(std::count(codings.begin(), codings.end(), static_cast<http::Coding>(i)) == 1,
            "each coding has one place");
  }
}

}  // namespace
}  // namespace tls::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tls::fuzz;
  Input input({data, size});
  const http::RequestLimits limits = input.flag() ? kNarrow : http::RequestLimits{};
  const std::size_t piece = 1 + input.below(0x20);
  const std::size_t file_size = input.byte();
  const auto rest = input.bytes(size);
  const std::string bytes(rest.begin(), rest.end());

  std::string received;
  const Answer in_pieces = read_in_pieces(bytes, piece, limits, received);
  const Answer at_once = http::RequestReader(limits).read(bytes);
  check_alike(at_once, in_pieces);
  if (const auto* request = std::get_if<http::Request>(&at_once)) {
    check_request(*request, bytes);
    check_body(*request, std::string_view(bytes).substr(request->head_size), piece);
    check_target(request->target);
    check_fields(*request, file_size);
  }
  // What stands in the bytes may be a target or a range without a head around it.
  check_target(bytes);
  check_range(bytes, file_size);
  return 0;
}
