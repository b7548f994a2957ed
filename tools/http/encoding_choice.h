// The content codings of files that are compressed in advance, and the order in which a client
// wants them (RFC 9110 section 12.5.3).
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
// What such a file's name ends with: ".zst", ".br", ".gz"; empty for identity.
[[nodiscard]] std::string_view coding_suffix(Coding coding);

// What to look for, one after the other, up to identity, which there always is. What stands behind
// it the client does not want.
using CodingOrder = std::array<Coding, kCodingCount>;

// By weight, and among equals in the order of Coding. Without the field there is identity alone:
// "any content coding is considered acceptable", but a client that says nothing is one that decodes
// nothing. Members that cannot be read are passed over.
//
// Identity is in it even for who forbids it: section 12.5.3 has no answer for the case that there
// is nothing else, and a file is of more use than a 406.
[[nodiscard]] CodingOrder codings_in_order(std::optional<std::string_view> accept_encoding);

}  // namespace http
