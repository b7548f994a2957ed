// Standard names to OpenSSL's.

#include "userspace/handshake/openssl/cipher_name.h"

#include <openssl/ssl.h>

namespace tls {

std::string openssl_name_of(const CipherSuite& suite) {
  const std::string standard(suite.name);
  const std::string name = OPENSSL_cipher_name(standard.c_str());
  return name == "(NONE)" ? standard : name;
}

}  // namespace tls
