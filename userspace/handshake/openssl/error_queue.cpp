// Draining of the OpenSSL error queue.
#include "userspace/handshake/openssl/error_queue.h"

#include <array>

#include <openssl/err.h>

namespace tls {

std::string drain_error_queue() {
  std::string text;
  const char* data = nullptr;
  int flags = 0;
  while (const unsigned long code = ERR_get_error_all(nullptr, nullptr, nullptr, &data, &flags)) {
    if (!text.empty()) text += "; ";
    // System errors have no reason string of their own (ERR_reason_error_string(3)).
    if (const char* reason = ERR_SYSTEM_ERROR(code) ? nullptr : ERR_reason_error_string(code)) {
      text += reason;
    } else {
      std::array<char, 256> line{};
      ERR_error_string_n(code, line.data(), line.size());
      text += line.data();
    }
    if ((flags & ERR_TXT_STRING) != 0 && data != nullptr && *data != '\0') {
      text.append(" (").append(data).append(")");
    }
  }
  return text.empty() ? "no reason given" : text;
}

ktls::Error openssl_error(ktls::ErrorCode code, std::string_view what) {
  return ktls::Error::of(code, std::string(what) + ": " + drain_error_queue());
}

}  // namespace tls
