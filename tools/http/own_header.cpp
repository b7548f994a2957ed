// Validation of --header.

#include "tools/http/own_header.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "tools/http/field_value.h"

namespace http {
namespace {

using ktls::Error;
using ktls::ErrorCode;

struct OwnedField {
  std::string_view name;
  std::string_view advice;
};

constexpr std::string_view kServersOwn = "is said by the server itself";

constexpr OwnedField kOwnedFields[] = {
    {"Accept-Ranges", kServersOwn},
    {"Age", "is for caches"},
    {"Allow", kServersOwn},
    {"Cache-Control", "is said by --cache"},
    {"Connection", kServersOwn},
    {"Content-Encoding", kServersOwn},
    {"Content-Length", kServersOwn},
    {"Content-Range", kServersOwn},
    {"Content-Type", "is said by the media type of the file"},
    {"Date", kServersOwn},
    {"ETag", kServersOwn},
    {"Keep-Alive", kServersOwn},
    {"Last-Modified", kServersOwn},
    {"Location", kServersOwn},
    {"Proxy-Connection", kServersOwn},
    {"Retry-After", kServersOwn},
    {"TE", "is for requests"},
    {"Trailer", kServersOwn},
    {"Transfer-Encoding", kServersOwn},
    {"Upgrade", kServersOwn},
    {"Vary", kServersOwn},
};

tl::unexpected<Error> invalid(std::string_view text, std::string_view why) {
  return ktls::fail(
      Error::of(ErrorCode::kInvalidArgument,
                fmt::format("'{}' is no header: {}; expected NAME: VALUE", text, why)));
}

}  // namespace

ktls::Result<OwnHeader> parse_own_header(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return invalid(text, "there is no ':'");
  const std::string_view name = text.substr(0, colon);
  if (!is_token(name)) return invalid(text, "the name is not a token");
  const std::string_view value = trimmed(text.substr(colon + 1));
  if (!is_field_text(value)) return invalid(text, "the value has a control character");
  const auto* const owned =
      std::find_if(std::begin(kOwnedFields), std::end(kOwnedFields),
                   [&](const auto& each) { return equals_ignoring_case(each.name, name); });
  if (owned != std::end(kOwnedFields)) {
    return invalid(text, fmt::format("{} {}", owned->name, owned->advice));
  }
  return OwnHeader{std::string(name), std::string(value)};
}

}  // namespace http
