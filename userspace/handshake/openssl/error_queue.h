// The thread's OpenSSL error queue, turned into text for Error::detail.
#pragma once

#include <string>
#include <string_view>

#include "ktls/base/result.h"

namespace tls {

// Empties the queue: "reason (data); reason ...", oldest first; "no reason given" if it was empty.
[[nodiscard]] std::string drain_error_queue();

// "<what>: <the drained queue>".
[[nodiscard]] ktls::Error openssl_error(ktls::ErrorCode code, std::string_view what);

}  // namespace tls
