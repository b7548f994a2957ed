// Request: the head of an HTTP/1.1 request, and the reader that makes it of received bytes (RFC
// 9112 sections 2 to 6, RFC 9110 sections 5 and 7).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "tools/http/refusal.h"

namespace http {

// What a file server distinguishes. Whether others are refused (405) or unknown (501) is for the
// server to say.
enum class Method : std::uint8_t { kGet, kHead, kOther };

// The fields that are kept. Others are checked and dropped.
enum class Field : std::uint8_t {
  kAccept,
  kAcceptEncoding,
  kConnection,
  kContentLength,
  kExpect,
  kHost,
  kIfMatch,
  kIfModifiedSince,
  kIfNoneMatch,
  kIfRange,
  kIfUnmodifiedSince,
  kRange,
  kReferer,
  kTransferEncoding,
  kUserAgent,
};
inline constexpr std::size_t kFieldCount = 15;

enum class Body : std::uint8_t {
  kNone,
  kSized,    // content_length bytes follow the head, more than none
  kChunked,  // chunks follow the head
};

// The views of a Request are of the bytes that it was read from, which the caller keeps as they
// are for as long as it uses the Request.
class Request {
 public:
  Method method = Method::kOther;
  std::string_view method_token;  // "GET"
  std::string_view target;        // as received: for parse_target()
  int version_minor = 1;          // 0 or 1 of HTTP/1.x
  bool keep_alive = false;        // the client takes another response on this connection
  bool expects_continue = false;  // it waits for a 100 before it sends its body
  Body body = Body::kNone;
  std::uint64_t content_length = 0;  // kSized
  std::size_t head_size = 0;         // bytes that were consumed; the body begins behind them

  Request() = default;
  Request(Request&&) = default;
  Request& operator=(Request&&) = default;

  // The field's value, trimmed; of several lines the values joined by ", " (RFC 9110 section 5.3);
  // none where there is no such line. A line without a value counts: Accept-Encoding has a meaning
  // for it.
  [[nodiscard]] std::optional<std::string_view> field(Field name) const {
    const std::string_view value = fields_[static_cast<std::size_t>(name)];
    if (value.data() == nullptr) return std::nullopt;
    return value;
  }
  [[nodiscard]] std::string_view host() const { return field(Field::kHost).value_or(""); }

  // A further line of the head. `value` may be empty, but not a null view.
  void add_field(Field name, std::string_view value);

 private:
  std::array<std::string_view, kFieldCount> fields_{};
  std::list<std::string> joined_;  // what fields_ views where lines were joined; moves in place
};

struct RequestLimits {
  std::size_t head_size_max = 16384;   // 16 KiB, with the empty lines before it: else 431 or 414
  std::size_t target_size_max = 8000;  // what section 3 of RFC 9112 recommends: else 414
  std::size_t fields_max = 100;        // lines of a head: else 431
  std::size_t empty_lines_max = 4;     // before a request line (section 2.2): else 400
};

struct NeedMore {};

// Whether what was refused began as a HEAD request, to which "the server MUST NOT send content"
// (RFC 9110 section 9.3.2). `received` as for RequestReader::read().
[[nodiscard]] bool begins_as_head(std::string_view received);

// Reads one request after the other. How the bytes arrive makes no difference: the answer is the
// same whether they came at once or one by one, and each is looked at once.
//
// It is stricter than it has to be where leniency has been used to smuggle requests past
// intermediaries: lines end in CR LF and nothing else, field lines are not folded, Content-Length
// is one number, and no request has both a Content-Length and a Transfer-Encoding. After a Refusal
// the connection is to be closed, since it is not known where the next request begins.
class RequestReader {
 public:
  explicit RequestReader(const RequestLimits& limits = {}) : limits_(limits) {}

  // `received` is everything from where the request begins. After NeedMore the next call brings
  // the same bytes and more behind them, wherever they lie then; after a Request it begins behind
  // the request's head and body.
  [[nodiscard]] std::variant<NeedMore, Request, Refusal> read(std::string_view received);

 private:
  // Both continue at scanned_, and answer where the head begins and ends.
  std::variant<NeedMore, std::size_t, Refusal> find_start(std::string_view received);
  std::variant<NeedMore, std::size_t, Refusal> find_end(std::string_view received);

  RequestLimits limits_;
  bool is_started_ = false;   // the empty lines are behind us
  std::size_t start_ = 0;     // of the request line
  std::size_t scanned_ = 0;   // whole lines up to here are known to end in CR LF
  std::size_t searched_ = 0;  // no LF between scanned_ and here
};

}  // namespace http
