// Bytes of any kind as text of an HTML page, and as a reference in a link.
#pragma once

#include <string>
#include <string_view>

namespace http {

// `bytes` as HTML text or as the content of a quoted attribute. What is not UTF-8 becomes U+FFFD,
// and so do control characters and the ones that turn the direction of writing, with which a name
// can pretend to end differently from how it does.
[[nodiscard]] std::string html_escaped(std::string_view bytes);

// `segment` of a path, percent-encoded but for unreserved characters (RFC 3986 section 2.3); so
// nothing in it is taken for a scheme, a query, a fragment or another segment.
[[nodiscard]] std::string percent_encoded(std::string_view segment);

}  // namespace http
