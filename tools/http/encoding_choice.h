// The choice of a content coding by Accept-Encoding, among the variants of a file that there are
// (RFC 9110 section 12.5.3).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace http {

// In the order in which they are preferred where the client does not mind: smallest first.
enum class Coding : std::uint8_t { kZstd, kBrotli, kGzip, kIdentity };
inline constexpr std::size_t kCodingCount = 4;

// The name in Content-Encoding: "zstd", "br", "gzip"; empty for identity, which has no such field.
[[nodiscard]] std::string_view coding_name(Coding coding);

// Which variants there are beside identity, which there always is.
struct Variants {
  bool zstd = false;
  bool brotli = false;
  bool gzip = false;
};

// The available coding of the highest weight, and among equals the first of Coding. Without the
// field it is identity: "any content coding is considered acceptable", but a client that says
// nothing is one that decodes nothing. Members that cannot be read are passed over.
//
// Where nothing acceptable exists, identity is sent even to who forbids it: section 12.5.3 has no
// answer for that case, and a file is of more use than a 406.
[[nodiscard]] Coding choose_coding(std::optional<std::string_view> accept_encoding,
                                   const Variants& variants);

}  // namespace http
