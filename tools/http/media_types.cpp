// Media types: the system's table, or the built-in one.

#include "tools/http/media_types.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>

#include <fmt/format.h>

#include "tools/http/field_value.h"

namespace http {
namespace {

using ktls::Error;
using ktls::ErrorCode;

constexpr std::string_view kUnknown = "application/octet-stream";
constexpr std::string_view kSpace = " \t\r";

// /etc/mime.types has some 2,300 lines; what is longer is some other file.
constexpr std::size_t kLinesMax = 100'000;

// In the same format, so that there is one reader.
constexpr std::string_view kBuiltIn[] = {
    "text/html html htm",
    "text/css css",
    "text/javascript js mjs",
    "application/json json map",
    "application/xml xml",
    "application/manifest+json webmanifest",
    "application/wasm wasm",
    "application/pdf pdf",
    "application/gzip gz",
    "application/zip zip",
    "application/zstd zst",
    "application/x-tar tar",
    "text/plain txt text log",
    "text/markdown md",
    "text/csv csv",
    "image/svg+xml svg",
    "image/png png",
    "image/jpeg jpg jpeg",
    "image/gif gif",
    "image/webp webp",
    "image/avif avif",
    "image/vnd.microsoft.icon ico",
    "font/woff woff",
    "font/woff2 woff2",
    "font/ttf ttf",
    "font/otf otf",
    "audio/mpeg mp3",
    "audio/ogg ogg",
    "audio/flac flac",
    "video/mp4 mp4",
    "video/webm webm",
    "application/atom+xml atom",
    "application/rss+xml rss",
};

std::string lower_case_of(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), lower_case);
  return lower;
}

// Text in the sense that a browser has to know its encoding, and guesses if nobody says.
bool is_text(std::string_view type) {
  return type.starts_with("text/") || type == "application/javascript" ||
         type == "application/json" || type == "application/xml" || type.ends_with("+json") ||
         type.ends_with("+xml");
}

std::string with_charset(std::string_view type) {
  return std::string(type) + (is_text(type) ? "; charset=utf-8" : "");
}

// type "/" subtype, and then perhaps parameters that are the operator's business.
bool is_media_type(std::string_view text) {
  const std::string_view essence = trimmed(text.substr(0, text.find(';')));
  const std::size_t slash = essence.find('/');
  return slash != std::string_view::npos && is_token(essence.substr(0, slash)) &&
         is_token(essence.substr(slash + 1)) && is_field_text(text);
}

std::string_view next_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(kSpace), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(kSpace));
  line.remove_prefix(word.size());
  return word;
}

// "TYPE EXT EXT...  # remark". Of two lines for one extension the first wins: the registered types
// come before the private ones.
template <typename Types>
void add_line(Types& types, std::string_view line) {
  line = line.substr(0, line.find('#'));
  const std::string_view type = next_word(line);
  if (!is_media_type(type)) return;
  for (std::string_view word = next_word(line); !word.empty(); word = next_word(line)) {
    types.try_emplace(lower_case_of(word), with_charset(type));
  }
}

// Without the dot; empty if there is none. A dot at the beginning hides a name and ends nothing.
std::string_view extension_of(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  const std::size_t dot = name.rfind('.');
  return dot == std::string_view::npos || dot == 0 ? std::string_view() : name.substr(dot + 1);
}

}  // namespace

MediaTypes MediaTypes::load(const std::string& file) {
  MediaTypes media;
  errno = 0;
  std::ifstream lines(file);
  std::string line;
  for (std::size_t count = 0; count < kLinesMax && std::getline(lines, line); ++count) {
    add_line(media.types_, line);
  }
  if (media.types_.empty()) {
    media.reason_ = errno != 0 ? Error::system(errno, file)
                               : Error::of(ErrorCode::kDecodeError,
                                           fmt::format("{} names no media type", file));
    for (const std::string_view each : kBuiltIn) add_line(media.types_, each);
  }
  return media;
}

ktls::Result<void> MediaTypes::add(std::string_view rule) {
  const std::size_t equals = rule.find('=');
  std::string_view extension = rule.substr(0, equals);
  if (extension.starts_with('.')) extension.remove_prefix(1);  // as many will write it
  const std::string_view type =
      equals == std::string_view::npos ? "" : trimmed(rule.substr(equals + 1));
  // The lookup is by the last extension: a rule for "tar.gz" or "a/b" would never be found.
  if (extension.empty() || extension.find_first_of("./ \t") != std::string_view::npos ||
      !is_media_type(type)) {
    return ktls::fail(Error::of(
        ErrorCode::kInvalidArgument,
        fmt::format("'{}' is no media type rule: expected EXT=TYPE, such as md=text/markdown, "
                    "where EXT is what follows the last dot",
                    rule)));
  }
  types_[lower_case_of(extension)] =
      type.find(';') == std::string_view::npos ? with_charset(type) : std::string(type);
  return {};
}

std::string_view MediaTypes::type_of(std::string_view path) const {
  const std::string_view extension = extension_of(path);
  constexpr std::size_t kExtensionSizeMax = 64;
  if (extension.size() > kExtensionSizeMax) return kUnknown;
  std::array<char, kExtensionSizeMax> lower{};
  std::transform(extension.begin(), extension.end(), lower.begin(), lower_case);
  const auto found = types_.find(std::string_view(lower.data(), extension.size()));
  return found == types_.end() ? kUnknown : std::string_view(found->second);
}

}  // namespace http
