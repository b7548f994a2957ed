#include "tools/ktls-bridge/connection_log.h"

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace tools {
namespace {

// The line without its duration, which no test knows.
std::string line_of(const ConnectionLog& log) {
  LogFields fields = log.fields();
  std::erase_if(fields, [](const auto& field) { return field.first == "duration"; });
  return text_line("connection", fields);
}

ConnectionLog finished() {
  ConnectionLog log;
  log.peer = "10.0.0.1:40000";
  log.to = "127.0.0.1:80";
  log.facts = bridge::ConnectionFacts{.version = tls::ProtocolVersion::kTls13,
                                      .suite = tls::find_cipher_suite(0x1301),
                                      .role = tls::Role::kServer,
                                      .resumed = true,
                                      .peer_name = "server.test",
                                      .host = 0,
                                      .alpn = "h2"};
  log.placement =
      bridge::Plan{.receive = {ktls::Placement::kUserspace, ktls::Reason::kRekeyImpossible},
                   .transmit = {ktls::Placement::kKernel, ktls::Reason::kNone}};
  log.received = 12;
  log.sent = 34;
  log.ended = "clean";
  return log;
}

TEST(ConnectionLog, SaysWhereEachDirectionRanAndWhy) {
  EXPECT_EQ(line_of(finished()),
            "connection peer=10.0.0.1:40000 to=127.0.0.1:80 name=server.test version=TLSv1.3 "
            "suite=TLS_AES_128_GCM_SHA256 alpn=h2 resumed=yes tx=kernel rx=userspace "
            "rx_reason=rekey_impossible received=12 sent=34 ended=clean");
}

TEST(ConnectionLog, TellsWhoTheClientIsInOneWordAndNoMoreThanThatMuch) {
  ConnectionLog log = finished();
  log.facts->peer_certificate = tls::PeerCertificate{.subject = "CN=device \\\"7\\\"\n,O=Example",
                                                     .issuer = "CN=i",
                                                     .common_name = {},
                                                     .sha256 = {}};
  EXPECT_NE(
      line_of(log).find(" name=server.test "
                        "client=\"CN=device \\\\\\\"7\\\\\\\"\\x0a,O=Example\" version=TLSv1.3 "),
      std::string::npos)
      << line_of(log);
  const std::string begin = "CN=" + std::string(1020, 'a');
  log.facts->peer_certificate->subject = begin + "\u00e9" + std::string(9000, 'b');
  const LogFields fields = log.fields();
  const auto client = std::ranges::find(fields, "client", &LogFields::value_type::first);
  ASSERT_NE(client, fields.end());
  EXPECT_EQ(std::get<std::string>(client->second), begin + "...");
}

TEST(ConnectionLog, NamesTheBalancerThatToldOfThePeer) {
  Origin origin{.peer = {}, .destination = {}, .via = {}};
  ConnectionLog log = finished();
  log.take(origin);
  EXPECT_EQ(line_of(log).find(" via="), std::string::npos);
  origin.via =
      resolve({.kind = Address::Kind::kTcp, .host = "192.0.2.1", .port = 5, .path = {}}, false)
          ->front();
  log.take(origin);
  EXPECT_TRUE(line_of(log).starts_with("connection peer=? via=192.0.2.1:5 to=127.0.0.1:80 "));
  EXPECT_EQ(log.started, origin.accepted);
}

TEST(ConnectionLog, LeavesOutWhatNeverCameToBe) {
  ConnectionLog log;
  log.peer = "10.0.0.1:40000";
  log.to = "127.0.0.1:80";
  log.ended = "handshake";
  log.detail = "not TLS: http request";
  EXPECT_EQ(line_of(log),
            "connection peer=10.0.0.1:40000 to=127.0.0.1:80 received=0 sent=0 ended=handshake "
            "detail=\"not TLS: http request\"");
}

TEST(ConnectionLog, TellsRemarksReasonsAndNamelessPeers) {
  ConnectionLog log = finished();
  log.facts->peer_name.clear();
  log.facts->alpn.clear();
  log.transmit_remark = ktls::Reason::kPipeLimit;
  log.ended = "alert";
  log.reason = "rekey_impossible";
  EXPECT_EQ(line_of(log),
            "connection peer=10.0.0.1:40000 to=127.0.0.1:80 name=- version=TLSv1.3 "
            "suite=TLS_AES_128_GCM_SHA256 resumed=yes tx=kernel tx_remark=pipe_limit rx=userspace "
            "rx_reason=rekey_impossible received=12 sent=34 ended=alert reason=rekey_impossible");
}

TEST(ConnectionLog, NamesTheEndingThatItsErrorTellsOfOrElseThePhase) {
  using ktls::Error;
  using ktls::ErrorCode;
  const std::pair<Error, std::string> endings[] = {
      {Error::of(ErrorCode::kTimeout, "late"), "timeout"},
      {Error::of(ErrorCode::kCancelled, "drained"), "cancelled"},
      {Error::system(ECONNRESET, "recv"), "reset"},
      {Error::alerting(ErrorCode::kPeerAlert, 42, "bad_certificate"), "alert"},
      {Error::alerting(ErrorCode::kHandshakeFailed, 40, "no common suite"), "handshake"},
      {Error::of(ErrorCode::kEndOfStream, "closed"), "handshake"},
      {Error::system(EBADF, "recv"), "handshake"},
  };
  for (const auto& [error, expected] : endings) {
    ConnectionLog log;
    log.end(error, "handshake");
    EXPECT_EQ(log.ended, expected) << error.message();
    EXPECT_EQ(log.detail, error.message());
  }
}

}  // namespace
}  // namespace tools
