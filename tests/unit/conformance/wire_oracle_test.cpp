#include "tests/conformance/wire_oracle.h"

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/userspace/handshake/peers.h"
#include "userspace/suite/alert.h"

namespace conformance {
namespace {

using tls::ContentType;
using tls::ProtocolVersion;
using tls::Role;
using tls::test::Bytes;

const Pattern kFromClient(1);
const Pattern kFromServer(2);
constexpr std::array<std::uint8_t, 2> kCloseNotify = {1, 0};
constexpr std::array<std::uint8_t, 5> kKeyUpdate = {24, 0, 0, 1, 0};

// A side of a connection, of whose output a copy is kept.
class Tap final : public tls::test::Peer {
 public:
  Tap(const std::shared_ptr<tls::Context>& context, Role role) : peer_(context, role) {}

  void receive(const Bytes& bytes) override { peer_.receive(bytes); }
  Bytes take_output() override {
    Bytes output = peer_.take_output();
    captured_.insert(captured_.end(), output.begin(), output.end());
    return output;
  }

  tls::test::OurPeer& peer() { return peer_; }
  Bytes take_captured() { return std::move(captured_); }

 private:
  tls::test::OurPeer peer_;
  Bytes captured_;
};

// What a side put on the wire, a record each.
struct Capture {
  std::vector<Bytes> records;
  std::size_t content = 0;

  void add(const Bytes& record) { records.push_back(record); }
};

class WireOracleTest : public testing::TestWithParam<ProtocolVersion> {
 protected:
  // A connection of two of our own sides: the handshake, and three records of content each way.
  void SetUp() override {
    tls::ServerOptions server;
    tls::ClientOptions client;
    server.version_min = server.version_max = client.version_min = client.version_max = GetParam();
    server.keylog = [this](std::string_view line) { keys_.append(line); };
    client.verify = false;
    Tap server_tap(*tls::Context::server(server), Role::kServer);
    Tap client_tap(*tls::Context::client(client), Role::kClient);
    tls::test::converse(client_tap, server_tap);
    client_.emplace(tls::test::finish(client_tap.peer()));
    server_.emplace(tls::test::finish(server_tap.peer()));
    split(client_tap.take_captured(), from_client_);
    split(server_tap.take_captured(), from_server_);
    handshake_records_ = from_client_.records.size();
    for (const std::size_t size : {100, 16384, 1}) {
      from_client_.add(content(*client_, kFromClient, from_client_, size));
      from_server_.add(content(*server_, kFromServer, from_server_, size));
    }
  }

  static void split(Bytes wire, Capture& capture) {
    for (Bytes record; !(record = tls::test::take_record(wire)).empty();) capture.add(record);
    ASSERT_TRUE(wire.empty());
  }

  static Bytes content(tls::test::Connection& side, const Pattern& pattern, Capture& capture,
                       std::size_t size) {
    Bytes bytes(size);
    pattern.fill(capture.content, bytes);
    capture.content += size;
    return side.seal(ContentType::kApplicationData, bytes);
  }

  void close() {
    from_client_.add(client_->seal(ContentType::kAlert, kCloseNotify));
    from_server_.add(server_->seal(ContentType::kAlert, kCloseNotify));
  }

  static ktls::Result<void> observe(WireStream& stream, const Capture& capture) {
    for (const Bytes& record : capture.records) {
      if (auto observed = stream.observe(record); !observed) return observed;
    }
    return stream.finish();
  }

  // What is said of the client's records. The server's hello comes first, as on a real wire.
  ktls::Result<void> judge() {
    WireOracle oracle(keys_, kFromClient, kFromServer);
    EXPECT_TRUE(oracle.from(Role::kClient).observe(from_client_.records[0]));
    EXPECT_TRUE(oracle.from(Role::kServer).observe(from_server_.records[0]));
    Capture rest = from_client_;
    rest.records.erase(rest.records.begin());
    return observe(oracle.from(Role::kClient), rest);
  }

