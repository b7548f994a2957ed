// The secrets of a finished handshake, taken from libssl by public API and expanded by our own
// schedule into the keys of both directions.
#pragma once

#include <string_view>

#include <openssl/ssl.h>

#include "ktls/base/result.h"
#include "userspace/schedule/traffic_keys.h"
#include "userspace/suite/cipher_suite.h"
#include "userspace/suite/version.h"

namespace tls {

// TLS 1.3: the first application traffic secrets (RFC 8446 section 7.1).
struct ApplicationSecrets {
  TrafficSecret client;
  TrafficSecret server;
};

// Keeps the secret of a CLIENT_TRAFFIC_SECRET_0 or SERVER_TRAFFIC_SECRET_0 line of libssl's key
// log, read where it stands: no copy in hex is made. Other lines are ignored.
void take_keylog_line(std::string_view line, ApplicationSecrets& secrets);

// What one side reads and writes with. The secrets are empty in TLS 1.2.
struct ConnectionKeys {
  TrafficKeys read;
  TrafficKeys write;
  TrafficSecret read_secret;
  TrafficSecret write_secret;
};

// `secrets` is used in TLS 1.3 only; TLS 1.2 asks `ssl` for its master secret and the two randoms.
// Errors: kProtocolViolation when libssl has not shown a secret, and those of the schedule.
[[nodiscard]] ktls::Result<ConnectionKeys> derive_connection_keys(SSL* ssl, ProtocolVersion version,
                                                                  const CipherSuite& suite,
                                                                  Role role,
                                                                  ApplicationSecrets secrets);

}  // namespace tls
