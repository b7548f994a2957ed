// TrafficKeys, and the TLS 1.3 key schedule below a traffic secret (RFC 8446 sections 7.2 and 7.3):
// pure functions.
#pragma once

#include "ktls/base/result.h"
#include "ktls/base/secret.h"
#include "userspace/suite/cipher_suite.h"

namespace tls {

using TrafficSecret = ktls::Secret<kHashSizeMax, struct TrafficSecretTag>;
using WriteKey = ktls::Secret<48, struct WriteKeyTag>;
using WriteIv = ktls::Secret<48, struct WriteIvTag>;
using MacKey = ktls::Secret<kHashSizeMax, struct MacKeyTag>;

// Keys of one direction: data only. Up to TLS 1.2 their sizes are those of the suite's row; in
// TLS 1.3 `iv` is as long as a nonce and `mac_key` is empty. In SSLv2 the MAC's key is `key`.
struct TrafficKeys {
  WriteKey key;
  WriteIv iv;
  MacKey mac_key;
};

// Length of `iv` in the traffic keys of a TLS 1.3 suite: 12, or in RFC 9150 that of the hash.
[[nodiscard]] constexpr std::size_t iv_size_13(const BulkCipher& cipher) {
  return cipher.kind == ProtectionKind::kIntegrity ? cipher.iv_size : kAeadNonceSize;
}

// Traffic secrets are as long as the suite's hash. HKDF takes any, and so do the known answers of
// tlslite-ng: who wants to agree with those says so.
enum class SecretSize : std::uint8_t { kOfHash, kAny };

// key = HKDF-Expand-Label(secret, "key", "", key size), iv = HKDF-Expand-Label(secret, "iv", "",
// iv size). `secret` must be as long as the suite's hash, and the suite be one whose cipher TLS 1.3
// can use (an AEAD, or RFC 9150's), else kInvalidArgument.
[[nodiscard]] ktls::Result<TrafficKeys> derive_traffic_keys(const CipherSuite& suite,
                                                            const TrafficSecret& secret,
                                                            SecretSize size = SecretSize::kOfHash);

// application_traffic_secret_N+1 = HKDF-Expand-Label(secret, "traffic upd", "", hash size).
[[nodiscard]] ktls::Result<TrafficSecret> derive_next_traffic_secret(const CipherSuite& suite,
                                                                     const TrafficSecret& secret);

}  // namespace tls
