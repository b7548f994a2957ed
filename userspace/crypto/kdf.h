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
// "tls13 " prefix. Errors: kCrypto (an empty secret, a label or an output that is too long).
[[nodiscard]] ktls::Result<void> hkdf_expand_label(HashAlgorithm hash,
                                                   std::span<const std::uint8_t> secret,
                                                   std::string_view label,
                                                   std::span<const std::uint8_t> context,
                                                   std::span<std::uint8_t> out);

// PRF(secret, label, seed) into `out`. Errors: kCrypto.
[[nodiscard]] ktls::Result<void> tls12_prf(HashAlgorithm hash, std::span<const std::uint8_t> secret,
                                           std::string_view label,
                                           std::span<const std::uint8_t> seed,
                                           std::span<std::uint8_t> out);

}  // namespace tls
