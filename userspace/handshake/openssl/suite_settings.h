// Cipher suites and groups as settings of an SSL_CTX.
#pragma once

#include <string>

#include <openssl/ssl.h>

#include "ktls/base/result.h"
#include "userspace/handshake/openssl/suite_list.h"

namespace tls {

// What cannot be handed over is not offered. `groups` as for parse_group_list(), empty: libssl's
// own. Errors as offered_suites() and parse_group_list(), naming the list.
[[nodiscard]] ktls::Result<void> set_suites(SSL_CTX* context, const SuiteChoice& choice,
                                            const std::string& groups);

}  // namespace tls
