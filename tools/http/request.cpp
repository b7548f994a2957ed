// The reader of requests. Boost.Beast's parser splits the head into its parts; what it lets through
// and RFC 9112 has a server refuse is refused here.

#include "tools/http/request.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include <boost/beast/http/basic_parser.hpp>

#include "tools/http/authority.h"
#include "tools/http/field_value.h"

namespace http {
namespace {

namespace beast = boost::beast;
using BeastField = beast::http::field;

constexpr std::string_view kLineEnd = "\r\n";

std::string_view standard_view(beast::string_view view) {
  return {view.data(), view.size()};
}

std::optional<Field> kept_field(BeastField field) {
  switch (field) {
    case BeastField::accept:
      return Field::kAccept;
    case BeastField::accept_encoding:
      return Field::kAcceptEncoding;
    case BeastField::connection:
      return Field::kConnection;
    case BeastField::content_length:
      return Field::kContentLength;
    case BeastField::expect:
      return Field::kExpect;
    case BeastField::host:
      return Field::kHost;
    case BeastField::if_match:
      return Field::kIfMatch;
    case BeastField::if_modified_since:
      return Field::kIfModifiedSince;
    case BeastField::if_none_match:
      return Field::kIfNoneMatch;
    case BeastField::if_range:
      return Field::kIfRange;
    case BeastField::if_unmodified_since:
      return Field::kIfUnmodifiedSince;
    case BeastField::range:
      return Field::kRange;
    case BeastField::referer:
      return Field::kReferer;
    case BeastField::transfer_encoding:
      return Field::kTransferEncoding;
    case BeastField::user_agent:
      return Field::kUserAgent;
    default:
      return std::nullopt;
  }
}

// Fields that decide where a request ends or whom it is for: a second line is an attack.
bool is_sent_once(Field field) {
  return field == Field::kHost || field == Field::kContentLength ||
         field == Field::kTransferEncoding;
}

// Visible US-ASCII without '#'. Of these RFC 3986 forbids a few more in a URI (quotes, brackets,
// braces), which browsers send in queries all the same and which mislead nobody.
bool is_target(std::string_view target) {
  return std::all_of(target.begin(), target.end(),
                     [](char c) { return c > ' ' && c < 0x7f && c != '#'; });
}

// Fills a Request with the parts of one head that is complete. The first thing wrong stops it.
class HeadParser final : public beast::http::basic_parser<true> {
 public:
  HeadParser(const RequestLimits& limits, Request& request) : limits_(limits), request_(request) {
    header_limit(std::numeric_limits<std::uint32_t>::max());
    // Not none: in Boost 1.74 every length is over that limit.
    body_limit(std::numeric_limits<std::uint64_t>::max());
  }

  std::optional<Refusal> parse(std::string_view head) {
    beast::error_code error;
    static_cast<void>(put({head.data(), head.size()}, error));
    if (refusal_) return refusal_;
    if (error == beast::http::error::bad_version) return refuse_version(head);
    if (error) return Refusal{400, "malformed head"};
    return std::nullopt;
  }

 private:
  static Refusal refuse_version(std::string_view head) {
    const std::string_view line = head.substr(0, head.find(kLineEnd));
    const std::string_view version = line.substr(line.rfind(' ') + 1);
    const bool is_version = std::count(line.begin(), line.end(), ' ') == 2 && version.size() == 8 &&
                            version.starts_with("HTTP/") && version[5] >= '0' &&
                            version[5] <= '9' && version[6] == '.' && version[7] >= '0' &&
                            version[7] <= '9';
    if (is_version) return {505, "version is not HTTP/1.0 or HTTP/1.1"};
    return {400, "malformed request line"};
  }

  void refuse(int status, const char* reason, beast::error_code& error) {
    refusal_ = Refusal{status, reason};
    error = beast::http::error::bad_field;  // any error stops the parser
  }

