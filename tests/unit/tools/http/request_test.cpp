#include "tools/http/request.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

namespace http {
namespace {

using Answer = std::variant<NeedMore, Request, Refusal>;

// The answer to `bytes` that arrive one by one, with how many of them it took.
std::pair<Answer, std::size_t> read_slowly(std::string_view bytes, const RequestLimits& limits) {
  RequestReader reader(limits);
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    // In memory of its own, where reading too far shows under ASan.
    static std::string received;
    received.assign(bytes.substr(0, size));
    received.shrink_to_fit();
    Answer answer = reader.read(received);
    if (!std::holds_alternative<NeedMore>(answer)) return {std::move(answer), size};
  }
  return {NeedMore{}, bytes.size()};
}

// 0 for NeedMore, 200 for a Request. Asked for twice: at once and byte by byte.
int status_of(const Answer& answer) {
  if (std::holds_alternative<Request>(answer)) return 200;
  const auto* const refusal = std::get_if<Refusal>(&answer);
  return refusal == nullptr ? 0 : refusal->status;
}

int status(std::string_view bytes, const RequestLimits& limits = {}) {
  const int at_once = status_of(RequestReader(limits).read(bytes));
  EXPECT_EQ(status_of(read_slowly(bytes, limits).first), at_once) << bytes;
  return at_once;
}

// The request of these lines, each without its end; the empty line is added.
Request request_of(std::string_view& bytes, std::string& storage,
                   const std::vector<std::string_view>& lines) {
  for (const auto line : lines) storage.append(line).append("\r\n");
  storage.append("\r\n");
  bytes = storage;
  Answer answer = RequestReader().read(bytes);
  if (const auto* refusal = std::get_if<Refusal>(&answer)) ADD_FAILURE() << refusal->reason;
  return std::holds_alternative<Request>(answer) ? std::get<Request>(std::move(answer)) : Request();
}

// What a head with these lines after the request line and Host is answered with.
int status_with(const std::vector<std::string_view>& lines, std::string_view version = "1.1") {
  std::string bytes = "GET / HTTP/";
  bytes.append(version).append("\r\nHost: a\r\n");
  for (const auto line : lines) bytes.append(line).append("\r\n");
  return status(bytes.append("\r\n"));
}

class RequestOf {
 public:
  explicit RequestOf(const std::vector<std::string_view>& lines)
      : request_(request_of(bytes_, storage_, lines)) {}
  RequestOf(const RequestOf&) = delete;
  RequestOf& operator=(const RequestOf&) = delete;

  const Request* operator->() const { return &request_; }

