// MediaTypes: the media type of a file by the last extension of its name.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "ktls/base/result.h"

namespace http {

class MediaTypes {
 public:
  // Reads `file`, in the format of /etc/mime.types; where that is not possible, a small table of
  // what web sites are made of serves instead, and fallback_reason() says why.
  [[nodiscard]] static MediaTypes load(const std::string& file = "/etc/mime.types");

  // "EXT=TYPE", such as "md=text/markdown" or "log=text/plain; charset=iso-8859-1": wins over the
  // file. Error: kInvalidArgument with what was expected.
  [[nodiscard]] ktls::Result<void> add(std::string_view rule);

  // A Content-Type value, valid as long as this object: application/octet-stream if nothing is
  // known. What is text has charset=utf-8, unless its rule has a parameter of its own.
  [[nodiscard]] std::string_view type_of(std::string_view path) const;

  [[nodiscard]] const std::optional<ktls::Error>& fallback_reason() const { return reason_; }

 private:
  // So that a lookup by std::string_view makes no string.
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };

  std::unordered_map<std::string, std::string, Hash, std::equal_to<>> types_;  // by extension
  std::optional<ktls::Error> reason_;
};

}  // namespace http
