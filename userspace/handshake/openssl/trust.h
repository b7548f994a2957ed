// Whom a side believes: authorities and their revocation lists, from PEM files.
#pragma once

#include <string>
#include <vector>

#include "ktls/base/result.h"
#include "userspace/handshake/openssl/pointers.h"

namespace tls {

//   digest    of all certificates and lists: what was vouched for by one Trust need not be by
//   another warnings  for people: a list that has expired, or that is of nobody who is trusted
struct Trust {
  std::string digest;
  std::vector<std::string> warnings;
};

// Has `context` verify its peers by the certificates of `ca_file`, whose subjects clients that are
// asked for a certificate are told. With `crl_file` each certificate of a peer's chain must be in
// none of its lists, of which every authority in the chain has a current one (RFC 5280 section
// 6.3). Errors name the file: kSystem, kInvalidArgument.
[[nodiscard]] ktls::Result<Trust> trust(SSL_CTX* context, const std::string& ca_file,
                                        const std::string& crl_file);

}  // namespace tls
