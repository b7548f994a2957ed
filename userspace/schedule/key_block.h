// The TLS 1.2 key block (RFC 5246 section 6.3): keys of both directions from the master secret.
#pragma once

#include <cstdint>
#include <span>

#include "ktls/base/result.h"
#include "userspace/schedule/traffic_keys.h"

namespace tls {

using MasterSecret = ktls::Secret<48, struct MasterSecretTag>;

struct KeyBlock {
  TrafficKeys client_write;
  TrafficKeys server_write;
};

// PRF(master, "key expansion", server_random || client_random), cut as RFC 5246 says.
// Both randoms are 32 bytes, the master secret 48, else kInvalidArgument.
[[nodiscard]] ktls::Result<KeyBlock> derive_key_block(const CipherSuite& suite,
                                                      const MasterSecret& master_secret,
                                                      std::span<const std::uint8_t> client_random,
                                                      std::span<const std::uint8_t> server_random);

}  // namespace tls
