// Errors of libcrypto as ktls::Error, and ErrorMark, which keeps the caller's error queue as it
// was.
#pragma once

#include <string_view>

#include "ktls/base/result.h"

namespace tls {

// libcrypto refused `call`: kCrypto, alert internal_error, with the reason that libcrypto left on
// this thread's error queue.
[[nodiscard]] ktls::Error crypto_error(std::string_view call);

// Takes back, when it goes out of scope, what was put on this thread's error queue since it came
// into scope. A record that does not open must not leave an entry behind: SSL_get_error() of an
// unrelated connection on the same thread would read it as its own failure.
class ErrorMark {
 public:
  ErrorMark();
  ErrorMark(const ErrorMark&) = delete;
  ErrorMark& operator=(const ErrorMark&) = delete;
  ~ErrorMark();
};

}  // namespace tls
