// libcrypto's ciphers by the rows of the suite table, each fetched when it is first asked for.
#pragma once

#include "ktls/base/result.h"
#include "userspace/suite/cipher_suite.h"

struct evp_cipher_st;

namespace tls {

// Ciphers that OpenSSL 3 keeps in its legacy provider (RC4, RC2, DES, SEED) come from a library
// context of our own: what the program has loaded, or forbidden, stays as it is.
// Error: kUnsupported, with what is missing.
[[nodiscard]] ktls::Result<const evp_cipher_st*> evp_cipher_of(const BulkCipher& cipher);

// Whether libcrypto offers the cipher of `suite`; its hashes are asked for where they are used.
// Error: kUnsupported, with what is missing.
[[nodiscard]] ktls::Result<void> check_available(const CipherSuite& suite);

}  // namespace tls
