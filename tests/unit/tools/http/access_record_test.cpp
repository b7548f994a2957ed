#include "tools/http/access_record.h"

#include <algorithm>
#include <chrono>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace http {
namespace {

using Kind = AccessLogFormat::Kind;

AccessRecord record() {
  AccessRecord record;
  record.time = std::chrono::system_clock::time_point(std::chrono::milliseconds(971211336042));
  record.peer = "127.0.0.1";
  record.peer_port = 40312;
  record.host = "example.org";
  record.method = "GET";
  record.target = "/apache_pb.gif";
  record.protocol = "HTTP/1.1";
  record.status = 200;
  record.sent_bytes = 2326;
  record.duration = std::chrono::microseconds(1250);
  record.referer = "http://www.example.com/start.html";
  record.user_agent = "Mozilla/4.08 [en] (Win98; I ;Nav)";
  record.tls_version = "TLSv1.3";
  record.cipher_suite = "TLS_AES_128_GCM_SHA256";
  record.tx = "kernel";
  record.tx_reason = "none";
  record.rx = "userspace";
  record.ranges = 1;
  record.ended = "complete";
  return record;
}

std::string line(const AccessRecord& record, std::string_view format) {
  return access_line(record, parse_access_log_format(format).value());
}

// The examples of httpd's manual ("Log Files"), but for the time zone.
TEST(AccessLine, IsApachesCommonFormat) {
  EXPECT_EQ(line(record(), "common"),
            "127.0.0.1 - - [10/Oct/2000:20:55:36 +0000] \"GET /apache_pb.gif HTTP/1.1\" 200 2326");
}

TEST(AccessLine, IsApachesCombinedFormat) {
  EXPECT_EQ(line(record(), "combined"),
            "127.0.0.1 - - [10/Oct/2000:20:55:36 +0000] \"GET /apache_pb.gif HTTP/1.1\" 200 2326 "
            "\"http://www.example.com/start.html\" \"Mozilla/4.08 [en] (Win98; I ;Nav)\"");
}

TEST(AccessLine, EndsWithThePlacementIfAsked) {
  EXPECT_EQ(line(record(), "common+tx"), line(record(), "common") + " \"kernel\"");
  EXPECT_EQ(line(record(), "combined+tx"), line(record(), "combined") + " \"kernel\"");
}

TEST(AccessLine, WritesADashForWhatIsAbsent) {
  AccessRecord empty;
  empty.status = 408;
  EXPECT_EQ(line(empty, "combined+tx"),
            "- - - [01/Jan/1970:00:00:00 +0000] \"-\" 408 - \"-\" \"-\" \"-\"");
}

TEST(AccessLine, ShowsARequestLineThatDidNotParse) {
  AccessRecord bad = record();
  bad.method = "";
  bad.protocol = "";
  bad.target = "\x16\x03\x01";
  EXPECT_NE(line(bad, "common").find(" \"\\x16\\x03\\x01\" "), std::string::npos);
}

TEST(AccessLine, EscapesAsApacheDoes) {
  AccessRecord hostile = record();
  hostile.user_agent = "a\"b\\c\b\n\r\t\v\x1b\x7f\xc3\xa9";
  hostile.target = std::string_view("/\0", 2);
  const std::string text = line(hostile, "combined");
  EXPECT_NE(text.find(R"("a\"b\\c\b\n\r\t\v\x1b\x7f\xc3\xa9")"), std::string::npos) << text;
  EXPECT_NE(text.find(R"("GET /\x00 HTTP/1.1")"), std::string::npos) << text;
}

TEST(AccessLine, HasEveryFieldInJson) {
  const auto json = nlohmann::json::parse(line(record(), "json"));
  EXPECT_EQ(json, (nlohmann::json{{"time", "2000-10-10T20:55:36.042Z"},
                                  {"peer", "127.0.0.1"},
                                  {"peer_port", 40312},
                                  {"host", "example.org"},
                                  {"method", "GET"},
                                  {"target", "/apache_pb.gif"},
                                  {"protocol", "HTTP/1.1"},
                                  {"status", 200},
                                  {"sent", 2326},
                                  {"duration_ms", 1.25},
                                  {"referer", "http://www.example.com/start.html"},
                                  {"user_agent", "Mozilla/4.08 [en] (Win98; I ;Nav)"},
                                  {"version", "TLSv1.3"},
                                  {"suite", "TLS_AES_128_GCM_SHA256"},
                                  {"tx", "kernel"},
                                  {"tx_reason", "none"},
                                  {"rx", "userspace"},
                                  {"ranges", 1},
                                  {"ended", "complete"}}));
  EXPECT_EQ(nlohmann::json::parse(line({}, "json")).size(), json.size());
}

TEST(AccessLine, IsOneLineOfAsciiWhateverThePeerSays) {
  std::string all_bytes;
  for (int byte = 0; byte < 256; ++byte) all_bytes += static_cast<char>(byte);
  AccessRecord hostile = record();
  hostile.host = hostile.method = hostile.target = hostile.referer = hostile.user_agent = all_bytes;
  for (const std::string_view format : {"common", "combined+tx", "json"}) {
    const std::string text = line(hostile, format);
    EXPECT_TRUE(std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7f; }))
        << text;
  }
  EXPECT_TRUE(nlohmann::json::accept(line(hostile, "json")));
}

