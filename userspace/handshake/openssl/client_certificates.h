// The certificates that a client shows to servers that ask for one.
#pragma once

#include <string>
#include <vector>

#include "ktls/base/result.h"
#include "userspace/handshake/openssl/context.h"
#include "userspace/handshake/openssl/pointers.h"

namespace tls {

// Gives them to `context`, of which each has another kind of key, and answers what is wrong with
// them, for people. Errors name the file: kSystem, kInvalidArgument.
[[nodiscard]] ktls::Result<std::vector<std::string>> show_to_servers(
    SSL_CTX* context, const std::vector<CertificateFiles>& certificates);

}  // namespace tls
