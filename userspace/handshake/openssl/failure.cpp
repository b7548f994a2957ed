// Reasons of failed handshakes, in words.
#include "userspace/handshake/openssl/failure.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "userspace/handshake/message_type.h"
#include "userspace/handshake/openssl/error_queue.h"
#include "userspace/handshake/openssl/hex.h"
#include "userspace/record/record_header.h"
#include "userspace/suite/alert.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;

// Methods of RFC 9110 section 9 and RFC 5789, and the preface of HTTP/2, as far as five bytes go;
// and how a server answers.
constexpr std::array<std::string_view, 10> kHttpBeginnings = {
    "GET ", "HEAD ", "POST ", "PUT ", "DELET", "CONNE", "OPTIO", "TRACE", "PATCH", "PRI *"};
constexpr std::string_view kHttpAnswer = "HTTP/";

// draft-hickman-netscape-ssl-00: a two-byte header with the high bit set, then CLIENT-HELLO; also
// how old clients ask for SSL 3.0 and TLS (RFC 5246 appendix E.2).
bool looks_like_ssl2(std::span<const std::uint8_t> bytes) {
  return bytes.size() >= 3 && (bytes[0] & 0x80) != 0 &&
         bytes[2] == static_cast<std::uint8_t>(MessageType::kClientHello);
}

// Else libssl has looked at the certificate all the same, and nobody has asked what it thinks.
bool judges_peer(const SslContext& context) {
  return context.role() == Role::kServer || context.verify() || !context.pins().empty();
}

std::string objection_to_peer(const SslConnection& connection, long verified) {
  std::string whose = "the peer's certificate";
  if (!connection.server_name().empty()) whose = "the certificate of " + connection.server_name();
  if (connection.context().role() == Role::kServer) whose = "the client's certificate";
  const std::string& objection = connection.objection();
  return whose + " is not accepted: " +
         (objection.empty() ? X509_verify_cert_error_string(verified) : objection);
}

}  // namespace

Error failure_of(const SslConnection& connection, std::optional<std::uint8_t> alert_received,
                 std::optional<std::uint8_t> alert_sent) {
  const std::string reasons = drain_error_queue();
  if (alert_received && !alert_sent) {
    return Error::alerting(
        ErrorCode::kPeerAlert, *alert_received,
        "the peer sent the alert " +
            std::string(name_of(static_cast<AlertDescription>(*alert_received))) + " (" +
            std::to_string(*alert_received) + ")");
  }
  const std::uint8_t alert = alert_sent.value_or(Error::kNoAlert);
  const long verified = SSL_get_verify_result(connection.ssl());
  if (verified != X509_V_OK && judges_peer(connection.context())) {
    return Error::alerting(ErrorCode::kVerifyFailed, alert,
                           objection_to_peer(connection, verified));
  }
  return Error::alerting(ErrorCode::kHandshakeFailed, alert, reasons);
}

Error not_tls(std::span<const std::uint8_t> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto begins_text = [text](std::string_view beginning) {
    return text.starts_with(beginning);
  };
  std::string detail = "not TLS: ";
  if (std::ranges::any_of(kHttpBeginnings, begins_text)) {
    detail += "http request";
  } else if (begins_text(kHttpAnswer)) {
    detail += "http response";
  } else if (looks_like_ssl2(bytes)) {
    detail += "SSLv2 hello";
  } else {
    detail += "starts with " + hex_of(bytes.first(std::min(bytes.size(), kRecordHeaderSize)), ' ');
  }
  return Error::of(ErrorCode::kHandshakeFailed, detail);
}

}  // namespace tls
