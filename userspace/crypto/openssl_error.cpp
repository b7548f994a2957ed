// The way from libcrypto's error queue into ktls::Error.
#include "userspace/crypto/openssl_error.h"

#include <string>

#include <openssl/err.h>

#include "userspace/suite/alert.h"

namespace tls {

ktls::Error crypto_error(std::string_view call) {
  std::string detail(call);
  if (const char* reason = ERR_reason_error_string(ERR_peek_last_error())) {
    detail.append(": ").append(reason);
  }
  return ktls::Error::alerting(ktls::ErrorCode::kCrypto, code_of(AlertDescription::kInternalError),
                               detail);
}

ErrorMark::ErrorMark() {
  ERR_set_mark();
}

// With an empty queue no mark could be set, and none found means: remove everything. Both say the
// same here.
ErrorMark::~ErrorMark() {
  ERR_pop_to_mark();
}

}  // namespace tls
