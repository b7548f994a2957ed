// The formats of the access log.

#include "tools/http/access_record.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <iterator>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tools/http/code_point.h"

namespace http {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using Kind = AccessLogFormat::Kind;

// A head may be longer by far, and what is none longer still. Of the targets that are served only
// those are cut that come near RequestLimits::target_size_max and hold quotes or backslashes.
constexpr std::size_t kWrittenMax = 8000;
constexpr std::string_view kCutMark = "...";

// What a byte becomes that is not written as it is: a letter behind a backslash, or else "\x80", in
// JSON "\u001b".
constexpr std::size_t kLetterSize = 2;
constexpr std::size_t kApacheEscapeSize = 4;
constexpr std::size_t kJsonEscapeSize = 6;

struct NamedFormat {
  std::string_view name;
  AccessLogFormat format;
};

constexpr NamedFormat kFormats[] = {
    {"common", {Kind::kCommon, false}},     {"common+tx", {Kind::kCommon, true}},
    {"combined", {Kind::kCombined, false}}, {"combined+tx", {Kind::kCombined, true}},
    {"json", {Kind::kJson, false}},
};

std::tm utc_of(std::chrono::system_clock::time_point time) {
  const std::time_t seconds =
      std::chrono::system_clock::to_time_t(std::chrono::floor<std::chrono::seconds>(time));
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  return utc;
}

// "10/Oct/2000:13:55:36 +0000", with English months in every locale.
std::string apache_time(std::chrono::system_clock::time_point time) {
  constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::tm utc = utc_of(time);
  return fmt::format("{:02}/{}/{:04}:{:02}:{:02}:{:02} +0000", utc.tm_mday,
                     kMonths.at(static_cast<std::size_t>(utc.tm_mon)), utc.tm_year + 1900,
                     utc.tm_hour, utc.tm_min, utc.tm_sec);
}

// RFC 3339: "2000-10-10T13:55:36.042Z".
std::string rfc3339_time(std::chrono::system_clock::time_point time) {
  const std::tm utc = utc_of(time);
  const auto ms =
      std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count() % 1000;
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900,
                     utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, ms);
}

// The letter behind the backslash of C for those controls that httpd writes so, else 0.
constexpr char letter_for(char c) {
  switch (c) {
    case '\b':
      return 'b';
    case '\n':
      return 'n';
    case '\r':
      return 'r';
    case '\t':
      return 't';
    case '\v':
      return 'v';
    case '"':
    case '\\':
      return c;
    default:
      return '\0';
  }
}

constexpr bool is_printable(char c) {
  return c >= ' ' && c < 0x7f;
}

// The bytes that one character is written in: a byte, where the text is not UTF-8.
std::size_t apache_size(std::string_view character) {
  if (character.size() > 1) return character.size() * kApacheEscapeSize;
  if (letter_for(character[0]) != '\0') return kLetterSize;
  return is_printable(character[0]) ? 1 : kApacheEscapeSize;
}

// Of several malformed bytes the library may replace some by one character.
std::size_t json_size(std::string_view character) {
  constexpr std::string_view kWithLetter = "\b\f\n\r\t\"\\";
  constexpr std::size_t kSurrogatesFrom = 4;  // what takes so many bytes takes two escapes
  if (character.size() == kSurrogatesFrom) return 2 * kJsonEscapeSize;
  if (character.size() > 1) return kJsonEscapeSize;
  if (kWithLetter.find(character[0]) != std::string_view::npos) return kLetterSize;
  return is_printable(character[0]) ? 1 : kJsonEscapeSize;
}

// As much of `text`, from its beginning, as is written in kWrittenMax bytes. What is UTF-8 is cut
// between two characters.
std::string_view beginning_of(std::string_view text, std::size_t (*size_of)(std::string_view)) {
  if (text.size() * kJsonEscapeSize <= kWrittenMax) return text;  // fits whatever it holds
  std::size_t written = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    const std::size_t size = std::max<std::size_t>(decode_first(rest).size, 1);
    written += size_of(rest.substr(0, size));
    if (written > kWrittenMax) return text.substr(0, at);
    at += size;
  }
  return text;
}

