// The TLS 1.3 key schedule below a traffic secret (RFC 8446 sections 7.2 and 7.3): pure functions.
#pragma once

#include "ktls/base/result.h"
#include "ktls/base/secret.h"
#include "ktls/core/crypto_info.h"
#include "userspace/suite/cipher_suite.h"

namespace tls {

using TrafficSecret = ktls::Secret<48, struct TrafficSecretTag>;

// Keys of one direction: data only. `iv` is 12 bytes in TLS 1.3 and for ChaCha20, 4 for TLS 1.2
// GCM.
struct TrafficKeys {
  ktls::RecordKey key;
  ktls::RecordIv iv;
};

// key = HKDF-Expand-Label(secret, "key", "", key size), iv = HKDF-Expand-Label(secret, "iv", "",
// 12). `secret` must be as long as the suite's hash, else kInvalidArgument.
[[nodiscard]] ktls::Result<TrafficKeys> derive_traffic_keys(const CipherSuite& suite,
                                                            const TrafficSecret& secret);

// application_traffic_secret_N+1 = HKDF-Expand-Label(secret, "traffic upd", "", hash size).
[[nodiscard]] ktls::Result<TrafficSecret> derive_next_traffic_secret(const CipherSuite& suite,
                                                                     const TrafficSecret& secret);

}  // namespace tls
