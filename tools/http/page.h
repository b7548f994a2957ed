// The look that the pages of the server's own share: one style sheet, inside the page.
#pragma once

#include <string>
#include <string_view>

namespace http {

// For the Content-Security-Policy field of a response whose body is such a page: it runs nothing
// and loads nothing, and of styles the one that is named by its hash.
extern const std::string_view kPageSecurityPolicy;
inline constexpr std::string_view kPageMediaType = "text/html; charset=utf-8";

// Exposed for the test that its hash is the one of the policy.
extern const std::string_view kPageStyle;

// A whole document. `title` is text, `body` is HTML.
[[nodiscard]] std::string page(std::string_view title, std::string_view body);

}  // namespace http
