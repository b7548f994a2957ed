#include "tools/ktls-bridge/wrap_options.h"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <gtest/gtest.h>

namespace tools {
namespace {

using std::chrono::milliseconds;
using Words = std::vector<std::string>;

struct Parsed {
  WrapOptions options;
  std::string objection;  // empty: none
};

// `wrap --listen :8443 --to 127.0.0.1:80` and `more`.
Parsed parse(const Words& more) {
  Words words = {"wrap", "--listen", ":8443", "--to", "127.0.0.1:80"};
  words.insert(words.end(), more.begin(), more.end());
  Parsed parsed;
  CLI::App app;
  add_wrap_command(app, parsed.options);
  std::reverse(words.begin(), words.end());  // as CLI11 wants them
  try {
    app.parse(words);
  } catch (const CLI::Error& error) {
    parsed.objection = error.what();
  }
  return parsed;
}

std::string objection_to(const Words& more) {
  const Parsed parsed = parse(more);
  if (!parsed.objection.empty()) return "parse: " + parsed.objection;
  const auto valid = validate(parsed.options);
  return valid ? "" : valid.error().detail;
}

TEST(WrapOptions, HaveTheDefaultsThatTheManualNames) {
  const auto [options, objection] = parse({});
  EXPECT_EQ(objection, "");
  EXPECT_TRUE(validate(options));
  EXPECT_FALSE(options.client);
  EXPECT_EQ(options.tls.version_max, tls::ProtocolVersion::kTls13);
  EXPECT_EQ(options.tls.offload, bridge::OffloadPolicy::kAuto);
  EXPECT_EQ(options.service.loop, std::nullopt);
  EXPECT_GE(options.service.threads, 1U);
  EXPECT_EQ(options.service.max_connections, 4096U);
  EXPECT_EQ(options.tls.handshake_timeout, std::chrono::seconds(10));
  EXPECT_EQ(options.connect_timeout, std::chrono::seconds(5));
  EXPECT_EQ(options.idle_timeout, std::chrono::minutes(10));
  EXPECT_EQ(options.service.drain_timeout, std::chrono::seconds(30));
  EXPECT_EQ(options.service.log_format, LogFormat::kText);
  EXPECT_EQ(options.service.log_level, LogLevel::kInfo);
  EXPECT_FALSE(options.check);
}

TEST(WrapOptions, LetOnlyADrainTakeNoTime) {
  for (const std::string flag : {"--handshake-timeout", "--connect-timeout", "--idle-timeout"}) {
    EXPECT_NE(parse({flag + "=0"}).objection.find(flag), std::string::npos);
  }
  const auto [options, objection] = parse({"--drain-timeout=0ms"});
  EXPECT_EQ(objection, "");
  EXPECT_EQ(options.service.drain_timeout, milliseconds(0));
}

TEST(WrapOptions, TakeADurationForEachTimeout) {
  const auto [options, objection] =
      parse({"--handshake-timeout=1", "--connect-timeout=2", "--idle-timeout=3",
             "--drain-timeout=4", "--key-interval=5"});
  EXPECT_EQ(objection, "");
  EXPECT_EQ(options.tls.handshake_timeout, milliseconds(1000));
  EXPECT_EQ(options.connect_timeout, milliseconds(2000));
  EXPECT_EQ(options.idle_timeout, milliseconds(3000));
  EXPECT_EQ(options.service.drain_timeout, milliseconds(4000));
  EXPECT_EQ(options.tls.keys.update_interval, milliseconds(5000));
}

TEST(WrapOptions, TakeChoicesByNameOnly) {
  EXPECT_EQ(parse({"--offload", "never"}).options.tls.offload, bridge::OffloadPolicy::kNever);
  EXPECT_EQ(parse({"--offload", "kernel"}).options.tls.offload,
            bridge::OffloadPolicy::kRequireKernel);
  EXPECT_EQ(parse({"--loop", "epoll"}).options.service.loop, bridge::LoopKind::kEpoll);
  EXPECT_EQ(parse({"--loop", "io_uring"}).options.service.loop, bridge::LoopKind::kIoUring);
  EXPECT_EQ(parse({"--loop", "auto"}).options.service.loop, std::nullopt);
  EXPECT_EQ(parse({"--max-version", "1.2"}).options.tls.version_max, tls::ProtocolVersion::kTls12);
  EXPECT_EQ(parse({"--max-version", "1.3"}).options.tls.version_max, tls::ProtocolVersion::kTls13);
  EXPECT_EQ(parse({"--min-version", "1.3"}).options.tls.version_min, tls::ProtocolVersion::kTls13);
  EXPECT_EQ(parse({"--ciphers", "AES128-CCM8,TLS_RSA_WITH_AES_256_CCM"}).options.tls.ciphers,
            "AES128-CCM8,TLS_RSA_WITH_AES_256_CCM");
  EXPECT_EQ(parse({"--ciphersuites", "TLS_AES_128_CCM_8_SHA256"}).options.tls.ciphersuites,
            "TLS_AES_128_CCM_8_SHA256");
  EXPECT_EQ(parse({"--groups", "X448:P-521"}).options.tls.groups, "X448:P-521");
  EXPECT_EQ(parse({"--psk", "keys.txt"}).options.tls.psk_file, "keys.txt");
  EXPECT_EQ(parse({"--log-format", "json"}).options.service.log_format, LogFormat::kJson);
  EXPECT_EQ(parse({"--quiet"}).options.service.log_level, LogLevel::kWarning);
  EXPECT_EQ(parse({"--verbose"}).options.service.log_level, LogLevel::kDebug);
  EXPECT_EQ(parse({"--alpn", "h2,http/1.1"}).options.tls.alpn, (Words{"h2", "http/1.1"}));
  for (const Words& wrong :
       {Words{"--offload", "always"}, Words{"--loop", "uring"}, Words{"--log-format", "xml"},
        Words{"--quiet", "--verbose"}, Words{"--threads", "0"}, Words{"--threads", "257"},
        Words{"--max-version", "1.1"}, Words{"--max-version", "TLSv1.2"},
        Words{"--max-connections", "0"}, Words{"--no-such-flag"}}) {
    EXPECT_NE(parse(wrong).objection, "") << wrong.front();
  }
}

TEST(WrapOptions, TakeSeveralListenersAndOneAddressToGoTo) {
  const auto [options, objection] = parse({"--listen", "unix:/run/x", "--listen", "[::1]:1"});
  EXPECT_EQ(objection, "");
  ASSERT_EQ(options.listen.size(), 3U);
  EXPECT_EQ(options.listen[0].text(), ":8443");
  EXPECT_EQ(options.listen[1].text(), "unix:/run/x");
  EXPECT_EQ(options.listen[2].text(), "[::1]:1");
  EXPECT_EQ(options.to.text(), "127.0.0.1:80");
}

TEST(WrapOptions, KnowThatAProgramTakesMoreDescriptors) {
  EXPECT_EQ(parse({}).options.service.descriptors_per_connection, 2U);
  EXPECT_EQ(parse({"--exec", "--", "cat"}).options.service.descriptors_per_connection, 4U);
}

TEST(WrapOptions, KnowTheHeadersOfTheProxyProtocol) {
  EXPECT_FALSE(parse({}).options.accept_proxy);
  EXPECT_TRUE(parse({"--accept-proxy"}).options.accept_proxy);
  EXPECT_EQ(parse({}).options.send_proxy, std::nullopt);
  EXPECT_EQ(parse({"--send-proxy", "v1"}).options.send_proxy, ProxyHeader::kText);
  EXPECT_EQ(parse({"--send-proxy", "v2"}).options.send_proxy, ProxyHeader::kBinary);
  EXPECT_EQ(parse({"--send-proxy", "v2-addresses"}).options.send_proxy, ProxyHeader::kAddresses);
  EXPECT_NE(parse({"--send-proxy", "v3"}).objection.find("--send-proxy"), std::string::npos);
}

TEST(WrapOptions, SayWhatIsWrongWithAnAddress) {
  EXPECT_NE(objection_to({"--listen", "localhost"}).find("'localhost': there is no port"),
            std::string::npos);
}

TEST(WrapOptions, NeedListenAndToOrAProgram) {
  struct Lack {
    Words words;
    std::string_view objection;
  };
  const Lack lacks[] = {{{"--listen", ":1"}, "one of --to, --exec and --fd"},
                        {{"--to", "localhost:1"}, "--listen is missing"},
                        {{"--exec", "--", "cat"}, "--listen is missing"},
                        {{"--listen", ":1", "--fd", "3", "--", "cat"}, "--listen and --fd"},
                        {{"--listen", ":1", "--to", ":2", "--exec", "--", "cat"}, "exclude"},
                        {{}, "--listen is missing"}};
  for (const auto& [words, objection] : lacks) {
    SCOPED_TRACE(objection);
    WrapOptions options;
    CLI::App app;
    add_wrap_command(app, options);
    Words all = {"wrap"};
    all.insert(all.end(), words.begin(), words.end());
    std::reverse(all.begin(), all.end());
    app.parse(all);
    const auto valid = validate(options);
    ASSERT_FALSE(valid);
    EXPECT_NE(valid.error().detail.find(objection), std::string::npos) << valid.error().detail;
  }
}

struct Contradiction {
  Words words;
  std::string_view objection;
};

TEST(WrapOptions, AreCheckedAgainstEachOther) {
  const Contradiction contradictions[] = {
      {{"--key", "k.pem"}, "--key needs --cert"},
      {{"--ca", "ca.pem"}, "--ca, --name and --insecure need --client"},
      {{"--name", "x"}, "--ca, --name and --insecure need --client"},
      {{"--insecure"}, "--ca, --name and --insecure need --client"},
      {{"--client", "--key", "k.pem"}, "--key needs --cert"},
      {{"--client", "--cert-dir", "certs"}, "leave them out with --client"},
      {{"--client", "--cert", "c.pem", "--ocsp", "o.der"}, "leave them out with --client"},
      {{"--client", "--client-ca", "ca.pem"}, "leave them out with --client"},
      {{"--client", "--crl", "list.pem"}, "--crl needs --ca"},
      {{"--crl", "list.pem"}, "--crl and --pin need --client"},
      {{"--pin", "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},
       "--crl and --pin need --client"},
      {{"--pin", "sha256//"}, "is not sha256// and the base64 of 32 bytes"},
      {{"--client", "--insecure", "--ca", "ca.pem"}, "exclude each other"},
      {{"--alpn", std::string(256, 'a')}, "1 to 255 bytes"},
  };
  for (const auto& [words, objection] : contradictions) {
    SCOPED_TRACE(words.front());
    EXPECT_NE(objection_to(words).find(objection), std::string::npos) << objection_to(words);
  }
  for (const Words& words :
       {Words{}, Words{"--client", "--cert", "c.pem", "--key", "k.pem"},
        Words{"--client", "--insecure", "--pin",
              "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},
        Words{"--client", "--ca", "ca.pem", "--crl", "list.pem"}, Words{"--cert", "c.pem"},
        Words{"--cert", "c.pem", "--key", "k.pem"}, Words{"--client"},
        Words{"--client", "--insecure"}, Words{"--client", "--ca", "ca.pem"},
        Words{"--client", "--name", "x"}, Words{"--alpn", std::string(255, 'a')}}) {
    EXPECT_EQ(objection_to(words), "");
  }
}

TEST(WrapOptions, NeedAnAddressThatCanBeConnectedTo) {
  WrapOptions options = parse({}).options;
  options.to = parse_address("localhost:0").value();
  ASSERT_FALSE(validate(options));
  EXPECT_NE(validate(options).error().detail.find("port 0"), std::string::npos);

  // A path says no name to verify.
  options = parse({"--client"}).options;
  options.to = parse_address("unix:/run/x").value();
  ASSERT_FALSE(validate(options));
  EXPECT_NE(validate(options).error().detail.find("give --name NAME"), std::string::npos);
  options.name = "server.test";
  EXPECT_TRUE(validate(options));
}

}  // namespace
}  // namespace tools
