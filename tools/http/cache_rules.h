// CacheRules: which Cache-Control value goes with which path, as the operator says.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ktls/base/result.h"

namespace http {

// A pattern for paths. `*` matches any bytes but '/', `**` any bytes, `?` one byte but '/'; all
// else matches itself, and the whole path has to match. So "/assets/**" is all below /assets/, at
// any depth, and "/*/x" is an x just one directory deep. A pattern without '/' is matched against
// the last segment alone: "*.css" is every style sheet.
class PathPattern {
 public:
  // Error: kInvalidArgument if it is empty, too long, or has a '/' and does not begin with it.
  [[nodiscard]] static ktls::Result<PathPattern> parse(std::string_view text);

  // `path` is decoded and begins with '/'. Takes time in proportion to both lengths, whatever they
  // hold.
  [[nodiscard]] bool matches(std::string_view path) const;

 private:
  enum class Kind : std::uint8_t { kByte, kOne, kSegment, kAny };
  struct Token {
    Kind kind;
    char byte;
  };
  explicit PathPattern(std::string_view text);
  [[nodiscard]] bool matches_whole(std::string_view text) const;

  bool last_segment_only_;
  std::vector<Token> tokens_;
};

class CacheRules {
 public:
  // "PATTERN=VALUE", as in "*.css=max-age=86400" or "/assets/**=public, max-age=31536000,
  // immutable": the first '=' divides. Error: kInvalidArgument for a pattern that is none, and for
  // a value that is not made of the registered response directives: a misspelt one would be
  // ignored by every cache in silence.
  [[nodiscard]] ktls::Result<void> add(std::string_view rule);

  // The value of the first rule that matches, "" if none does. Valid as long as this object.
  [[nodiscard]] std::string_view value_for(std::string_view path) const;

 private:
  std::vector<std::pair<PathPattern, std::string>> rules_;
};

}  // namespace http