  void on_request_impl(beast::http::verb verb, beast::string_view method, beast::string_view target,
                       int version, beast::error_code& error) override {
    if (target.size() > limits_.target_size_max) return refuse(414, "target too long", error);
    if (!is_target(standard_view(target))) return refuse(400, "malformed target", error);
    if (verb == beast::http::verb::get) request_.method = Method::kGet;
    if (verb == beast::http::verb::head) request_.method = Method::kHead;
    request_.method_token = standard_view(method);
    request_.target = standard_view(target);
    request_.version_minor = version - 10;
  }

  void on_field_impl(BeastField name, beast::string_view /*token*/, beast::string_view value,
                     beast::error_code& error) override {
    if (++fields_ > limits_.fields_max) return refuse(431, "too many fields", error);
    const auto field = kept_field(name);
    if (!field) return;
    if (is_sent_once(*field) && request_.field(*field)) {
      return refuse(400, "a field is repeated that decides on framing or host", error);
    }
    // An empty view of Beast may be a null one, which would read as an absent field.
    request_.add_field(*field, value.empty() ? std::string_view("") : standard_view(value));
  }

  void on_response_impl(int, beast::string_view, int, beast::error_code&) override {}
  void on_header_impl(beast::error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, beast::error_code&) override {}
  std::size_t on_body_impl(beast::string_view, beast::error_code&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, beast::string_view, beast::error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view, beast::error_code&) override {
    return 0;
  }
  void on_finish_impl(beast::error_code&) override {}

