// The key block up to TLS 1.2 (RFC 5246 section 6.3, RFC 6101 section 6.2.2), and SSLv2's key
// material: keys of both directions from the master secret.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ktls/base/result.h"
#include "userspace/schedule/traffic_keys.h"

namespace tls {

inline constexpr std::size_t kMasterSecretSize = 48;
inline constexpr std::size_t kRandomSize = 32;

using MasterSecret = ktls::Secret<kMasterSecretSize, struct MasterSecretTag>;

struct KeyBlock {
  TrafficKeys client_write;
  TrafficKeys server_write;
};

// PRF(master, "key expansion", server_random || client_random) with the PRF of `version` (SSLv3 to
// TLS 1.2), cut as RFC 5246 says. Both randoms are 32 bytes and the master secret 48, else
// kInvalidArgument. Whether the suite belongs to the version is not asked here.
[[nodiscard]] ktls::Result<KeyBlock> derive_key_block(ProtocolVersion version,
                                                      const CipherSuite& suite,
                                                      const MasterSecret& master_secret,
                                                      std::span<const std::uint8_t> client_random,
                                                      std::span<const std::uint8_t> server_random);

// draft-hickman-netscape-ssl-00: the server's key comes first, "SERVER-WRITE-KEY", and no IV is
// derived: the client sends one as KEY-ARG. `master_key` is clear and secret part together.
[[nodiscard]] ktls::Result<KeyBlock> derive_ssl2_keys(const CipherSuite& suite,
                                                      const MasterSecret& master_key,
                                                      std::span<const std::uint8_t> challenge,
                                                      std::span<const std::uint8_t> connection_id);

}  // namespace tls
