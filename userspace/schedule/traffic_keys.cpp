// TLS 1.3 traffic keys and their update (RFC 8446 sections 7.2 and 7.3).
#include "userspace/schedule/traffic_keys.h"

#include <utility>

#include "userspace/crypto/kdf.h"

namespace tls {
namespace {

ktls::Result<void> check_secret(const CipherSuite& suite, const TrafficSecret& secret) {
  if (suite.version != ProtocolVersion::kTls13) {
    return ktls::fail(
        ktls::Error::of(ktls::ErrorCode::kInvalidArgument, "traffic secret: not a TLS 1.3 suite"));
  }
  if (secret.size() != size_of(suite.prf_hash)) {
    return ktls::fail(ktls::Error::of(ktls::ErrorCode::kInvalidArgument,
                                      "traffic secret: not of the hash's size"));
  }
  return {};
}

}  // namespace

ktls::Result<TrafficKeys> derive_traffic_keys(const CipherSuite& suite,
                                              const TrafficSecret& secret) {
  if (auto checked = check_secret(suite, secret); !checked) return ktls::fail(checked.error());
  TrafficKeys keys{.key = ktls::RecordKey::with_size(suite.bulk_cipher->key_size),
                   .iv = ktls::RecordIv::with_size(kAeadNonceSize)};
  auto derived =
      hkdf_expand_label(suite.prf_hash, secret.bytes(), "key", {}, keys.key.mutable_bytes())
          .and_then([&] {
            return hkdf_expand_label(suite.prf_hash, secret.bytes(), "iv", {},
                                     keys.iv.mutable_bytes());
          });
  if (!derived) return ktls::fail(std::move(derived).error());
  return keys;
}

ktls::Result<TrafficSecret> derive_next_traffic_secret(const CipherSuite& suite,
                                                       const TrafficSecret& secret) {
  if (auto checked = check_secret(suite, secret); !checked) return ktls::fail(checked.error());
  auto next = TrafficSecret::with_size(secret.size());
  auto derived =
      hkdf_expand_label(suite.prf_hash, secret.bytes(), "traffic upd", {}, next.mutable_bytes());
  if (!derived) return ktls::fail(std::move(derived).error());
  return next;
}

}  // namespace tls
