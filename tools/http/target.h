// Target: the file that a request line asks for: decoded, without dot segments, below the root
// (RFC 9112 section 3.2, RFC 3986 section 5.2.4).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "tools/http/refusal.h"

namespace http {

struct Target {
  // "/", "/a/b" or "/a/": decoded once, no segment is "." or ".." or empty, no NUL. Segments that
  // the client left empty are dropped, so that the path never begins with "//", which as a
  // Location would name another host.
  std::string path;
  std::optional<std::string_view> query;      // behind '?', as received
  std::optional<std::string_view> authority;  // of the absolute form: it stands for the Host field

  // For a file system: relative to the root, empty for the root itself.
  [[nodiscard]] std::string_view relative_path() const { return std::string_view(path).substr(1); }
  // Whether it names a directory.
  [[nodiscard]] bool has_trailing_slash() const { return path.back() == '/'; }
};

// The views of the Target are of `target`. Refused with 400: forms that are for other methods
// (asterisk, authority), schemes other than http and https, malformed escapes, an encoded NUL or
// '/', and ".." segments that climb above the root.
[[nodiscard]] std::variant<Target, Refusal> parse_target(std::string_view target);

// The authority of a target in the absolute form, before the rest is looked at; none of any other.
[[nodiscard]] std::optional<std::string_view> absolute_authority(std::string_view target);

// The path with everything percent-encoded that is not unreserved in RFC 3986 or '/': good for a
// Location field and, as it holds no quotes, ampersands or angle brackets, for HTML.
[[nodiscard]] std::string percent_encode_path(std::string_view path);

}  // namespace http