// As ap_escape_logitem() of httpd's server/util.c.
void append_escaped(std::string& line, std::string_view item) {
  for (const char c : item) {
    if (const char letter = letter_for(c); letter != '\0') {
      line += '\\';
      line += letter;
    } else if (is_printable(c)) {
      line += c;
    } else {
      fmt::format_to(std::back_inserter(line), "\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
}

void append_text(std::string& line, std::string_view text) {
  const std::string_view beginning = beginning_of(text, apache_size);
  append_escaped(line, beginning);
  if (beginning.size() != text.size()) line += kCutMark;
}

void append_quoted(std::string& line, std::string_view text) {
  line += " \"";
  append_text(line, text.empty() ? "-" : text);
  line += '"';
}

void append_request_line(std::string& line, const AccessRecord& record) {
  if (record.method.empty()) {
    append_quoted(line, record.target);
    return;
  }
  line += " \"";
  append_text(line, record.method);
  line += ' ';
  append_text(line, record.target);
  if (!record.protocol.empty()) line.append(" ").append(record.protocol);
  line += '"';
}

// "%h %l %u %t \"%r\" %>s %b", and for combined " \"%{Referer}i\" \"%{User-Agent}i\"".
std::string apache_line(const AccessRecord& record, AccessLogFormat format) {
  std::string line;
  append_text(line, record.peer.empty() ? "-" : record.peer);
  line.append(" - - [").append(apache_time(record.time)).append("]");
  append_request_line(line, record);
  fmt::format_to(std::back_inserter(line), " {} {}", record.status,
                 record.sent_bytes == 0 ? "-" : fmt::to_string(record.sent_bytes));
  if (format.kind == Kind::kCombined) {
    append_quoted(line, record.referer);
    append_quoted(line, record.user_agent);
  }
  if (format.with_tx) append_quoted(line, record.tx);
  return line;
}

std::string json_text(std::string_view text) {
  std::string beginning(beginning_of(text, json_size));
  if (beginning.size() != text.size()) beginning += kCutMark;
  return beginning;
}

// Every line has every field, so that a table can be made of them.
std::string json_line(const AccessRecord& record) {
  nlohmann::ordered_json line;
  line["time"] = rfc3339_time(record.time);
  line["peer"] = record.peer;
  line["peer_port"] = record.peer_port;
  line["host"] = json_text(record.host);
  line["method"] = json_text(record.method);
  line["target"] = json_text(record.target);
  line["protocol"] = record.protocol;
  line["status"] = record.status;
  line["sent"] = record.sent_bytes;
  line["duration_ms"] = static_cast<double>(record.duration.count()) / 1000;
  line["referer"] = json_text(record.referer);
  line["user_agent"] = json_text(record.user_agent);
  line["version"] = record.tls_version;
  line["suite"] = record.cipher_suite;
  line["tx"] = record.tx;
  line["tx_reason"] = record.tx_reason;
  line["rx"] = record.rx;
  line["ranges"] = record.ranges;
  line["ended"] = record.ended;
  // Bytes that are not UTF-8 are replaced: a peer must not stop the log.
  return line.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

ktls::Result<AccessLogFormat> parse_access_log_format(std::string_view text) {
  const auto* const row = std::find_if(std::begin(kFormats), std::end(kFormats),
                                       [&](const auto& each) { return each.name == text; });
  if (row != std::end(kFormats)) return row->format;
  return ktls::fail(
      Error::of(ErrorCode::kInvalidArgument,
                fmt::format("'{}' is no access log format: expected common, combined, common+tx, "
                            "combined+tx or json",
                            text)));
}

std::string access_line(const AccessRecord& record, AccessLogFormat format) {
  return format.kind == Kind::kJson ? json_line(record) : apache_line(record, format);
}

}  // namespace http
