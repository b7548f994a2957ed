// What handshake messages mean after the hand-over, by version and role.
#include "userspace/handshake/post_handshake.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "userspace/suite/alert.h"

namespace tls::test {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using Bytes = std::vector<std::uint8_t>;

constexpr auto kTls12 = ProtocolVersion::kTls12;
constexpr auto kTls13 = ProtocolVersion::kTls13;
constexpr std::uint8_t kHelloRequest = 0, kClientHello = 1, kNewSessionTicket = 4,
                       kCertificateRequest = 13, kFinished = 20, kKeyUpdate = 24;

Bytes message(std::uint8_t type, const Bytes& body = {}) {
  Bytes bytes = {type, static_cast<std::uint8_t>(body.size() >> 16),
                 static_cast<std::uint8_t>(body.size() >> 8),
                 static_cast<std::uint8_t>(body.size())};
  bytes.insert(bytes.end(), body.begin(), body.end());
  return bytes;
}

Bytes operator+(Bytes left, const Bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

// Remembers what it was given.
class RememberingSink final : public TicketSink {
 public:
  explicit RememberingSink(std::vector<Bytes>& tickets) : tickets_(tickets) {}
  ktls::Result<void> take(std::span<const std::uint8_t> bytes) override {
    if (bytes.size() == 4) {
      return ktls::fail(Error::alerting(ErrorCode::kDecodeError,
                                        code_of(AlertDescription::kDecodeError), "empty"));
    }
    tickets_.emplace_back(bytes.begin(), bytes.end());
    return {};
  }

 private:
  std::vector<Bytes>& tickets_;
};

class PostHandshakeTest : public testing::Test {
 protected:
  std::unique_ptr<PostHandshake> make(ProtocolVersion version, Role role) {
    std::unique_ptr<TicketSink> sink;
    if (version == kTls13 && role == Role::kClient) {
      sink = std::make_unique<RememberingSink>(tickets_);
    }
    return make_post_handshake(version, role, std::move(sink));
  }

  void expect_error(ProtocolVersion version, Role role, const Bytes& content, ErrorCode code,
                    AlertDescription alert) {
    const auto post_handshake = make(version, role);
    for (int again = 0; again < 2; ++again) {
      const auto received = post_handshake->receive(content);
      ASSERT_FALSE(received);
      EXPECT_EQ(received.error().code, code) << received.error().detail;
      EXPECT_EQ(received.error().alert, code_of(alert)) << received.error().detail;
    }
  }

  std::vector<Bytes> tickets_;
};

TEST_F(PostHandshakeTest, TakesTicketsAndAKeyUpdateOfOneRecordInOrder) {
  const auto client = make(kTls13, Role::kClient);
  const auto events =
      client->receive(message(kNewSessionTicket, {1}) + message(kNewSessionTicket, {2, 2}) +
                      message(kKeyUpdate, {1}));
  ASSERT_TRUE(events) << events.error().detail;
  ASSERT_EQ(events->size(), 3U);
  EXPECT_TRUE(std::get<TicketReceived>((*events)[0]).kept);
  EXPECT_TRUE(std::get<TicketReceived>((*events)[1]).kept);
  EXPECT_TRUE(std::get<KeyUpdateReceived>((*events)[2]).update_requested);
  EXPECT_EQ(tickets_, (std::vector<Bytes>{message(kNewSessionTicket, {1}),
                                          message(kNewSessionTicket, {2, 2})}));
}

TEST_F(PostHandshakeTest, PutsAMessageTogetherFromSingleBytes) {
  const auto client = make(kTls13, Role::kClient);
  const Bytes content = message(kNewSessionTicket, Bytes(1000, 7)) + message(kKeyUpdate, {0});
  std::size_t events_seen = 0;
  for (std::size_t i = 0; i < content.size(); ++i) {
    const auto events = client->receive({&content[i], 1});
    ASSERT_TRUE(events) << events.error().detail;
    events_seen += events->size();
    const bool between = i == 1003 || i == content.size() - 1;
    EXPECT_EQ(client->inside_message(), !between) << i;
  }
  EXPECT_EQ(events_seen, 2U);
  EXPECT_EQ(tickets_, std::vector<Bytes>{message(kNewSessionTicket, Bytes(1000, 7))});
}

TEST_F(PostHandshakeTest, TellsWhetherOurKeyMustChangeToo) {
  for (const Role role : {Role::kClient, Role::kServer}) {
    const auto post_handshake = make(kTls13, role);
    for (const std::uint8_t request : Bytes{0, 1}) {
      const auto events = post_handshake->receive(message(kKeyUpdate, {request}));
      ASSERT_TRUE(events);
      ASSERT_EQ(events->size(), 1U);
      EXPECT_EQ(std::get<KeyUpdateReceived>(events->front()).update_requested, request == 1);
    }
  }
}

TEST_F(PostHandshakeTest, RefusesAKeyUpdateThatAsksForNeitherValue) {
  expect_error(kTls13, Role::kServer, message(kKeyUpdate, {2}), ErrorCode::kDecodeError,
               AlertDescription::kIllegalParameter);
}

TEST_F(PostHandshakeTest, RefusesAKeyUpdateOfAnotherSize) {
  expect_error(kTls13, Role::kClient, message(kKeyUpdate), ErrorCode::kDecodeError,
               AlertDescription::kDecodeError);
  expect_error(kTls13, Role::kClient, message(kKeyUpdate, {0, 0}), ErrorCode::kRecordOverflow,
               AlertDescription::kDecodeError);
}

TEST_F(PostHandshakeTest, RefusesAKeyUpdateThatDoesNotEndItsRecord) {
  for (const Bytes& after : {message(kKeyUpdate, {0}), Bytes{kNewSessionTicket}}) {
    expect_error(kTls13, Role::kClient, message(kKeyUpdate, {0}) + after,
                 ErrorCode::kUnexpectedMessage, AlertDescription::kUnexpectedMessage);
  }
}

TEST_F(PostHandshakeTest, RefusesMessagesThatHaveNoPlace) {
  const auto unexpected = [this](ProtocolVersion version, Role role, std::uint8_t type) {
    expect_error(version, role, message(type, {0}), ErrorCode::kUnexpectedMessage,
                 AlertDescription::kUnexpectedMessage);
  };
  unexpected(kTls13, Role::kServer, kNewSessionTicket);
  unexpected(kTls13, Role::kServer, kClientHello);
  unexpected(kTls13, Role::kServer, kFinished);
  unexpected(kTls13, Role::kClient, kCertificateRequest);
  unexpected(kTls13, Role::kClient, kHelloRequest);
  unexpected(kTls12, Role::kClient, kKeyUpdate);
  unexpected(kTls12, Role::kClient, kNewSessionTicket);
  unexpected(kTls12, Role::kClient, kClientHello);
  unexpected(kTls12, Role::kServer, kHelloRequest);
  unexpected(kTls12, Role::kServer, kFinished);
}

TEST_F(PostHandshakeTest, RefusesARecordWithoutContent) {
  for (const Role role : {Role::kClient, Role::kServer}) {
    expect_error(kTls13, role, {}, ErrorCode::kUnexpectedMessage,
                 AlertDescription::kUnexpectedMessage);
    expect_error(kTls12, role, {}, ErrorCode::kUnexpectedMessage,
                 AlertDescription::kUnexpectedMessage);
  }
}

TEST_F(PostHandshakeTest, RefusesATooLongMessageAtItsHeader) {
  const auto too_long = [this](ProtocolVersion version, Role role, const Bytes& header) {
    expect_error(version, role, header, ErrorCode::kRecordOverflow, AlertDescription::kDecodeError);
  };
  too_long(kTls13, Role::kClient, {kNewSessionTicket, 2, 1, 11});  // 131339
  too_long(kTls12, Role::kServer, {kClientHello, 1, 0, 1});
  too_long(kTls12, Role::kClient, {kHelloRequest, 0, 0, 1});
  const auto longest = make(kTls13, Role::kClient)->receive(Bytes{kNewSessionTicket, 2, 1, 10});
  EXPECT_TRUE(longest);
}

TEST_F(PostHandshakeTest, TellsThatATls12PeerWantsToRenegotiate) {
  const auto client = make(kTls12, Role::kClient);
  const auto asked = client->receive(message(kHelloRequest) + message(kHelloRequest));
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->size(), 2U);
  EXPECT_TRUE(std::holds_alternative<RenegotiationRequested>(asked->front()));
  const auto server = make(kTls12, Role::kServer);
  const auto begun = server->receive(message(kClientHello, Bytes(300, 1)));
  ASSERT_TRUE(begun);
  ASSERT_EQ(begun->size(), 1U);
  EXPECT_TRUE(std::holds_alternative<RenegotiationRequested>(begun->front()));
}

TEST_F(PostHandshakeTest, CountsAndDropsTicketsAfterRelease) {
  const auto client = make(kTls13, Role::kClient);
  ASSERT_TRUE(client->receive(message(kNewSessionTicket, {1})));
  client->release();
  const auto events = client->receive(message(kNewSessionTicket, {2}));
  ASSERT_TRUE(events);
  EXPECT_FALSE(std::get<TicketReceived>(events->front()).kept);
  EXPECT_EQ(client->tickets_dropped(), 1U);
  EXPECT_EQ(tickets_.size(), 1U);
}

TEST_F(PostHandshakeTest, PassesOnWhatTheSinkObjectsTo) {
  expect_error(kTls13, Role::kClient, message(kNewSessionTicket), ErrorCode::kDecodeError,
               AlertDescription::kDecodeError);
}

}  // namespace
}  // namespace tls::test
