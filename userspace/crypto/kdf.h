// Key derivation functions of SSL and TLS, from HKDF-Expand-Label (RFC 8446 section 7.1) back to
// SSLv2's, computed by libcrypto.
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

// PRF(secret, label, seed) into `out`. Errors: kInvalidArgument for an empty secret, and for label
// and seed that have no byte together, or more than libcrypto's 1,024; kCrypto for an empty output.
[[nodiscard]] ktls::Result<void> tls12_prf(HashAlgorithm hash, std::span<const std::uint8_t> secret,
                                           std::string_view label,
                                           std::span<const std::uint8_t> seed,
                                           std::span<std::uint8_t> out);

// The PRF of TLS 1.0 and 1.1 (RFC 4346 section 5): P_MD5 of the secret's first half, xor P_SHA1 of
// its second. Errors as of tls12_prf.
[[nodiscard]] ktls::Result<void> tls10_prf(std::span<const std::uint8_t> secret,
                                           std::string_view label,
                                           std::span<const std::uint8_t> seed,
                                           std::span<std::uint8_t> out);

// What SSLv3 has for a PRF (RFC 6101 section 6.2.2): no label, 1 to 416 bytes. Errors:
// kInvalidArgument for another size, kUnsupported where libcrypto offers no MD5; kCrypto.
[[nodiscard]] ktls::Result<void> ssl3_prf(std::span<const std::uint8_t> secret,
                                          std::span<const std::uint8_t> seed,
                                          std::span<std::uint8_t> out);

// SSLv2's KEY-MATERIAL: 1 to 160 bytes. Errors as of ssl3_prf.
[[nodiscard]] ktls::Result<void> ssl2_key_material(std::span<const std::uint8_t> master_key,
                                                   std::span<const std::uint8_t> challenge,
                                                   std::span<const std::uint8_t> connection_id,
                                                   std::span<std::uint8_t> out);

}  // namespace tls
