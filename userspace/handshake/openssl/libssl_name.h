// libssl's names of cipher suites, which are not the registry's.
#pragma once

#include <string>

#include <openssl/ssl.h>

#include "userspace/suite/cipher_suite.h"

namespace tls {

// "ECDHE-RSA-AES128-GCM-SHA256", as SSL_CTX_set_cipher_list(3) wants it; empty where libssl has no
// such suite.
[[nodiscard]] inline std::string libssl_name_of(const CipherSuite& suite) {
  const std::string name = OPENSSL_cipher_name(std::string(suite.name).c_str());
  return name == "(NONE)" ? std::string() : name;
}

}  // namespace tls
