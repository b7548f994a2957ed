// Random bytes over RAND_bytes_ex.
#include "userspace/crypto/random.h"

#include <openssl/rand.h>

#include "userspace/crypto/openssl_error.h"

namespace tls {

ktls::Result<void> fill_random(std::span<std::uint8_t> out) {
  const ErrorMark mark;
  // Strength 0: that of the generator, which is seeded with 256 bits.
  if (RAND_bytes_ex(nullptr, out.data(), out.size(), 0) != 1) {
    return ktls::fail(crypto_error("RAND_bytes_ex"));
  }
  return {};
}

}  // namespace tls