  // Fails, naming the client's record of that index.
  void expect_objection(std::size_t index, std::string_view why) {
    const auto judged = judge();
    ASSERT_FALSE(judged);
    const std::string message = judged.error().message();
    EXPECT_TRUE(message.starts_with("client to server, record " + std::to_string(index) + ","))
        << message;
    EXPECT_NE(message.find(why), std::string::npos) << message;
  }

  KeyLog keys_;
  std::optional<tls::test::Connection> client_;
  std::optional<tls::test::Connection> server_;
  Capture from_client_;
  Capture from_server_;
  std::size_t handshake_records_ = 0;  // of the client
};

TEST_P(WireOracleTest, OpensEveryRecordOfAConnection) {
  close();
  WireOracle oracle(keys_, kFromClient, kFromServer);
  WireStream& client = oracle.from(Role::kClient);
  WireStream& server = oracle.from(Role::kServer);
  ASSERT_TRUE(client.observe(from_client_.records[0]));
  ASSERT_TRUE(server.observe(from_server_.records[0]));
  from_client_.records.erase(from_client_.records.begin());
  from_server_.records.erase(from_server_.records.begin());
  const auto client_judged = observe(client, from_client_);
  EXPECT_TRUE(client_judged) << client_judged.error().message();
  const auto server_judged = observe(server, from_server_);
  EXPECT_TRUE(server_judged) << server_judged.error().message();
  EXPECT_EQ(oracle.hellos().version, GetParam());
  EXPECT_EQ(oracle.hellos().suite, client_->negotiated().suite);
  EXPECT_EQ(client.content_size(), from_client_.content);
  EXPECT_EQ(client.data_records(), 3U);
  // Finished in TLS 1.2 or nothing, the content, close_notify; our server sends two tickets.
  const bool is_13 = GetParam() == ProtocolVersion::kTls13;
  EXPECT_EQ(client.sequence(), is_13 ? 4U : 5U);
  EXPECT_EQ(server.sequence(), is_13 ? 6U : 5U);
  EXPECT_EQ(server.late_messages(), is_13 ? 2U : 0U);
}

TEST_P(WireOracleTest, TakesTheBytesInAnyPieces) {
  close();
  WireOracle oracle(keys_, kFromClient, kFromServer);
  ASSERT_TRUE(oracle.from(Role::kServer).observe(from_server_.records[0]));
  WireStream& client = oracle.from(Role::kClient);
  for (const Bytes& record : from_client_.records) {
    for (const std::uint8_t& byte : record) ASSERT_TRUE(client.observe({&byte, 1}));
  }
  EXPECT_TRUE(client.finish());
}

TEST_P(WireOracleTest, WaitsForSecretsThatAreToldLater) {
  close();
  const KeyLog none;
  WireOracle oracle(none, kFromClient, kFromServer);
  ASSERT_TRUE(oracle.from(Role::kServer).observe(from_server_.records[0]));
  WireStream& client = oracle.from(Role::kClient);
  for (const Bytes& record : from_client_.records) ASSERT_TRUE(client.observe(record));
  const auto judged = client.finish();
  ASSERT_FALSE(judged);
  EXPECT_NE(judged.error().message().find("no key log line"), std::string::npos);
}

TEST_P(WireOracleTest, NamesTheRecordWithAFlippedBit) {
  close();
  for (std::size_t index = handshake_records_; index < from_client_.records.size(); ++index) {
    Bytes& record = from_client_.records[index];
    record.back() ^= 1U;
    expect_objection(index, "");
    record.back() ^= 1U;
  }
  EXPECT_TRUE(judge());
}

TEST_P(WireOracleTest, NoticesASequenceNumberThatWasLeftOut) {
  static_cast<void>(client_->seal(ContentType::kApplicationData, std::array<std::uint8_t, 1>{}));
  close();
  expect_objection(from_client_.records.size() - 1, "number");
}

TEST_P(WireOracleTest, NoticesARecordThatIsMissing) {
  close();
  from_client_.records.erase(from_client_.records.begin() +
                             static_cast<std::ptrdiff_t>(handshake_records_));
  expect_objection(handshake_records_, "number");
}

TEST_P(WireOracleTest, NoticesARecordThatIsRepeated) {
  close();
  auto& records = from_client_.records;
  const auto first = records.begin() + static_cast<std::ptrdiff_t>(handshake_records_);
  records.insert(first + 1, Bytes(*first));
  expect_objection(handshake_records_ + 1, "number");
}

TEST_P(WireOracleTest, NoticesKeysOfAnotherConnection) {
  KeyLog& keys = keys_;
  const std::string label =
      GetParam() == ProtocolVersion::kTls13 ? "CLIENT_TRAFFIC_SECRET_0" : "CLIENT_RANDOM";
  const std::size_t size = keys.secret(label).size();
  keys.append(label + " 00 " + std::string(2 * size, '0'));
  close();
  const auto judged = judge();
  ASSERT_FALSE(judged);
  EXPECT_TRUE(judged.error().message().starts_with("client to server, record"));
}

TEST_P(WireOracleTest, NoticesContentThatIsAnother) {
  from_client_.add(client_->seal(ContentType::kApplicationData, std::array<std::uint8_t, 1>{}));
  expect_objection(from_client_.records.size() - 1, "byte 16485 of the content is another");
}

TEST_P(WireOracleTest, NoticesAnEndWithoutCloseNotify) {
  expect_objection(from_client_.records.size(), "without close_notify");
}

TEST_P(WireOracleTest, NoticesAnAlertThatIsNoCloseNotify) {
  const std::array<std::uint8_t, 2> alert = {
      2, tls::code_of(tls::AlertDescription::kUnexpectedMessage)};
  from_client_.add(client_->seal(ContentType::kAlert, alert));
  expect_objection(from_client_.records.size() - 1, "an alert that is not close_notify");
}

TEST_P(WireOracleTest, NoticesARecordAfterCloseNotify) {
  close();
  from_client_.add(content(*client_, kFromClient, from_client_, 1));
  expect_objection(from_client_.records.size() - 1, "after close_notify");
}

TEST_P(WireOracleTest, NoticesHalfARecordAtTheEnd) {
  close();
  from_client_.add({23, 3, 3, 0});
  expect_objection(from_client_.records.size() - 1, "no whole record");
}

class WireOracle13Test : public WireOracleTest {};

TEST_P(WireOracle13Test, FollowsAKeyUpdate) {
  auto secret = tls::derive_next_traffic_secret(*client_->negotiated().suite,
                                                keys_.secret("CLIENT_TRAFFIC_SECRET_0"));
  auto keys = tls::derive_traffic_keys(*client_->negotiated().suite, *secret);
  auto state =
      tls::ConnectionState::create(GetParam(), *client_->negotiated().suite, *std::move(keys));
  from_client_.add(client_->seal(ContentType::kHandshake, kKeyUpdate));
  Bytes record(state->sealed_size(kCloseNotify.size()));
  ASSERT_TRUE(state->seal({.type = ContentType::kAlert, .content = kCloseNotify}, record));
  from_client_.add(record);
  const auto judged = judge();
  EXPECT_TRUE(judged) << judged.error().message();
}

std::string version_name(const testing::TestParamInfo<ProtocolVersion>& info) {
  return info.param == ProtocolVersion::kTls12 ? "Tls12" : "Tls13";
}

INSTANTIATE_TEST_SUITE_P(Versions, WireOracleTest,
                         testing::Values(ProtocolVersion::kTls12, ProtocolVersion::kTls13),
                         version_name);
INSTANTIATE_TEST_SUITE_P(Versions, WireOracle13Test, testing::Values(ProtocolVersion::kTls13),
                         version_name);

}  // namespace
}  // namespace conformance