 private:
  std::string storage_;
  std::string_view bytes_;
  Request request_;
};

TEST(RequestReader, SplitsARequestIntoItsParts) {
  const std::string_view bytes =
      "GET /a?b HTTP/1.1\r\nHost: example.org:8443\r\nUser-Agent:  curl/8 \t\r\n"
      "X-Unknown: 1\r\nRange: bytes=0-1\r\n\r\nGET /next";
  Answer answer = RequestReader().read(bytes);
  ASSERT_TRUE(std::holds_alternative<Request>(answer));
  const Request& request = std::get<Request>(answer);
  EXPECT_EQ(request.method, Method::kGet);
  EXPECT_EQ(request.method_token, "GET");
  EXPECT_EQ(request.target, "/a?b");
  EXPECT_EQ(request.version_minor, 1);
  EXPECT_TRUE(request.keep_alive);
  EXPECT_EQ(request.host(), "example.org:8443");
  EXPECT_EQ(request.field(Field::kUserAgent), "curl/8");
  EXPECT_EQ(request.field(Field::kRange), "bytes=0-1");
  EXPECT_EQ(request.field(Field::kAccept), std::nullopt);
  EXPECT_EQ(request.body, Body::kNone);
  EXPECT_EQ(bytes.substr(request.head_size), "GET /next");
}

TEST(RequestReader, TellsMethodsApartWithTheirCase) {
  const auto method = [](std::string_view line) {
    return std::pair(RequestOf({line, "Host: a"})->method,
                     std::string(RequestOf({line, "Host: a"})->method_token));
  };
  EXPECT_EQ(method("GET / HTTP/1.1"), std::pair(Method::kGet, std::string("GET")));
  EXPECT_EQ(method("HEAD / HTTP/1.1"), std::pair(Method::kHead, std::string("HEAD")));
  EXPECT_EQ(method("get / HTTP/1.1"), std::pair(Method::kOther, std::string("get")));
  EXPECT_EQ(method("POST / HTTP/1.1"), std::pair(Method::kOther, std::string("POST")));
  EXPECT_EQ(method("BREW! / HTTP/1.1"), std::pair(Method::kOther, std::string("BREW!")));
  EXPECT_EQ(status("G(T / HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
}

TEST(RequestReader, AnswersAlikeHoweverTheBytesArrive) {
  const std::string_view bytes = "\r\nHEAD /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\nrest";
  const auto [slow, taken] = read_slowly(bytes, {});
  ASSERT_TRUE(std::holds_alternative<Request>(slow));
  EXPECT_EQ(taken, bytes.size() - 4);
  const Request& request = std::get<Request>(slow);
  EXPECT_EQ(request.head_size, bytes.size() - 4);
  EXPECT_EQ(request.method, Method::kHead);
  EXPECT_TRUE(request.keep_alive);
  EXPECT_EQ(request.version_minor, 0);
}

TEST(RequestReader, ReadsRequestsOneBehindTheOther) {
  std::string_view bytes = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
  RequestReader reader;
  for (const std::string_view target : {"/1", "/2"}) {
    Answer answer = reader.read(bytes);
    ASSERT_TRUE(std::holds_alternative<Request>(answer));
    EXPECT_EQ(std::get<Request>(answer).target, target);
    bytes.remove_prefix(std::get<Request>(answer).head_size);
  }
  EXPECT_TRUE(std::holds_alternative<NeedMore>(reader.read(bytes)));
}

TEST(RequestReader, NeedsMoreUntilTheEmptyLine) {
  const std::string_view bytes = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(status(bytes.substr(0, size)), 0) << size;
  }
  EXPECT_EQ(status(bytes), 200);
}

TEST(RequestReader, SkipsAFewEmptyLinesBeforeARequest) {
  const std::string request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  EXPECT_EQ(status("\r\n" + request), 200);
  EXPECT_EQ(status("\r\n\r\n\r\n\r\n" + request), 200);
  EXPECT_EQ(status("\r\n\r\n\r\n\r\n\r\n" + request), 400);
  EXPECT_EQ(status("\r\n\r\n\r\n\r\n\r"), 0);
  EXPECT_EQ(status("\n" + request), 400);
}

TEST(RequestReader, RefusesLinesThatDoNotEndInCrLf) {
  EXPECT_EQ(status("GET / HTTP/1.1\nHost: a\n\n"), 400);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: a\n\r\n"), 400);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: a\r\n\n"), 400);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n"), 400);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: a\r\n\rX: b\r\n\r\n"), 400);
  EXPECT_EQ(status("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(status("GET /\r HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
}

TEST(RequestReader, RefusesMalformedRequestLines) {
  for (const std::string_view line : {"GET /",
                                      "GET  / HTTP/1.1",
                                      "GET / HTTP/1.1 ",
                                      "GET /  HTTP/1.1",
                                      " GET / HTTP/1.1",
                                      "GET\t/ HTTP/1.1",
                                      "GET / x HTTP/1.1",
                                      "GET / http/1.1",
                                      "GET / HTTP/1",
                                      "GET / HTTP/1.10",
                                      "GET / HTTP/01.1",
                                      "GET / HTTP/1,1",
                                      "GET / HTTP/a.b",
                                      "GET / ICAP/1.1",
                                      "GET HTTP/1.1",
                                      "/ HTTP/1.1",
                                      "GET /#top HTTP/1.1",
                                      "GET /\xc3\xa9 HTTP/1.1",
                                      "GET /\x01 HTTP/1.1",
                                      "GET /\x7f HTTP/1.1",
                                      "G\xc3T / HTTP/1.1",
                                      "GET"}) {
    std::string bytes(line);
    EXPECT_EQ(status(bytes.append("\r\nHost: a\r\n\r\n")), 400) << line;
  }
  EXPECT_EQ(status(std::string("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 28)), 400);
}

TEST(RequestReader, Refuses505ForOtherVersions) {
  for (const std::string_view version : {"0.9", "1.2", "2.0", "3.0", "9.9"}) {
    EXPECT_EQ(status_with({}, version), 505) << version;
  }
  EXPECT_EQ(status("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
}

TEST(RequestReader, WantsExactlyOneValidHost) {
  EXPECT_EQ(status("GET / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status("GET / HTTP/1.0\r\n\r\n"), 200);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost:\r\n\r\n"), 200);
  EXPECT_EQ(status_with({"Host: b"}), 400);
  EXPECT_EQ(status_with({"hOST: a"}), 400);
  EXPECT_EQ(status_with({"Host: a"}, "1.0"), 400);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost:\r\nHost:\r\n\r\n"), 400);
  for (const std::string_view host : {"a b", "a/b", "user@a", "a, b", "[::1", "a:x", "<a>"}) {
    std::string bytes = "GET / HTTP/1.1\r\nHost: ";
    EXPECT_EQ(status(bytes.append(host).append("\r\n\r\n")), 400) << host;
  }
}

TEST(RequestReader, RefusesMalformedFieldLines) {
  for (const std::string_view line : {"X : a", "X\t: a", ": a", "X", "X a", "X(: a", "X\x80: a",
                                      "\"X\": a", "X@: a", "X/Y: a", "X\x01: a"}) {
    EXPECT_EQ(status_with({line}), 400) << line;
  }
}

TEST(RequestReader, RefusesFoldedLines) {
  EXPECT_EQ(status_with({"X: a", " b"}), 400);
  EXPECT_EQ(status_with({"X: a", "\tb"}), 400);
  EXPECT_EQ(status_with({"X: a", " "}), 400);
  EXPECT_EQ(status("GET / HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n"), 400);
}

TEST(RequestReader, RefusesControlCharactersInValuesAndNothingElse) {
  for (int octet = 0; octet < 256; ++octet) {
    const std::string value = {'a', static_cast<char>(octet), 'b'};
    const bool is_control = (octet < 0x20 && octet != '\t') || octet == 0x7f;
    for (const std::string_view name : {"X-Unknown: ", "User-Agent: "}) {
      const std::string line = std::string(name) + value;
      EXPECT_EQ(status_with({line}), is_control ? 400 : 200) << octet;
    }
  }
}

TEST(RequestReader, KeepsToItsLimits) {
  const RequestLimits limits{.head_size_max = 200, .target_size_max = 40, .fields_max = 3};
  const auto with_target = [](std::size_t size) {
    return "GET /" + std::string(size - 1, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n";
  };
  EXPECT_EQ(status(with_target(40), limits), 200);
  EXPECT_EQ(status(with_target(41), limits), 414);
  EXPECT_EQ(status(with_target(1000), limits), 414);
  EXPECT_EQ(status(std::string(1000, 'A'), limits), 501);
  EXPECT_EQ(status(std::string(1000, '('), limits), 400);

  const auto with_fields = [](int count) {
    std::string bytes = "GET / HTTP/1.1\r\nHost: a\r\n";
    for (int i = 1; i < count; ++i) bytes += "A: b\r\n";
    return bytes + "\r\n";
  };
  EXPECT_EQ(status(with_fields(3), limits), 200);
  EXPECT_EQ(status(with_fields(4), limits), 431);

  const auto of_size = [](std::size_t size) {
    const std::string begin = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
    return begin + std::string(size - begin.size() - 4, 'x') + "\r\n\r\n";
  };
  EXPECT_EQ(status(of_size(200), limits), 200);
  EXPECT_EQ(status(of_size(201), limits), 431);
  EXPECT_EQ(status("\r\n" + of_size(199), limits), 431);
  EXPECT_EQ(status(of_size(100) + std::string(1000, 'x'), limits), 200);
}

TEST(RequestReader, HasLimitsForTheUsualBrowsers) {
  const std::string begin = "GET / HTTP/1.1\r\nHost: a\r\nCookie: ";
  EXPECT_EQ(status(begin + std::string(15000, 'x') + "\r\n\r\n"), 200);
  EXPECT_EQ(status(begin + std::string(17000, 'x') + "\r\n\r\n"), 431);
  EXPECT_EQ(status("GET /" + std::string(7999, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
  EXPECT_EQ(status("GET /" + std::string(8000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n"), 414);
}

TEST(RequestReader, JoinsFieldLinesInTheirOrder) {
  const RequestOf request({"GET / HTTP/1.1", "Host: a", "If-None-Match: \"1\"",
                           "accept-encoding:", "IF-NONE-MATCH: \"2\"", "Accept-Encoding: gzip",
                           "If-None-Match: \"3\""});
  EXPECT_EQ(request->field(Field::kIfNoneMatch), "\"1\", \"2\", \"3\"");
  EXPECT_EQ(request->field(Field::kAcceptEncoding), ", gzip");
}

TEST(RequestReader, TellsAnEmptyFieldFromAnAbsentOne) {
  const RequestOf request({"GET / HTTP/1.1", "Host: a", "Accept-Encoding: \t "});
  EXPECT_EQ(request->field(Field::kAcceptEncoding), "");
  EXPECT_EQ(request->field(Field::kAccept), std::nullopt);
}

TEST(RequestReader, KeepsJoinedFieldsWhenTheRequestIsMoved) {
  const std::string_view bytes =
      "GET / HTTP/1.1\r\nHost: a\r\nIf-Match: \"1\"\r\nIf-Match: \"2\"\r\n\r\n";
  Request first = std::get<Request>(RequestReader().read(bytes));
  const Request second = std::move(first);
  EXPECT_EQ(second.field(Field::kIfMatch), "\"1\", \"2\"");
}

TEST(RequestReader, KeepsTheConnectionByVersionAndConnectionField) {
  struct Case {
    std::string_view version;
    std::string_view connection;
    bool is_kept;
  };
  for (const Case& each :
       {Case{"1.1", "", true}, Case{"1.1", "close", false}, Case{"1.1", "Close", false},
        Case{"1.1", "upgrade, close", false}, Case{"1.1", "keep-alive, close", false},
        Case{"1.1", "closed", true}, Case{"1.0", "", false}, Case{"1.0", "Keep-Alive", true},
        Case{"1.0", "keep-alive, close", false}, Case{"1.1", "TE", true}}) {
    const std::string line = "GET / HTTP/" + std::string(each.version);
    const std::string connection = "Connection: " + std::string(each.connection);
    EXPECT_EQ(RequestOf({line, "Host: a", connection})->keep_alive, each.is_kept)
        << each.version << " " << each.connection;
  }
  EXPECT_FALSE(
      RequestOf({"GET / HTTP/1.1", "Host: a", "Connection: TE", "Connection: close"})->keep_alive);
}

TEST(RequestReader, TellsTheSizeOfABody) {
  const RequestOf request({"GET / HTTP/1.1", "Host: a", "Content-Length: 18446744073709551615"});
  EXPECT_EQ(request->body, Body::kSized);
  EXPECT_EQ(request->content_length, 18446744073709551615U);
  const RequestOf empty({"GET / HTTP/1.1", "Host: a", "Content-Length: 000"});
  EXPECT_EQ(empty->body, Body::kNone);
  const RequestOf chunked({"GET / HTTP/1.1", "Host: a", "Transfer-Encoding: Chunked"});
  EXPECT_EQ(chunked->body, Body::kChunked);
}

TEST(RequestReader, RefusesAContentLengthThatIsNotOneNumber) {
  for (const std::string_view value : {"", "-1", "+1", "1x", "0x1", "1 2", "1,1", "1, 2", "1,",
                                       ",1", "1.0", "18446744073709551616", "\xb2"}) {
    std::string line = "Content-Length: ";
    line.append(value);
    EXPECT_EQ(status_with({line}), 400) << value;
  }
  EXPECT_EQ(status_with({"Content-Length: 1", "Content-Length: 2"}), 400);
  EXPECT_EQ(status_with({"Content-Length: 1", "Content-Length: 1"}), 400);
}

TEST(RequestReader, RefusesTransferEncodingBesideContentLength) {
  EXPECT_EQ(status_with({"Content-Length: 1", "Transfer-Encoding: chunked"}), 400);
  EXPECT_EQ(status_with({"Transfer-Encoding: chunked", "Content-Length: 1"}), 400);
  EXPECT_EQ(status_with({"Transfer-Encoding: gzip", "Content-Length: 1"}), 400);
  EXPECT_EQ(status_with({"Content-Length: 0", "Transfer-Encoding: gzip"}), 400);
}

TEST(RequestReader, RefusesTransferCodingsThatHideTheEnd) {
  for (const std::string_view value : {"gzip", "identity", "chunked, gzip", "chunked, chunked", "",
                                       ",", "chunked;x=1", "xchunked", "\"chunked\""}) {
    std::string line = "Transfer-Encoding: ";
    line.append(value);
    EXPECT_EQ(status_with({line}), 400) << value;
  }
  EXPECT_EQ(status_with({"Transfer-Encoding: chunked", "Transfer-Encoding: chunked"}), 400);
  EXPECT_EQ(status_with({"Transfer-Encoding: gzip", "Transfer-Encoding: chunked"}), 400);
  EXPECT_EQ(status_with({"Transfer-Encoding: gzip, chunked"}), 501);
  EXPECT_EQ(status_with({"Transfer-Encoding: chunked"}, "1.0"), 400);
}

TEST(RequestReader, ExpectsContinueOnlyWithABodyAndInVersion11) {
  const auto expects = [](std::string_view version, std::string_view expect,
                          std::string_view size) {
    const std::string line = "PUT / HTTP/" + std::string(version);
    const std::string second = "Expect: " + std::string(expect);
    const std::string third = "Content-Length: " + std::string(size);
    return RequestOf({line, "Host: a", second, third})->expects_continue;
  };
  EXPECT_TRUE(expects("1.1", "100-continue", "1"));
  EXPECT_TRUE(expects("1.1", "100-Continue", "1"));
  EXPECT_FALSE(expects("1.0", "100-continue", "1"));
  EXPECT_FALSE(expects("1.1", "100-continue", "0"));
  EXPECT_FALSE(expects("1.1", "101", "1"));
}

TEST(RequestReader, TellsWhetherWhatItRefusedBeganAsHead) {
  EXPECT_TRUE(begins_as_head("HEAD / HTTP/9.9\r\n"));
  EXPECT_TRUE(begins_as_head("\r\n\r\nHEAD /"));
  for (const std::string_view received : {"", "\r\n", "HEAD", "HEADS /", "GET /HEAD ", "head /"}) {
    EXPECT_FALSE(begins_as_head(received)) << received;
  }
}

}  // namespace
}  // namespace http
