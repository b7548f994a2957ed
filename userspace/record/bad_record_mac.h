// How a record that does not open is refused: one error for whatever was wrong with it, and nothing
// of what it held is left.
#pragma once

#include <cstdint>
#include <span>
#include <utility>

#include <string.h>  // explicit_bzero

#include "userspace/crypto/constant_time_compare.h"
#include "userspace/suite/refuse.h"

namespace tls {

inline void wipe(std::span<std::uint8_t> body) {
  if (!body.empty()) ::explicit_bzero(body.data(), body.size());
}

// libcrypto failed after the record was decrypted.
[[nodiscard]] inline tl::unexpected<ktls::Error> wiped(std::span<std::uint8_t> body,
                                                       ktls::Error error) {
  wipe(body);
  return ktls::fail(std::move(error));
}

[[nodiscard]] inline tl::unexpected<ktls::Error> bad_record_mac(std::span<std::uint8_t> body) {
  wipe(body);
  return refuse(ktls::ErrorCode::kBadRecordMac, AlertDescription::kBadRecordMac,
                "the record does not open");
}

// Ciphertext that is not whole blocks, which needs no key to see. RFC 5246 section 7.2.2 has
// bad_record_mac in the place of TLS 1.0's decryption_failed.
[[nodiscard]] inline tl::unexpected<ktls::Error> not_whole_blocks() {
  return refuse(ktls::ErrorCode::kDecryptionFailed, AlertDescription::kBadRecordMac,
                "the record is not whole blocks");
}

}  // namespace tls
