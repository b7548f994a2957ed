// The body of a response that says why there is no other.
#pragma once

#include <string>
#include <string_view>

namespace http {

struct ErrorPage {
  std::string_view media_type;
  std::string body;
};

// `status` with its reason phrase, and what people can make of it. HTML if the client accepts it
// (then send kPageSecurityPolicy too), else one line of plain text: a program's user reads it in a
// terminal. Nothing of the request is repeated, so that no page can be made to say anything.
[[nodiscard]] ErrorPage error_page(unsigned status, std::string_view reason_phrase,
                                   bool accepts_html);

}  // namespace http
