// Session tickets sealed once more for libssl.
#include "userspace/handshake/openssl/ssl_ticket_sink.h"

#include <algorithm>
#include <vector>

#include <openssl/err.h>

#include "userspace/handshake/openssl/error_queue.h"
#include "userspace/record/record_header.h"
#include "userspace/suite/alert.h"

namespace tls {

using ktls::ErrorCode;
using ktls::fail;
using ktls::Result;

Result<void> SslTicketSink::take(std::span<const std::uint8_t> message) {
  for (auto rest = message; !rest.empty();) {
    const auto fragment = rest.first(std::min(rest.size(), kPlaintextSizeMax));
    if (auto fed = feed_shadow_record(fragment); !fed) return fed;
    rest = rest.subspan(fragment.size());
  }
  ERR_clear_error();
  // libssl acts on handshake messages while it looks for data, of which there is none.
  char none = 0;
  std::size_t read = 0;
  const int answer = SSL_read_ex(connection_->ssl(), &none, sizeof none, &read);
  const bool taken = answer == 0 && connection_->all_consumed() &&
                     SSL_get_error(connection_->ssl(), answer) == SSL_ERROR_WANT_READ;
  static_cast<void>(connection_->drain());  // never for the wire, see the class
  if (taken) return {};
  auto error = openssl_error(ErrorCode::kDecodeError, "libssl refuses a session ticket");
  error.alert = code_of(AlertDescription::kDecodeError);
  return fail(std::move(error));
}

Result<void> SslTicketSink::feed_shadow_record(std::span<const std::uint8_t> fragment) {
  std::vector<std::uint8_t> record(shadow_of_server_.sealed_size(fragment.size()));
  KTLS_TRY(const std::size_t size,
           shadow_of_server_.seal({.type = ContentType::kHandshake, .content = fragment}, record));
  return connection_->feed(std::span(record).first(size));
}

}  // namespace tls
