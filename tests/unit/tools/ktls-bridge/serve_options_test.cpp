#include "tools/ktls-bridge/serve_options.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <gtest/gtest.h>

namespace tools {
namespace {

using std::chrono::seconds;
using Words = std::vector<std::string>;

// What is wrong with `serve` and `words`; empty: nothing.
std::string parse(Words words, ServeOptions& options) {
  CLI::App app;
  add_serve_command(app, options);
  words.insert(words.begin(), "serve");
  std::reverse(words.begin(), words.end());  // as CLI11 wants them
  try {
    app.parse(words);
  } catch (const CLI::Error& error) {
    return std::string("parse: ") + error.what();
  }
  const auto valid = validate(options);
  return valid ? "" : valid.error().detail;
}

std::string objection_to(const Words& more) {
  ServeOptions options;
  Words words = {"/srv/www", "--listen", ":8443"};
  words.insert(words.end(), more.begin(), more.end());
  return parse(words, options);
}

TEST(ServeOptions, HaveTheDefaultsThatTheManualNames) {
  ServeOptions options;
  EXPECT_EQ(parse({"/srv/www", "--listen", ":8443"}, options), "");
  EXPECT_EQ(options.directory, "/srv/www");
  EXPECT_EQ(options.policy.documents.index_names, Words{"index.html"});
  EXPECT_EQ(options.policy.documents.symlinks, http::SymlinkPolicy::kBeneath);
  EXPECT_FALSE(options.policy.documents.dot_files);
  EXPECT_FALSE(options.policy.listing);
  EXPECT_TRUE(options.policy.precompressed);
  EXPECT_TRUE(options.policy.headers.empty());
  EXPECT_EQ(options.content, bridge::Content::kMayChange);
  EXPECT_EQ(options.service.max_connections, 4096U);
  EXPECT_EQ(options.connections_per_address, 256U);
  EXPECT_EQ(options.requests_max, 10'000U);
  EXPECT_EQ(options.request.head_size_max, 16'384U);
  EXPECT_EQ(options.request.fields_max, 100U);
  EXPECT_EQ(options.pace.rate_least, 1024U);
  EXPECT_EQ(options.pace.grace, seconds(30));
  EXPECT_EQ(options.request_timeout, seconds(10));
  EXPECT_EQ(options.keep_alive, seconds(60));
  EXPECT_EQ(options.access_log, "");
  EXPECT_EQ(options.access_log_format.kind, http::AccessLogFormat::Kind::kCombined);
  EXPECT_TRUE(options.access_log_format.with_tx);
}

TEST(ServeOptions, SpeakHttp1ByNameAndNothingElse) {
  ServeOptions options;
  EXPECT_EQ(parse({".", "--listen", ":8443"}, options), "");
  EXPECT_EQ(options.tls.alpn, (Words{"http/1.1", "http/1.0"}));
}

TEST(ServeOptions, TakeHostsWithDirectoryCertificateAndKey) {
  ServeOptions options;
  EXPECT_EQ(parse({".", "--listen", ":1", "--host", "A.example.org=/a=b,a.pem,a.key", "--host",
                   "*.example.net=/n,n.pem,"},
                  options),
            "");
  ASSERT_EQ(options.hosts.size(), 2U);
  EXPECT_EQ(options.hosts[0].name, "a.example.org");
  EXPECT_EQ(options.hosts[0].directory, "/a=b");
  EXPECT_EQ(options.tls.hosts[0].certificate_file, "a.pem");
  EXPECT_EQ(options.tls.hosts[0].key_file, "a.key");
  EXPECT_EQ(options.hosts[1].name, "*.example.net");
  EXPECT_EQ(options.tls.hosts[1].key_file, "");
}

TEST(ServeOptions, RefuseHostsThatAreNone) {
  for (const std::string text :
       {"a.example.org", "a.example.org=/a", "a.example.org=/a,a.pem", "a.example.org=/a,b,c,d",
        "a.example.org=,a.pem,a.key", "a.example.org=/a,,a.key", "=/a,a.pem,a.key",
        "a b=/a,a.pem,a.key"}) {
    EXPECT_NE(objection_to({"--host", text}), "") << text;
  }
  EXPECT_NE(objection_to({"--host", "a.org=/a,b,c", "--host", "A.ORG=/a,b,c"})
                .find("names a host that is there already"),
            std::string::npos);
}

TEST(ServeOptions, ShapeFilesAndResponses) {
  ServeOptions options;
  EXPECT_EQ(
      parse({".", "--listen", ":1", "--index", "index.html,index.htm", "--listing", "--dot-files",
             "--symlinks", "never", "--no-precompressed", "--files-never-change", "--hsts",
             "31536000", "--header", "X-Frame-Options: DENY", "--type", "wasm=application/wasm"},
            options),
      "");
  EXPECT_EQ(options.policy.documents.index_names, (Words{"index.html", "index.htm"}));
  EXPECT_TRUE(options.policy.listing);
  EXPECT_TRUE(options.policy.documents.dot_files);
  EXPECT_EQ(options.policy.documents.symlinks, http::SymlinkPolicy::kNever);
  EXPECT_FALSE(options.policy.precompressed);
  EXPECT_EQ(options.content, bridge::Content::kFixed);
  EXPECT_EQ(options.media_types, Words{"wasm=application/wasm"});
  std::map<std::string, std::string> headers;
  for (const http::OwnHeader& each : options.policy.headers) headers[each.name] = each.value;
  EXPECT_EQ(headers,
            (std::map<std::string, std::string>{{"Strict-Transport-Security", "max-age=31536000"},
                                                {"X-Frame-Options", "DENY"}}));
}

TEST(ServeOptions, NeedAPortToRedirectTo) {
  const std::string objection = "--http needs a --listen with a port to redirect to";
  for (const Words& listens : {Words{"unix:/run/a"}, Words{"unix:/run/a", "unix:/run/b"}}) {
    Words words = {".", "--http", ":80"};
    for (const std::string& each : listens) words.insert(words.end(), {"--listen", each});
    ServeOptions options;
    EXPECT_EQ(parse(words, options), objection);
  }
  EXPECT_EQ(objection_to({"--listen", "unix:/run/a", "--http", ":80"}), "");
}

TEST(ServeOptions, RefuseValuesThatWouldBreakResponses) {
  for (const Words& wrong :
       {Words{"--header", "Content-Length: 1"}, Words{"--header", "no colon"},
        Words{"--cache", "*.css=max-agee=1"}, Words{"--cache", "a/b=no-store"},
        Words{"--hsts", "-1"}, Words{"--min-rate", "-1"}, Words{"--max-per-address", "-1"},
        Words{"--hsts", "long"}, Words{"--symlinks", "anywhere"},
        Words{"--access-log-format", "xml"}, Words{"--max-head", "100"},
        Words{"--max-requests", "0"}, Words{"--keep-alive", "0"}, Words{"--key", "alone.pem"},
        Words{"--alpn", "h2"}}) {
    EXPECT_NE(objection_to(wrong), "") << wrong.back();
  }
}

TEST(ServeOptions, NeedADirectoryAndAnAddress) {
  for (const Words& words : {Words{"."}, Words{"--listen", ":1"}, Words{}}) {
    ServeOptions options;
    EXPECT_NE(parse(words, options).find("required"), std::string::npos);
  }
}

}  // namespace
}  // namespace tools