TEST(AccessLine, CutsATextThatWouldTakeMoreThanEightThousandBytes) {
  constexpr std::size_t kWrittenMax = 8000;
  AccessRecord long_one = record();
  long_one.method = long_one.protocol = "";
  const std::string plain(kWrittenMax, 'a');
  const std::string longer = plain + "a";
  const std::string garbage(70'000, '\x80');
  for (const std::string_view format : {"common", "json"}) {
    long_one.target = plain;
    EXPECT_NE(line(long_one, format).find('"' + plain + '"'), std::string::npos) << format;
    long_one.target = longer;
    EXPECT_NE(line(long_one, format).find('"' + plain + "...\""), std::string::npos) << format;
    long_one.target = garbage;
    EXPECT_LT(line(long_one, format).size(), kWrittenMax + 1000) << format;
  }
  EXPECT_NE(line(long_one, "common").find("\\x80\\x80...\""), std::string::npos);
  EXPECT_NE(line(long_one, "json").find("\\ufffd\\ufffd...\""), std::string::npos);
}

// Each of these stands for `size` bytes of a line.
struct Written {
  std::string_view text;
  std::size_t size;
  std::string_view format;
};

TEST(AccessLine, CountsWhatIsWritten) {
  constexpr std::size_t kWrittenMax = 8000;
  constexpr Written kTexts[] = {{"a", 1, "common"},        {"\"", 2, "common"},
                                {"\\", 2, "common"},       {"\v", 2, "common"},
                                {"\f", 4, "common"},       {"\x7f", 4, "common"},
                                {"\xc3\xa9", 8, "common"}, {"\xff", 4, "common"},
                                {"a", 1, "json"},          {"\"", 2, "json"},
                                {"\\", 2, "json"},         {"\f", 2, "json"},
                                {"\t", 2, "json"},         {"\v", 6, "json"},
                                {"\x1b", 6, "json"},       {"\x7f", 6, "json"},
                                {"\xc3\xa9", 6, "json"},   {"\xe2\x82\xac", 6, "json"},
                                {"\xff", 6, "json"},       {"\xf0\x9f\x94\x92", 12, "json"}};
  AccessRecord long_one = record();
  long_one.method = long_one.protocol = "";
  for (const Written& each : kTexts) {
    SCOPED_TRACE(std::string(each.format) + " " + std::string(each.text));
    long_one.target = "-";
    const std::size_t bare = line(long_one, each.format).size() - 1;
    std::string text;
    for (std::size_t i = 0; i < kWrittenMax / each.size; ++i) text += each.text;
    long_one.target = text;
    EXPECT_EQ(line(long_one, each.format).size(), bare + kWrittenMax / each.size * each.size);
    EXPECT_EQ(line(long_one, each.format).find("..."), std::string::npos);
    text += each.text;
    long_one.target = text;
    EXPECT_EQ(line(long_one, each.format).size(),
              bare + kWrittenMax / each.size * each.size + std::string_view("...").size());
  }
}

TEST(AccessLine, WritesATargetOfQuotesWhole) {
  constexpr std::size_t kQuotes = 3990;
  AccessRecord quoted = record();
  const std::string target = "/x?" + std::string(kQuotes, '"');
  quoted.target = target;
  EXPECT_EQ(nlohmann::json::parse(line(quoted, "json"))["target"], target);
  std::string escaped = "/x?";
  for (std::size_t i = 0; i < kQuotes; ++i) escaped += "\\\"";
  EXPECT_NE(line(quoted, "combined").find("\"GET " + escaped + " HTTP/1.1\""), std::string::npos);
}

TEST(AccessLine, CutsNoCharacterInTwo) {
  AccessRecord long_one = record();
  for (int shift = 0; shift < 4; ++shift) {
    std::string text(static_cast<std::size_t>(shift), 'a');
    while (text.size() < 10'000) text += "\xf0\x9f\x94\x92";
    long_one.user_agent = text;
    const std::string written = nlohmann::json::parse(line(long_one, "json"))["user_agent"];
    ASSERT_TRUE(written.ends_with("\x92..."));
    EXPECT_EQ(written.substr(0, written.size() - 3), text.substr(0, written.size() - 3));
  }
}

TEST(AccessLine, IsShortWhateverIsLong) {
  const std::string garbage(70'000, '\xff');
  AccessRecord hostile = record();
  hostile.host = hostile.method = hostile.target = hostile.referer = hostile.user_agent = garbage;
  for (const std::string_view format : {"common", "combined+tx", "json"}) {
    EXPECT_LT(line(hostile, format).size(), 45'000U) << format;
  }
}

TEST(AccessLogFormat, IsOneOfFive) {
  EXPECT_EQ(parse_access_log_format("json")->kind, Kind::kJson);
  EXPECT_FALSE(parse_access_log_format("common")->with_tx);
  for (const std::string_view text : {"", "Common", "json+tx", "combined +tx"}) {
    const auto format = parse_access_log_format(text);
    ASSERT_FALSE(format) << text;
    EXPECT_NE(format.error().detail.find("expected common, combined"), std::string::npos);
  }
}

}  // namespace
}  // namespace http
