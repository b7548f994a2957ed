// The names that OpenSSL has for cipher suites, which programs and their users know.
#pragma once

#include <string>

#include "userspace/suite/cipher_suite.h"

namespace tls {

// "ECDHE-RSA-AES128-GCM-SHA256"; the standard name where OpenSSL has no other.
[[nodiscard]] std::string openssl_name_of(const CipherSuite& suite);

}  // namespace tls
