// AccessRecord: what the access log says about one response, and the formats that it says it in.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "ktls/base/result.h"

namespace http {

struct AccessLogFormat {
  enum class Kind : std::uint8_t { kCommon, kCombined, kJson };
  Kind kind = Kind::kCombined;
  // Whether common and combined end with one field more, the placement of TX in quotes. JSON names
  // its fields and always has it.
  bool with_tx = false;
};

// "common", "combined", "common+tx", "combined+tx" or "json". Error: kInvalidArgument.
[[nodiscard]] ktls::Result<AccessLogFormat> parse_access_log_format(std::string_view text);

// What is empty was absent. Texts that came from the peer may hold any bytes.
struct AccessRecord {
  std::chrono::system_clock::time_point time;  // when the request was there
  std::string_view peer;                       // the address alone: "192.0.2.1", "2001:db8::1"
  std::uint16_t peer_port = 0;
  std::string_view host;
  std::string_view method;    // empty if the request line did not parse: then
  std::string_view target;    // this is the line as far as it was read,
  std::string_view protocol;  // and this, otherwise "HTTP/1.1", is empty
  unsigned status = 0;
  std::uint64_t sent_bytes = 0;  // of the body
  std::chrono::microseconds duration{};
  std::string_view referer;
  std::string_view user_agent;
  std::string_view tls_version;
  std::string_view cipher_suite;
  std::string_view tx;  // "userspace", "kernel", "nic"
  std::string_view tx_reason;
  std::string_view rx;
  unsigned ranges = 0;     // how many parts were sent, 0 if the whole
  std::string_view ended;  // how the response ended
};

// One line without its end. common and combined are Apache's, byte for byte, with the time in UTC:
// peers choose much of a line, so quotes, backslashes and all that is not printable ASCII are
// escaped as there, and nobody forges a line. A text that would take more than 8000 bytes of a line
// is cut, between two escapes, and ends with "...".
[[nodiscard]] std::string access_line(const AccessRecord& record, AccessLogFormat format);

}  // namespace http
