// Telling the two versions apart.

#include "tools/proxy_protocol/header_reader.h"

#include <string_view>

#include "tools/proxy_protocol/text_header.h"

namespace proxy_protocol {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;

constexpr std::uint8_t kTextBegins = 'P';
constexpr std::uint8_t kTlsHandshake = 0x16;  // the content type that a ClientHello begins with

tl::unexpected<Error> no_header(std::string_view why) {
  return ktls::fail(Error::of(ErrorCode::kDecodeError, why));
}

}  // namespace

Result<void> HeaderReader::take(std::span<const std::uint8_t> bytes) {
  received_.insert(received_.end(), bytes.begin(), bytes.end());
  const bool is_text = received_.front() == kTextBegins;
  if (!is_text && received_.front() != kSignature.front()) {
    return no_header(received_.front() == kTlsHandshake ? "no PROXY header: TLS comes at once"
                                                        : "no PROXY header");
  }
  const std::string_view line(reinterpret_cast<const char*>(received_.data()), received_.size());
  KTLS_TRY(wanted_, is_text ? text_bytes_left(line) : binary_bytes_left(received_));
  if (wanted_ != 0) return {};
  KTLS_TRY(endpoints_, is_text ? decode_text_header(line) : decode_binary_header(received_));
  return {};
}

}  // namespace proxy_protocol
