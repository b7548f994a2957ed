// TLS 1.3 traffic keys and their update (RFC 8446 sections 7.2 and 7.3).
#include "userspace/schedule/traffic_keys.h"

#include <utility>

#include "userspace/crypto/kdf.h"

namespace tls {
namespace {

ktls::Result<void> check_secret(const CipherSuite& suite, const TrafficSecret& secret,
                                SecretSize size) {
  if (suite.bulk_cipher->kind != ProtectionKind::kAead &&
      suite.bulk_cipher->kind != ProtectionKind::kIntegrity) {
    return ktls::fail(ktls::Error::of(ktls::ErrorCode::kInvalidArgument,
                                      "traffic secret: no suite that TLS 1.3 can use"));
  }
  if (size == SecretSize::kOfHash && secret.size() != size_of(suite.prf_hash)) {
    return ktls::fail(ktls::Error::of(ktls::ErrorCode::kInvalidArgument,
                                      "traffic secret: not of the hash's size"));
  }
  return {};
}

}  // namespace

ktls::Result<TrafficKeys> derive_traffic_keys(const CipherSuite& suite, const TrafficSecret& secret,
                                              SecretSize size) {
  if (auto checked = check_secret(suite, secret, size); !checked)
    return ktls::fail(checked.error());
  TrafficKeys keys{.key = WriteKey::with_size(suite.bulk_cipher->key_size),
                   .iv = WriteIv::with_size(iv_size_13(*suite.bulk_cipher)),
                   .mac_key = {}};
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
  if (auto checked = check_secret(suite, secret, SecretSize::kOfHash); !checked)
    return ktls::fail(checked.error());
  auto next = TrafficSecret::with_size(size_of(suite.prf_hash));
  auto derived =
      hkdf_expand_label(suite.prf_hash, secret.bytes(), "traffic upd", {}, next.mutable_bytes());
  if (!derived) return ktls::fail(std::move(derived).error());
  return next;
}

}  // namespace tls
