// The TLS 1.2 key block: expanded by the PRF, then cut (RFC 5246 section 6.3).
#include "userspace/schedule/key_block.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "userspace/crypto/kdf.h"

namespace tls {
namespace {

constexpr std::size_t kMasterSecretSize = 48;
constexpr std::size_t kRandomSize = 32;

using KeyBlockBytes = ktls::Secret<2 * (ktls::RecordKey::kCapacity + ktls::RecordIv::kCapacity),
                                   struct KeyBlockBytesTag>;

}  // namespace

ktls::Result<KeyBlock> derive_key_block(const CipherSuite& suite, const MasterSecret& master_secret,
                                        std::span<const std::uint8_t> client_random,
                                        std::span<const std::uint8_t> server_random) {
  if (suite.version != ProtocolVersion::kTls12 ||
      suite.bulk_cipher->kind != ProtectionKind::kAead ||
      master_secret.size() != kMasterSecretSize || client_random.size() != kRandomSize ||
      server_random.size() != kRandomSize) {
    return ktls::fail(ktls::Error::of(ktls::ErrorCode::kInvalidArgument,
                                      "key block: suite, master secret or randoms"));
  }
  std::array<std::uint8_t, 2 * kRandomSize> seed{};
  std::ranges::copy(client_random, std::ranges::copy(server_random, seed.begin()).out);

  const std::size_t key_size = suite.bulk_cipher->key_size;
  const std::size_t iv_size = suite.bulk_cipher->fixed_iv_size_12;
  auto block = KeyBlockBytes::with_size(2 * (key_size + iv_size));
  auto derived = tls12_prf(suite.prf_hash, master_secret.bytes(), "key expansion", seed,
                           block.mutable_bytes());
  if (!derived) return ktls::fail(std::move(derived).error());

  // "client_write_MAC_key, server_write_MAC_key, client_write_key, server_write_key,
  // client_write_IV, server_write_IV", the MAC keys of an AEAD being empty.
  const auto bytes = std::as_const(block).bytes();
  const auto keys = bytes.first(2 * key_size);
  const auto ivs = bytes.subspan(2 * key_size);
  return KeyBlock{
      .client_write = {.key = ktls::RecordKey(keys.first(key_size)),
                       .iv = ktls::RecordIv(ivs.first(iv_size))},
      .server_write = {.key = ktls::RecordKey(keys.last(key_size)),
                       .iv = ktls::RecordIv(ivs.last(iv_size))},
  };
}

}  // namespace tls
