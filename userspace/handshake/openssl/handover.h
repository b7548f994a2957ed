// The states that a finished handshake hands over, checked against its own records.
#pragma once

#include "ktls/base/result.h"
#include "userspace/handshake/openssl/record_counter.h"
#include "userspace/handshake/openssl/secrets.h"
#include "userspace/record/connection_state.h"
#include "userspace/suite/cipher_suite.h"

namespace tls {

struct HandedOverStates {
  ConnectionState read;
  ConnectionState write;
};

// States at the sequence numbers that both counters answer. Where the final key epoch has records
// already (our TLS 1.3 tickets, Finished of both sides in TLS 1.2), the last one is opened once
// more with the derived keys at the number before: that proves keys, count and, for AES-GCM in
// TLS 1.2, the explicit nonce, which is continued from that record. Error: kProtocolViolation when
// a counter's witnesses disagree or the record does not open.
[[nodiscard]] ktls::Result<HandedOverStates> hand_over_states(ProtocolVersion version,
                                                              const CipherSuite& suite,
                                                              const RecordCounter& read_counter,
                                                              const RecordCounter& write_counter,
                                                              const ConnectionKeys& keys);

// The same keys once more, for a state beside the one that counts.
[[nodiscard]] TrafficKeys duplicate(const TrafficKeys& keys);

}  // namespace tls
