// same_bytes(): compares secrets in a time that tells nothing of them.
#pragma once

#include <cstdint>
#include <span>

namespace tls {

// False also for different sizes, which are no secret. libcrypto's CRYPTO_memcmp().
[[nodiscard]] bool same_bytes(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b);

}  // namespace tls
