// Version 1 of the PROXY protocol: one line of text, "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443".
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "ktls/base/result.h"
#include "tools/proxy_protocol/endpoints.h"

namespace proxy_protocol {

// Section 2.1: the longest line that there is, CRLF included.
inline constexpr std::size_t kTextHeaderMax = 107;
// "PROXY UNKNOWN" and CRLF.
inline constexpr std::size_t kTextHeaderMin = 15;

// How many bytes a line that begins with `line` has at least after it; 0: it is whole. By that many
// and no more it can be read on, and nothing that follows the line is taken. Error: kDecodeError
// for what no line begins with.
[[nodiscard]] ktls::Result<std::size_t> text_bytes_left(std::string_view line);

// Of a whole line, with its CRLF. Nothing: UNKNOWN, and the connection itself has the addresses.
// Error: kDecodeError.
[[nodiscard]] ktls::Result<std::optional<Endpoints>> decode_text_header(std::string_view line);

// UNKNOWN for what is not IP, or not known.
[[nodiscard]] std::string encode_text_header(const Endpoints& endpoints);

}  // namespace proxy_protocol
