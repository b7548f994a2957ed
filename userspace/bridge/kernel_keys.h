// From a ConnectionState to what the kernel is given, and back while it has taken nothing.
#pragma once

#include "ktls/base/result.h"
#include "ktls/core/crypto_info.h"
#include "ktls/core/socket.h"
#include "userspace/record/connection_state.h"

namespace bridge {

// A state on its way into the kernel, with what is needed to go back to userspace.
struct Candidate {
  ktls::RecordKeys keys;
  ktls::CryptoInfo info;
};

// Errors: those of ConnectionState::into_record_keys() and ktls::encode().
[[nodiscard]] ktls::Result<Candidate> encode_state(tls::ConnectionState state);

// The way back: there is still one holder, as the kernel took nothing.
[[nodiscard]] ktls::Result<tls::ConnectionState> decode_state(tls::ProtocolVersion version,
                                                              const tls::CipherSuite& suite,
                                                              const Candidate& candidate);

// The next key of a direction that is in the kernel. Errors: those of encode_state(); kSystem, and
// the kernel goes on with the key that it has.
[[nodiscard]] ktls::Result<void> install_next(ktls::TlsSocket& socket, ktls::Direction direction,
                                              tls::ConnectionState state);

}  // namespace bridge
