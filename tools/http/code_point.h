// CodePoint: a character of UTF-8, decoded strictly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace http {

struct CodePoint {
  std::uint32_t value = 0;
  std::size_t size = 0;  // in bytes, 0 if malformed
};

// The first of `bytes`, which are not empty. RFC 3629: neither overlong forms nor surrogates nor
// anything above U+10FFFF.
[[nodiscard]] CodePoint decode_first(std::string_view bytes);

}  // namespace http
