// Bytes of any kind as text of an HTML page.
#pragma once

#include <string>
#include <string_view>

namespace http {

// `bytes` as HTML text or as the content of a quoted attribute. What is not UTF-8 becomes U+FFFD,
// and so do control characters and the ones that turn the direction of writing, with which a name
// can pretend to end differently from how it does.
[[nodiscard]] std::string html_escaped(std::string_view bytes);

}  // namespace http
