// The key block: expanded by the PRF, then cut (RFC 5246 section 6.3).
#include "userspace/schedule/key_block.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "userspace/crypto/kdf.h"

namespace tls {
namespace {

using KeyBlockBytes = ktls::Secret<2 * (WriteKey::kCapacity + WriteIv::kCapacity + kHashSizeMax),
                                   struct KeyBlockBytesTag>;

// One value for each side, from the front of what is left: the client's comes first.
template <class Kind>
void cut(std::span<const std::uint8_t>& rest, std::size_t size, Kind& first, Kind& second) {
  first = Kind(rest.first(size));
  second = Kind(rest.subspan(size, size));
  rest = rest.subspan(2 * size);
}

}  // namespace

ktls::Result<KeyBlock> derive_key_block(ProtocolVersion version, const CipherSuite& suite,
                                        const MasterSecret& master_secret,
                                        std::span<const std::uint8_t> client_random,
                                        std::span<const std::uint8_t> server_random) {
  const BulkCipher& cipher = *suite.bulk_cipher;
  if (version < ProtocolVersion::kSsl3 || version > ProtocolVersion::kTls12 ||
      cipher.kind == ProtectionKind::kIntegrity || master_secret.size() != kMasterSecretSize ||
      client_random.size() != kRandomSize || server_random.size() != kRandomSize) {
    return ktls::fail(ktls::Error::of(ktls::ErrorCode::kInvalidArgument,
                                      "key block: version, suite, master secret or randoms"));
  }
  std::array<std::uint8_t, 2 * kRandomSize> seed{};
  std::ranges::copy(client_random, std::ranges::copy(server_random, seed.begin()).out);

  const std::size_t mac_key_size = suite.mac ? size_of(*suite.mac) : 0;
  auto block = KeyBlockBytes::with_size(2 * (mac_key_size + cipher.key_size + cipher.iv_size));
  const auto out = block.mutable_bytes();
  const auto master = master_secret.bytes();
  const auto derived = version == ProtocolVersion::kSsl3 ? ssl3_prf(master, seed, out)
                       : version <= ProtocolVersion::kTls11
                           ? tls10_prf(master, "key expansion", seed, out)
                           : tls12_prf(suite.prf_hash, master, "key expansion", seed, out);
  if (!derived) return ktls::fail(derived.error());

  // "client_write_MAC_key, server_write_MAC_key, client_write_key, server_write_key,
  // client_write_IV, server_write_IV", each as long as the suite wants it.
  KeyBlock keys;
  auto rest = std::as_const(block).bytes();
  cut(rest, mac_key_size, keys.client_write.mac_key, keys.server_write.mac_key);
  cut(rest, cipher.key_size, keys.client_write.key, keys.server_write.key);
  cut(rest, cipher.iv_size, keys.client_write.iv, keys.server_write.iv);
  return keys;
}

ktls::Result<KeyBlock> derive_ssl2_keys(const CipherSuite& suite, const MasterSecret& master_key,
                                        std::span<const std::uint8_t> challenge,
                                        std::span<const std::uint8_t> connection_id) {
  const std::size_t key_size = suite.bulk_cipher->key_size;
  auto material = KeyBlockBytes::with_size(2 * key_size);
  auto derived =
      ssl2_key_material(master_key.bytes(), challenge, connection_id, material.mutable_bytes());
  if (!derived) return ktls::fail(std::move(derived).error());
  KeyBlock keys;
  auto rest = std::as_const(material).bytes();
  cut(rest, key_size, keys.server_write.key, keys.client_write.key);
  return keys;
}

}  // namespace tls
