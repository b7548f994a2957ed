// A header field that the operator adds to every response.
#pragma once

#include <string>
#include <string_view>

#include "ktls/base/result.h"

namespace http {

struct OwnHeader {
  std::string name;
  std::string value;
};

// "NAME: VALUE". Error: kInvalidArgument if it is no field (RFC 9110 section 5), if CR, LF or
// another control character could begin a field of its own, and if the server says that field
// itself: two of it, or a wrong one, would break the framing or the caching of the response.
[[nodiscard]] ktls::Result<OwnHeader> parse_own_header(std::string_view text);

}  // namespace http
