#include "tools/http/target.h"

#include <algorithm>
#include <cstddef>

#include "tools/http/authority.h"
#include "tools/http/field_value.h"

namespace http {
namespace {

constexpr std::string_view kHexDigits = "0123456789ABCDEF";

// -1 for what is no digit.
int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_unreserved(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

// Appends the decoded segment. Answers why it cannot be.
const char* decode(std::string_view segment, std::string& out) {
  for (std::size_t i = 0; i < segment.size(); ++i) {
    char c = segment[i];
    if (c == '%') {
      const int high = i + 2 < segment.size() ? hex_value(segment[i + 1]) : -1;
      const int low = i + 2 < segment.size() ? hex_value(segment[i + 2]) : -1;
      if (high < 0 || low < 0) return "malformed escape in the target";
      c = static_cast<char>(high * 16 + low);
      if (c == '/') return "encoded slash in the target";
      i += 2;
    }
    if (c == '\0') return "NUL in the target";
    out.push_back(c);
  }
  return nullptr;
}

// `path` begins with '/'. Segments are looked at when they are decoded, so that %2e%2e is "..".
std::variant<Target, Refusal> normalize(std::string_view path) {
  Target target;
  target.path.reserve(path.size());
  target.path.push_back('/');
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::size_t size = std::min(path.find('/'), path.size());
    const bool is_last = size == path.size();
    const std::size_t begin = target.path.size();  // behind a '/'
    if (const char* reason = decode(path.substr(0, size), target.path)) {
      return Refusal{400, reason};
    }
    path.remove_prefix(size);
    const std::string_view segment = std::string_view(target.path).substr(begin);
    if (segment == "." || segment == "..") {
      const bool is_parent = segment == "..";
      target.path.resize(begin);
      if (!is_parent) continue;
      if (begin == 1) return Refusal{400, "target above the root"};
      target.path.resize(target.path.rfind('/', begin - 2) + 1);
    } else if (!segment.empty() && !is_last) {
      target.path.push_back('/');
    }
  }
  return target;
}

struct Absolute {
  std::string_view authority;
  std::string_view rest;
};

std::optional<Absolute> split_absolute(std::string_view target) {
  const std::size_t colon = target.find("://");
  if (colon == std::string_view::npos) return std::nullopt;
  const std::string_view scheme = target.substr(0, colon);
  if (!equals_ignoring_case(scheme, "http") && !equals_ignoring_case(scheme, "https")) {
    return std::nullopt;
  }
  const std::string_view behind = target.substr(colon + 3);
  const std::size_t end = std::min(behind.find_first_of("/?"), behind.size());
  const Absolute absolute{behind.substr(0, end), behind.substr(end)};
  if (absolute.authority.empty() || absolute.authority[0] == ':' ||
      !is_valid_authority(absolute.authority)) {
    return std::nullopt;
  }
  return absolute;
}

}  // namespace

std::variant<Target, Refusal> parse_target(std::string_view target) {
  std::optional<std::string_view> authority;
  if (!target.starts_with('/')) {
    if (target == "*") return Refusal{400, "asterisk form is for OPTIONS"};
    const auto absolute = split_absolute(target);
    if (!absolute) return Refusal{400, "target is neither a path nor an http URI"};
    authority = absolute->authority;
    target = absolute->rest;
  }
  const std::size_t question = std::min(target.find('?'), target.size());
  const std::string_view path = target.substr(0, question);
  auto parsed = normalize(path.empty() ? "/" : path);
  if (auto* made = std::get_if<Target>(&parsed)) {
    made->authority = authority;
    if (question < target.size()) made->query = target.substr(question + 1);
  }
  return parsed;
}

std::optional<std::string_view> absolute_authority(std::string_view target) {
  if (target.starts_with('/')) return std::nullopt;
  const auto absolute = split_absolute(target);
  if (!absolute) return std::nullopt;
  return absolute->authority;
}

std::string percent_encode_path(std::string_view path) {
  std::string encoded;
  encoded.reserve(path.size());
  for (const char c : path) {
    if (c == '/' || is_unreserved(c)) {
      encoded.push_back(c);
      continue;
    }
    const auto octet = static_cast<unsigned char>(c);
    encoded.push_back('%');
    encoded.push_back(kHexDigits[octet >> 4U]);
    encoded.push_back(kHexDigits[octet & 0xfU]);
  }
  return encoded;
}

}  // namespace http
