// Version 2 of the PROXY protocol: a signature, addresses in network byte order, and type-length-
// value vectors.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ktls/base/result.h"
#include "tools/proxy_protocol/endpoints.h"
#include "tools/proxy_protocol/tls_facts.h"

namespace proxy_protocol {

inline constexpr std::array<std::uint8_t, 12> kSignature = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                                            0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};
// The signature, the command, the family, and the length of what follows.
inline constexpr std::size_t kBinaryPrefixSize = 16;
// Addresses are 216 bytes at most, and vectors have to go with them into one segment of TCP; nginx
// takes as many.
inline constexpr std::size_t kBinaryHeaderMax = 4096;
// A longer value, which no name of a host or protocol has, is not written: half a name would be
// somebody else's.
inline constexpr std::size_t kValueMax = 512;

// How many bytes a header that begins with `bytes` has at least after it; 0: it is whole. Error:
// kDecodeError for what no header begins with, kLimitReached for one of more than kBinaryHeaderMax.
[[nodiscard]] ktls::Result<std::size_t> binary_bytes_left(std::span<const std::uint8_t> bytes);

// Of a whole header. Nothing: LOCAL, or a family that no stream has, and the connection itself has
// the addresses. Vectors are skipped, but for the checksum. Error: kDecodeError.
[[nodiscard]] ktls::Result<std::optional<Endpoints>> decode_binary_header(
    std::span<const std::uint8_t> header);

// `tls` null: addresses alone. The family is UNSPEC where that of the addresses is not known.
[[nodiscard]] std::vector<std::uint8_t> encode_binary_header(const Endpoints& endpoints,
                                                             const TlsFacts* tls);

}  // namespace proxy_protocol