  const RequestLimits& limits_;
  Request& request_;
  std::size_t fields_ = 0;
  std::optional<Refusal> refusal_;
};

std::optional<Refusal> check_host(const Request& request) {
  const auto host = request.field(Field::kHost);
  if (!host && request.version_minor >= 1) return Refusal{400, "HTTP/1.1 without Host"};
  if (host && !is_valid_authority(*host)) return Refusal{400, "malformed Host"};
  return std::nullopt;
}

// RFC 9112 section 6.3. Beast reads both fields, too, but takes a request whose codings do not end
// in chunked for one without a body.
std::optional<Refusal> frame_body(Request& request) {
  const auto coding = request.field(Field::kTransferEncoding);
  const auto length = request.field(Field::kContentLength);
  if (coding && length) return Refusal{400, "Transfer-Encoding and Content-Length"};
  if (coding) {
    // "A server or client that receives an HTTP/1.0 message containing a Transfer-Encoding header
    // field MUST treat the message as if the framing is faulty" (section 6.1).
    if (request.version_minor == 0) return Refusal{400, "Transfer-Encoding in HTTP/1.0"};
    if (!equals_ignoring_case(*coding, "chunked")) {
      ListReader codings(*coding);
      std::string_view last;
      int chunked = 0;
      while (const auto next = codings.next()) {
        last = *next;
        if (equals_ignoring_case(last, "chunked")) ++chunked;
      }
      if (chunked != 1 || !equals_ignoring_case(last, "chunked")) {
        return Refusal{400, "Transfer-Encoding does not end in one chunked"};
      }
      return Refusal{501, "unknown transfer coding"};
    }
    request.body = Body::kChunked;
  } else if (length) {
    const char* const end = length->data() + length->size();
    const auto [stop, error] = std::from_chars(length->data(), end, request.content_length);
    if (error != std::errc() || stop != end) return Refusal{400, "malformed Content-Length"};
    if (request.content_length > 0) request.body = Body::kSized;
  }
  return std::nullopt;
}

void read_connection(Request& request) {
  const std::string_view options = request.field(Field::kConnection).value_or("");
  request.keep_alive = !lists_token(options, "close") &&
                       (request.version_minor >= 1 || lists_token(options, "keep-alive"));
  // "A server that receives a 100-continue expectation in an HTTP/1.0 request MUST ignore that
  // expectation" (RFC 9110 section 10.1.1); without a body there is nothing to wait for.
  request.expects_continue =
      request.version_minor >= 1 && request.body != Body::kNone &&
      lists_token(request.field(Field::kExpect).value_or(""), "100-continue");
}

std::variant<NeedMore, Request, Refusal> parse_head(std::string_view head,
                                                    const RequestLimits& limits) {
  Request request;
  if (const auto refusal = HeadParser(limits, request).parse(head)) return *refusal;
  if (const auto refusal = check_host(request)) return *refusal;
  if (const auto refusal = frame_body(request)) return *refusal;
  read_connection(request);
  return request;
}

// The head did not end within its limit.
Refusal refuse_size(std::string_view head) {
  if (head.find(kLineEnd) != std::string_view::npos) return {431, "head too large"};
  const std::string_view method = head.substr(0, head.find(' '));
  if (!is_token(method)) return {400, "malformed request line"};
  // "A server that receives a method longer than any that it implements SHOULD respond with a 501"
  // (RFC 9112 section 3).
  if (method.size() == head.size()) return {501, "method too long"};
  return {414, "target too long"};
}

}  // namespace

bool begins_as_head(std::string_view received) {
  received.remove_prefix(std::min(received.find_first_not_of(kLineEnd), received.size()));
  return received.starts_with("HEAD ");
}

void Request::add_field(Field name, std::string_view value) {
  std::string_view& kept = fields_[static_cast<std::size_t>(name)];
  if (kept.data() == nullptr) {
    kept = value;
    return;
  }
  std::string& joined = joined_.emplace_back();
  joined.reserve(kept.size() + 2 + value.size());
  joined.append(kept).append(", ").append(value);
  kept = joined;
}

std::variant<NeedMore, std::size_t, Refusal> RequestReader::find_start(std::string_view received) {
  while (!is_started_) {
    const std::string_view rest = received.substr(start_);
    if (rest.empty() || rest == "\r") return NeedMore{};
    if (!rest.starts_with(kLineEnd)) {
      is_started_ = true;
    } else if (start_ == limits_.empty_lines_max * kLineEnd.size()) {
      return Refusal{400, "too many empty lines"};
    } else {
      start_ += kLineEnd.size();
    }
  }
  scanned_ = std::max(scanned_, start_);
  searched_ = std::max(searched_, scanned_);
  return start_;
}

std::variant<NeedMore, std::size_t, Refusal> RequestReader::find_end(std::string_view received) {
  const std::string_view within = received.substr(0, limits_.head_size_max);
  for (;;) {
    const std::size_t feed = within.find('\n', searched_);
    if (feed == std::string_view::npos) break;
    if (feed == 0 || within[feed - 1] != '\r') return Refusal{400, "a line ends in a bare LF"};
    const bool is_empty_line = feed == scanned_ + 1;
    const bool is_folded = within[scanned_] == ' ' || within[scanned_] == '\t';
    if (is_folded) return Refusal{400, "a line begins with white space"};
    scanned_ = searched_ = feed + 1;
    if (is_empty_line) return scanned_;
  }
  searched_ = within.size();
  if (within.size() == limits_.head_size_max) return refuse_size(within.substr(start_));
  return NeedMore{};
}

std::variant<NeedMore, Request, Refusal> RequestReader::read(std::string_view received) {
  const auto start = find_start(received);
  if (std::holds_alternative<NeedMore>(start)) return NeedMore{};
  if (const auto* refusal = std::get_if<Refusal>(&start)) return *refusal;
  const auto end = find_end(received);
  if (std::holds_alternative<NeedMore>(end)) return NeedMore{};
  if (const auto* refusal = std::get_if<Refusal>(&end)) return *refusal;

  const std::size_t first = std::get<std::size_t>(start);
  const std::size_t head_size = std::get<std::size_t>(end);
  auto answer = parse_head(received.substr(first, head_size - first), limits_);
  if (auto* request = std::get_if<Request>(&answer)) request->head_size = head_size;
  *this = RequestReader(limits_);
  return answer;
}

}  // namespace http
