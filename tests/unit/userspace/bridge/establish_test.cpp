// establish(): every way in which a handshake does not come to its end.
#include <cerrno>
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/userspace/bridge/bridge_fixture.h"

namespace bridge::test {
namespace {

using ktls::ErrorCode;
using std::chrono::milliseconds;

class Establish : public BridgeTest {
 protected:
  // The error of a handshake whose peer does what `story` says.
  ktls::Error failure_of(const Story& story, milliseconds timeout = milliseconds(30'000)) {
    BridgeSide made = side();
    made.handshake_timeout = timeout;
    made.peer_name = peer_name_;
    run(made, story, false);
    EXPECT_TRUE(made.error) << "the handshake succeeded";
    return made.error.value_or(ktls::Error::of(ErrorCode::kCrypto, "none"));
  }

  // The peer's first flight in memory: a ClientHello, or what a server answers to nothing.
  [[nodiscard]] static Bytes first_flight(Stage& stage) {
    SSL_do_handshake(stage.tls.ssl());
    return stage.tls.take_output();
  }

  std::string peer_name_ = "server.test";
};
INSTANTIATE_TEST_SUITE_P(Bridge, Establish, testing::ValuesIn(cells_where([](const Cell& cell) {
                           return cell.path == Path::kUserspace;
                         })),
                         cell_name);

Task<void> send_text(Stage& stage, std::string_view text) {
  const bool sent = co_await stage.tls.send_bytes(Bytes(text.begin(), text.end()));
  EXPECT_TRUE(sent);
  static_cast<void>(co_await stage.tls.read_to_end());
}

TEST_P(Establish, NamesAPlaintextRequest) {
  const ktls::Error error = failure_of([](Stage& stage) -> Task<void> {
    co_await send_text(stage, "GET / HTTP/1.1\r\nHost: server.test\r\n\r\n");
  });
  EXPECT_EQ(error.code, ErrorCode::kHandshakeFailed);
  EXPECT_NE(error.detail.find("http request"), std::string::npos) << error.detail;
}

TEST_P(Establish, RefusesAHeaderThatAnnouncesTooMuchWithoutWaitingForIt) {
  const ktls::Error error = failure_of([](Stage& stage) -> Task<void> {
    co_await send_text(stage, std::string_view("\x16\x03\x03\xff\xff", 5));
  });
  EXPECT_EQ(error.code, ErrorCode::kHandshakeFailed);
  EXPECT_FALSE(error.detail.empty());
}

TEST_P(Establish, EndsWhenThePeerClosesBeforeAnyByte) {
  const ktls::Error error = failure_of([](Stage& stage) -> Task<void> {
    stage.tls.shut_write();
    static_cast<void>(co_await stage.bridge_is_over());
  });
  EXPECT_EQ(error.code, ErrorCode::kEndOfStream);
}

TEST_P(Establish, EndsWhenThePeerClosesWithinAHeaderOrARecord) {
  for (const std::size_t size : {1, 4, 5, 6, 40}) {
    SCOPED_TRACE(size);
    const ktls::Error error = failure_of([&](Stage& stage) -> Task<void> {
      Bytes flight = {22, 3, 1, 0, 200};
      flight.resize(size);
      const bool sent = co_await stage.tls.send_bytes(flight);
      EXPECT_TRUE(sent);
      stage.tls.shut_write();
      static_cast<void>(co_await stage.bridge_is_over());
    });
    EXPECT_EQ(error.code, ErrorCode::kEndOfStream) << error.detail;
  }
}

TEST_P(Establish, EndsWhenThePeerClosesAfterItsFirstFlight) {
  const ktls::Error error = failure_of([&](Stage& stage) -> Task<void> {
    if (cell().is_client()) {
      co_await stage.sleep(milliseconds(2));  // the hello of the bridge, and nothing in return
    } else {
      const bool sent = co_await stage.tls.send_bytes(first_flight(stage));
      EXPECT_TRUE(sent);
    }
    stage.tls.shut_write();
    static_cast<void>(co_await stage.bridge_is_over());
  });
  EXPECT_EQ(error.code, ErrorCode::kEndOfStream) << error.detail;
}

TEST_P(Establish, EndsWhenThePeerResets) {
  const ktls::Error error = failure_of([](Stage& stage) -> Task<void> {
    co_await stage.sleep(milliseconds(2));
    stage.tls.reset();
    static_cast<void>(co_await stage.bridge_is_over());
  });
  EXPECT_EQ(error.code, ErrorCode::kSystem);
  EXPECT_EQ(error.sys_errno, ECONNRESET) << error.message();
}

TEST_P(Establish, EndsAtItsDeadlineWhateverThePeerTrickles) {
  const ktls::Error error = failure_of(
      [](Stage& stage) -> Task<void> {
        // A byte now and then is no progress that would extend a deadline.
        const std::string_view beginning("\x16\x03\x01\x02\x00", 5);
        for (std::size_t i = 0; !stage.bridge.over && i < 500; ++i) {
          const std::uint8_t byte = i < beginning.size() ? beginning[i] : 0;
          if (const bool sent = co_await stage.tls.send_bytes(Bytes(1, byte)); !sent) break;
          co_await stage.sleep(milliseconds(5));
        }
      },
      milliseconds(50));
  EXPECT_EQ(error.code, ErrorCode::kTimeout) << error.message();
}

TEST_P(Establish, TellsThePeerWhyItFailed) {
  // A server that has nothing in common with the client; a client that wanted another server.
  peer_name_ = "another.example";
  const ktls::Error error = failure_of([&](Stage& stage) -> Task<void> {
    if (!cell().is_client()) {
      SSL_set_cipher_list(stage.tls.ssl(), "AES128-SHA");
      SSL_set_ciphersuites(stage.tls.ssl(), "TLS_AES_128_CCM_8_SHA256");
    }
    const bool shaken = co_await stage.tls.shake_hands();
    // A TLS 1.3 server is done before its client has looked at the certificate.
    if (shaken) static_cast<void>(co_await stage.tls.read_to_end());
    EXPECT_TRUE(stage.tls.alert());
    if (cell().is_client()) {
      EXPECT_EQ(stage.tls.alert(), SSL_AD_BAD_CERTIFICATE);
    } else {
      EXPECT_EQ(stage.tls.alert(), SSL_AD_HANDSHAKE_FAILURE);
    }
  });
  EXPECT_EQ(error.code, cell().is_client() ? ErrorCode::kVerifyFailed : ErrorCode::kHandshakeFailed)
      << error.detail;
}

TEST_P(Establish, ReportsTheAlertOfThePeer) {
  const ktls::Error error = failure_of([&](Stage& stage) -> Task<void> {
    static const Bytes alert = {21, 3, 3, 0, 2, 2, 40};
    if (cell().is_client()) co_await stage.sleep(milliseconds(2));
    const bool sent = co_await stage.tls.send_bytes(alert);
    EXPECT_TRUE(sent);
    static_cast<void>(co_await stage.bridge_is_over());
  });
  if (!cell().is_client()) {
    EXPECT_NE(error.code,
              ErrorCode::kCrypto);  // an alert instead of a hello: whatever it is called
    return;
  }
  EXPECT_EQ(error.code, ErrorCode::kPeerAlert) << error.detail;
  EXPECT_NE(error.detail.find("handshake_failure"), std::string::npos) << error.detail;
}

}  // namespace
}  // namespace bridge::test
