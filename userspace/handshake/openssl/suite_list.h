// The cipher suites that a user names, by OpenSSL's names or the registry's, and those that stand
// for no names.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ktls/base/result.h"
#include "userspace/suite/cipher_suite.h"
#include "userspace/suite/version.h"

namespace tls {

// Who names no suites is offered handshake_suites(); and before those of TLS 1.2, with pre-shared
// keys, the suites that authenticate by one and are forward-secret all the same.
struct SuiteChoice {
  // For TLS 1.2 and for TLS 1.3: names between colons or commas, in order of preference.
  std::string ciphers = {};
  std::string ciphersuites = {};
  bool with_psk = false;  // there are pre-shared keys
};

// The suites for `version` that `list` names, each once, in its order. Every AEAD suite of libssl
// may be named but those that authenticate nobody. Error: kInvalidArgument, naming the first that
// may not, and why.
[[nodiscard]] ktls::Result<std::vector<const CipherSuite*>> parse_suite_list(
    std::string_view list, ProtocolVersion version);

// What is offered of `version`, TLS 1.2 or 1.3. Errors as above, and kInvalidArgument for a suite
// that authenticates by a pre-shared key where there is none.
[[nodiscard]] ktls::Result<std::vector<const CipherSuite*>> offered_suites(
    const SuiteChoice& choice, ProtocolVersion version);

// Whether a suite of TLS 1.3 goes with an external PSK (RFC 8446 section 4.2.11).
[[nodiscard]] bool has_psk_hash(const CipherSuite& suite);
// That one of those offered of TLS 1.3 does. Error: kInvalidArgument.
[[nodiscard]] ktls::Result<void> check_psk_suites(const SuiteChoice& choice);

// "ECDHE-RSA-AES128-GCM-SHA256:…", as SSL_CTX_set_cipher_list(3) and
// SSL_CTX_set_ciphersuites(3) take it.
[[nodiscard]] std::string libssl_list_of(const std::vector<const CipherSuite*>& suites);

// What to ask the kernel for: the ciphers of the handshake's own suites, and of the others that
// `choice` names. A choice with an error adds none.
[[nodiscard]] std::vector<ktls::Cipher> kernel_ciphers_of(const SuiteChoice& choice);

// Whether the suite authenticates by a pre-shared key, whatever else it does.
[[nodiscard]] bool uses_psk(const CipherSuite& suite);

}  // namespace tls
