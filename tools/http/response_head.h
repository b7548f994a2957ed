// ResponseHead: status line and fields of an HTTP/1.1 response, composed into one string (RFC 9112
// section 4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "ktls/base/result.h"
#include "tools/http/date.h"

namespace http {

// "Not Found" for 404; empty for a status that this server does not use.
[[nodiscard]] std::string_view reason_phrase(int status);

// The text of the Date field, made anew when the second changes. One for each thread.
class DateCache {
 public:
  [[nodiscard]] std::string_view at(Seconds now) {
    if (now != second_) {
      second_ = now;
      date_ = imf_fixdate(now);
    }
    return text(date_);
  }

 private:
  Seconds second_{};
  ImfFixdate date_ = imf_fixdate(second_);
};

// Fields stand in the order in which they are added. The version is HTTP/1.1 whatever the request's
// was: the highest that the server conforms to (RFC 9110 section 6.2).
class ResponseHead {
 public:
  // Room for a file's usual fields; more is allocated when they need it.
  static constexpr std::size_t kUsualSize = 512;

  explicit ResponseHead(int status, std::size_t expected_size = kUsualSize);

  // A name that is no token or a value with control characters, CR and LF above all, makes
  // finish() fail: whoever could put a line end into a field would write the response.
  ResponseHead& add(std::string_view name, std::string_view value);
  ResponseHead& add(std::string_view name, std::uint64_t number);

  // The head with the empty line at its end. Error: kInvalidArgument naming the first field that
  // was refused.
  [[nodiscard]] ktls::Result<std::string> finish() &&;

 private:
  std::string head_;
  std::string refused_;
};

}  // namespace http
