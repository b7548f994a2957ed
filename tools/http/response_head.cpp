#include "tools/http/response_head.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "tools/http/field_value.h"

namespace http {
namespace {

struct StatusRow {
  int status;
  std::string_view phrase;
};

// RFC 9110 section 15; 431 is of RFC 6585.
constexpr std::array kStatuses = {
    StatusRow{200, "OK"},
    StatusRow{206, "Partial Content"},
    StatusRow{304, "Not Modified"},
    StatusRow{308, "Permanent Redirect"},
    StatusRow{400, "Bad Request"},
    StatusRow{403, "Forbidden"},
    StatusRow{404, "Not Found"},
    StatusRow{405, "Method Not Allowed"},
    StatusRow{408, "Request Timeout"},
    StatusRow{412, "Precondition Failed"},
    StatusRow{414, "URI Too Long"},
    StatusRow{416, "Range Not Satisfiable"},
    StatusRow{421, "Misdirected Request"},
    StatusRow{431, "Request Header Fields Too Large"},
    StatusRow{500, "Internal Server Error"},
    StatusRow{501, "Not Implemented"},
    StatusRow{503, "Service Unavailable"},
    StatusRow{505, "HTTP Version Not Supported"},
};

}  // namespace

std::string_view reason_phrase(int status) {
  const auto* const row =
      std::find_if(kStatuses.begin(), kStatuses.end(),
                   [&](const StatusRow& each) { return each.status == status; });
  return row == kStatuses.end() ? std::string_view() : row->phrase;
}

ResponseHead::ResponseHead(int status, std::size_t expected_size) {
  head_.reserve(expected_size);
  // The space before an empty phrase belongs to the status line (RFC 9112 section 4).
  head_.append("HTTP/1.1 ").append(std::to_string(status)).append(" ");
  head_.append(reason_phrase(status)).append("\r\n");
}

ResponseHead& ResponseHead::add(std::string_view name, std::string_view value) {
  if (!is_token(name) || !is_field_text(value)) {
    if (refused_.empty()) refused_ = "malformed response field '" + std::string(name) + "'";
    return *this;
  }
  head_.append(name).append(": ").append(value).append("\r\n");
  return *this;
}

ResponseHead& ResponseHead::add(std::string_view name, std::uint64_t number) {
  std::array<char, 20> digits{};  // of 2^64 - 1
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  static_cast<void>(error);
  return add(name, std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data())));
}

ktls::Result<std::string> ResponseHead::finish() && {
  if (!refused_.empty()) {
    return ktls::fail(ktls::Error::of(ktls::ErrorCode::kInvalidArgument, refused_));
  }
  head_.append("\r\n");
  return std::move(head_);
}

}  // namespace http
