// "traffic upd", and the keys below it.

#include "userspace/bridge/key_chain.h"

namespace bridge {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using tls::ConnectionState;

Result<ConnectionState> KeyChain::state_of(const tls::TrafficSecret& secret,
                                           std::uint64_t sequence) const {
  if (secret.empty()) {
    return ktls::fail(Error::of(ErrorCode::kUnsupported, "the key of this direction is its last"));
  }
  KTLS_TRY(tls::TrafficKeys keys, tls::derive_traffic_keys(*suite_, secret));
  return ConnectionState::create(tls::ProtocolVersion::kTls13, *suite_, std::move(keys),
                                 {.sequence = sequence});
}

Result<ConnectionState> KeyChain::next() {
  tls::TrafficSecret secret;
  if (has_next()) {
    KTLS_TRY(secret, tls::derive_next_traffic_secret(*suite_, secret_));
  }
  auto state = state_of(secret, 0);
  if (state) secret_ = std::move(secret);
  return state;
}

Result<ConnectionState> KeyChain::same_for_opening(std::uint64_t sequence) const {
  return state_of(secret_, sequence);
}

}  // namespace bridge
