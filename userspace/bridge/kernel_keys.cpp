#include "userspace/bridge/kernel_keys.h"

#include <utility>

namespace bridge {

using ktls::Result;
using tls::ConnectionState;

Result<Candidate> encode_state(ConnectionState state) {
  KTLS_TRY(ktls::RecordKeys keys, ConnectionState::into_record_keys(std::move(state)));
  KTLS_TRY(ktls::CryptoInfo info, ktls::encode(keys));
  return Candidate{std::move(keys), std::move(info)};
}

Result<ConnectionState> decode_state(tls::ProtocolVersion version, const tls::CipherSuite& suite,
                                     const Candidate& candidate) {
  tls::TrafficKeys keys{
      tls::WriteKey(candidate.keys.key.bytes()), tls::WriteIv(candidate.keys.iv.bytes()), {}};
  return ConnectionState::create(
      version, suite, std::move(keys),
      {.sequence = candidate.keys.sequence, .explicit_nonce = candidate.keys.explicit_nonce});
}

Result<void> install_next(ktls::TlsSocket& socket, ktls::Direction direction,
                          ConnectionState state) {
  KTLS_TRY(const Candidate candidate, encode_state(std::move(state)));
  return socket.install(direction, candidate.info);
}

}  // namespace bridge
