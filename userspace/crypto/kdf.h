// Key derivation functions of TLS: HKDF-Expand-Label (RFC 8446 section 7.1) and the PRF of TLS 1.2
// (RFC 5246 section 5), computed by libcrypto.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "ktls/base/result.h"
#include "userspace/suite/cipher_suite.h"

namespace tls {

// HKDF-Expand-Label(secret, label, context, out.size()) into `out`. `label` comes without the
// "tls13 " prefix. Errors: kInvalidArgument for an empty secret (one that was moved from, and from
// which anybody could derive the same), kCrypto for an empty or too long output, or a long label.
[[nodiscard]] ktls::Result<void> hkdf_expand_label(HashAlgorithm hash,
                                                   std::span<const std::uint8_t> secret,
                                                   std::string_view label,
                                                   std::span<const std::uint8_t> context,
                                                   std::span<std::uint8_t> out);

// PRF(secret, label, seed) into `out`. Errors: kInvalidArgument for an empty secret, kCrypto for an
// empty output, or label and seed of more than libcrypto's 1,024 bytes.
[[nodiscard]] ktls::Result<void> tls12_prf(HashAlgorithm hash, std::span<const std::uint8_t> secret,
                                           std::string_view label,
                                           std::span<const std::uint8_t> seed,
                                           std::span<std::uint8_t> out);

}  // namespace tls
