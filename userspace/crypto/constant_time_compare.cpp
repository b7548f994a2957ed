// Comparison by libcrypto.
#include "userspace/crypto/constant_time_compare.h"

#include <openssl/crypto.h>

namespace tls {

bool same_bytes(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace tls
