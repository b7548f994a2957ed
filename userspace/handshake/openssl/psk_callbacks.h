// What libssl asks of pre-shared keys: by the suites of TLS 1.2 (RFC 4279) and as external PSKs of
// TLS 1.3 (RFC 8446 section 4.2.11).
#pragma once

#include <string>
#include <vector>

#include <openssl/ssl.h>

#include "userspace/handshake/openssl/pre_shared_keys.h"
#include "userspace/suite/cipher_suite.h"
#include "userspace/suite/version.h"

namespace tls {

// Has the connections of `context` ask the SslContext that they belong to for its keys.
void install_psk_callbacks(SSL_CTX* context, Role role);

// The suites of TLS 1.3 for a connection with an external PSK, as SSL_set_ciphersuites(3) takes
// them: those with its hash first. RFC 8446 section 4.2.11: "For externally established PSKs, the
// Hash algorithm MUST be set when the PSK is established or default to SHA-256 if no such algorithm
// is defined."
[[nodiscard]] std::string psk_first_list_of(std::vector<const CipherSuite*> suites);

// In the callback of the ClientHello: where it offers an identity of `keys`, `ssl` chooses suites
// in the order of `list`. libssl would choose by preference before it looks at the PSK, and then
// find that the hash is another. Error: false.
[[nodiscard]] bool prefer_psk_hash(SSL* ssl, const PreSharedKeys& keys, const std::string& list);

// How a finished handshake was authenticated by a pre-shared key.
//   identity  whose key it was, now or when the session began that was resumed; empty: no key's
//   resumed   a session was resumed; libssl takes an external PSK of TLS 1.3 for one, too
struct PskUse {
  std::string identity;
  bool resumed = false;
};
[[nodiscard]] PskUse psk_use_of(SSL* ssl);

}  // namespace tls
