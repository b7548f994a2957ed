// The nonce construction that TLS 1.3 (RFC 8446 section 5.3) and ChaCha20-Poly1305 in TLS 1.2
// (RFC 7905 section 2) share.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "ktls/base/endian.h"
#include "userspace/crypto/aead.h"

namespace tls {

// "The 64-bit record sequence number is encoded in network byte order and padded to the left with
// zeros to iv_length. The resulting quantity is XORed with [the] write_iv". `iv` has 12 bytes.
[[nodiscard]] inline Aead::Nonce nonce_of(std::span<const std::uint8_t> iv,
                                          std::uint64_t sequence) {
  Aead::Nonce nonce{};
  std::ranges::copy(iv, nonce.begin());
  std::uint8_t* const tail = nonce.data() + nonce.size() - sizeof sequence;
  ktls::store_big_endian(tail, ktls::load_big_endian<std::uint64_t>(tail) ^ sequence);
  return nonce;
}

}  // namespace tls
