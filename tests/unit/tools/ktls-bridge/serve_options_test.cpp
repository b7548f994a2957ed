#include "tools/ktls-bridge/serve_options.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <gtest/gtest.h>

namespace tools {
namespace {

using std::chrono::seconds;
using Words = std::vector<std::string>;

struct Parsed {
  ServeOptions options;
  std::string objection;  // empty: none
};

Parsed parse_words(Words words) {
  Parsed parsed;
  CLI::App app;
  add_serve_command(app, parsed.options);
  std::reverse(words.begin(), words.end());  // as CLI11 wants them
  try {
    app.parse(words);
  } catch (const CLI::Error& error) {
    parsed.objection = error.what();
  }
  return parsed;
}

// `serve /srv --listen :8443` and `more`.
Parsed parse(const Words& more) {
  Words words = {"serve", "/srv", "--listen", ":8443"};
  words.insert(words.end(), more.begin(), more.end());
  return parse_words(std::move(words));
}

std::string objection_to(const Words& more) {
  const Parsed parsed = parse(more);
  if (!parsed.objection.empty()) return "parse: " + parsed.objection;
  const auto valid = validate(parsed.options);
  return valid ? "" : valid.error().detail;
}

bool mentions(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST(ServeOptions, HaveTheDefaultsThatTheManualNames) {
  const auto [options, objection] = parse({});
  EXPECT_EQ(objection, "");
  EXPECT_TRUE(validate(options));
  EXPECT_EQ(options.directory, "/srv");
  EXPECT_EQ(options.policy.documents.index_names, (Words{"index.html"}));
  EXPECT_EQ(options.policy.documents.symlinks, http::SymlinkPolicy::kBeneath);
  EXPECT_FALSE(options.policy.documents.dot_files);
  EXPECT_FALSE(options.policy.listing);
  EXPECT_TRUE(options.policy.precompressed);
  EXPECT_TRUE(options.policy.headers.empty());
  EXPECT_EQ(options.content, bridge::Content::kMayChange);
  EXPECT_EQ(options.request.head_size_max, 16384U);
  EXPECT_EQ(options.request_timeout, seconds(10));
  EXPECT_EQ(options.keep_alive, seconds(60));
  EXPECT_EQ(options.requests_max, 10'000U);
  EXPECT_EQ(options.pace.rate_least, 1024U);
  EXPECT_EQ(options.pace.grace, seconds(30));
  EXPECT_EQ(options.connections_per_address, 256U);
  EXPECT_EQ(options.access_log, "");
  EXPECT_FALSE(options.check);
}

TEST(ServeOptions, NeedADirectoryAndAListener) {
  EXPECT_NE(parse_words({"serve", "--listen", ":8443"}).objection, "");
  EXPECT_NE(parse_words({"serve", "/srv"}).objection, "");
}

TEST(ServeOptions, TakeEachHostWithItsOwnDirectoryAndCertificate) {
  const auto [options, objection] = parse({"--host", "Media.Example.org=/srv/media,m.pem,m.key",
                                           "--host", "*.example.net=/srv/net,n.pem,n.key"});
  EXPECT_EQ(objection, "");
  ASSERT_EQ(options.hosts.size(), 2U);
  ASSERT_EQ(options.tls.hosts.size(), 2U);
  EXPECT_EQ(options.hosts[0].name, "media.example.org");
  EXPECT_EQ(options.hosts[0].directory, "/srv/media");
  EXPECT_EQ(options.tls.hosts[0].name, "media.example.org");
  EXPECT_EQ(options.tls.hosts[0].certificate_file, "m.pem");
  EXPECT_EQ(options.tls.hosts[0].key_file, "m.key");
  EXPECT_EQ(options.hosts[1].name, "*.example.net");
}

TEST(ServeOptions, SayWhatIsWrongWithAHost) {
  for (const std::string wrong :
       {"", "example.org", "example.org=/srv", "example.org=/srv,c.pem", "example.org=,c.pem,k.pem",
        "example.org=/srv,,k.pem", "example.org=/srv,c.pem,k.pem,more"}) {
    EXPECT_TRUE(mentions(parse({"--host", wrong}).objection, "is not NAME=DIR,CERT,KEY")) << wrong;
  }
  EXPECT_TRUE(mentions(parse({"--host", "a b=/srv,c,k"}).objection, "--host"));
  EXPECT_TRUE(
      mentions(parse({"--host", "example.org=/a,c,k", "--host", "EXAMPLE.org=/b,c,k"}).objection,
               "names a host that is there already"));
}

TEST(ServeOptions, RedirectOnlyWhereThereIsAPortToGoTo) {
  EXPECT_EQ(objection_to({"--http", ":8080"}), "");
  EXPECT_EQ(objection_to({"--http", ":8080", "--listen", "unix:/run/x"}), "");
  const Parsed unix_only =
      parse_words({"serve", "/srv", "--listen", "unix:/run/x", "--listen", "unix:/run/y",  //
                   "--http", ":8080"});
  EXPECT_EQ(unix_only.objection, "");
  const auto valid = validate(unix_only.options);
  ASSERT_FALSE(valid);
  EXPECT_TRUE(mentions(valid.error().detail, "--http needs a --listen with a port"));
}

TEST(ServeOptions, ShapeFilesAndResponses) {
  const auto [options, objection] =
      parse({"--index", "index.html,index.htm", "--listing", "--dot-files", "--symlinks", "never",
             "--no-precompressed", "--files-never-change", "--hsts", "31536000", "--header",
             "X-Frame-Options: DENY", "--type", "wasm=application/wasm"});
  EXPECT_EQ(objection, "");
  EXPECT_EQ(options.policy.documents.index_names, (Words{"index.html", "index.htm"}));
  EXPECT_TRUE(options.policy.listing);
  EXPECT_TRUE(options.policy.documents.dot_files);
  EXPECT_EQ(options.policy.documents.symlinks, http::SymlinkPolicy::kNever);
  EXPECT_FALSE(options.policy.precompressed);
  EXPECT_EQ(options.content, bridge::Content::kFixed);
  std::map<std::string, std::string> headers;
  for (const http::OwnHeader& each : options.policy.headers) headers[each.name] = each.value;
  EXPECT_EQ(headers,
            (std::map<std::string, std::string>{{"Strict-Transport-Security", "max-age=31536000"},
                                                {"X-Frame-Options", "DENY"}}));
  EXPECT_EQ(options.media_types, (Words{"wasm=application/wasm"}));
}

TEST(ServeOptions, RefuseValuesThatCannotBe) {
  for (const Words& wrong :
       {Words{"--symlinks", "always"}, Words{"--max-head", "1"}, Words{"--max-requests", "0"},
        Words{"--keep-alive", "0"}, Words{"--header", "no colon"},
        Words{"--header", "Content-Length: 1"}, Words{"--access-log-format", "xml"},
        Words{"--hsts", "soon"}, Words{"--no-such-flag"}, Words{"another-directory"}}) {
    EXPECT_NE(parse(wrong).objection, "") << wrong.front();
  }
}

}  // namespace
}  // namespace tools
