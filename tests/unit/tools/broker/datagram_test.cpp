#include "tools/broker/datagram.h"

#include <array>
#include <cstring>
#include <string>

#include "tests/unit/userspace/io/loop_fixture.h"

namespace tools {
namespace {

using bridge::Scope;
using bridge::Task;
using ktls::ErrorCode;
using ktls::UniqueFd;

bridge::SocketPair packet_pair() {
  int ends[2] = {-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// `count` descriptors of `passed` go with the bytes.
void send_bytes(int fd, std::string_view bytes, int passed = -1, std::size_t count = 0) {
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(8 * sizeof(int))> control{};
  std::string copy(bytes);
  iovec part{.iov_base = copy.data(), .iov_len = copy.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (count != 0) {
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(count * sizeof(int));
    cmsghdr* const rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(count * sizeof(int));
    for (std::size_t i = 0; i < count; ++i) {
      std::memcpy(CMSG_DATA(rights) + i * sizeof passed, &passed, sizeof passed);
    }
  }
  EXPECT_EQ(::sendmsg(fd, &header, 0), static_cast<ssize_t>(bytes.size()));
}

std::string bytes_of(const broker::Request& request, std::string_view payload = {}) {
  std::string bytes(sizeof request, '\0');
  std::memcpy(bytes.data(), &request, sizeof request);
  return bytes.append(payload);
}

broker::Request request_of(broker::Kind kind, std::size_t payload_size = 0) {
  broker::Request request;
  request.header.kind = kind;
  request.payload_size = static_cast<std::uint16_t>(payload_size);
  return request;
}

class DatagramTest : public bridge::LoopTest {
 protected:
  // What becomes of bytes on their way to the broker.
  void expect_refused(std::string_view bytes, std::size_t descriptors = 0) {
    const bridge::SocketPair pair = packet_pair();
    send_bytes(pair.theirs.get(), bytes, pair.theirs.get(), descriptors);
    run([&](Scope& scope) -> Task<void> {
      const auto message = co_await receive_message(loop(), scope, pair.ours.get());
      bridge::expect_code(message, ErrorCode::kDecodeError);
    });
  }
};
BRIDGE_ON_BOTH_LOOPS(DatagramTest);

TEST_P(DatagramTest, BringsARequestWithItsPayloadAndDescriptors) {
  const bridge::SocketPair pair = packet_pair();
  send_bytes(pair.theirs.get(), bytes_of(request_of(broker::Kind::kConnect, 4), "name"),
             pair.theirs.get(), 2);
  run([&](Scope& scope) -> Task<void> {
    const auto message = co_await receive_message(loop(), scope, pair.ours.get());
    EXPECT_TRUE(message.has_value() && message->has_value());
    if (!message || !*message) co_return;
    EXPECT_EQ((*message)->request.header.kind, broker::Kind::kConnect);
    EXPECT_EQ(std::string((*message)->payload.begin(), (*message)->payload.end()), "name");
    EXPECT_EQ((*message)->descriptors.size(), 2U);
    EXPECT_NE(::fcntl((*message)->descriptors[0].get(), F_GETFD) & FD_CLOEXEC, 0);
  });
}

TEST_P(DatagramTest, EndsWhenTheOtherEndIsClosed) {
  bridge::SocketPair pair = packet_pair();
  pair.theirs.reset();
  run([&](Scope& scope) -> Task<void> {
    const auto message = co_await receive_message(loop(), scope, pair.ours.get());
    EXPECT_TRUE(message.has_value() && !message->has_value());
  });
}

TEST_P(DatagramTest, RefusesWhatIsNoMessage) {
  const std::string good = bytes_of(request_of(broker::Kind::kTaken));
  expect_refused(good.substr(0, good.size() - 1));
  expect_refused(good + "x");
  expect_refused("x");
  broker::Request strange = request_of(broker::Kind::kTaken);
  strange.header.magic = 0;
  expect_refused(bytes_of(strange));
  const std::string large(broker::kPayloadMax + 1, 'x');
  expect_refused(bytes_of(request_of(broker::Kind::kControl, large.size()), large));
}

TEST_P(DatagramTest, RefusesMoreDescriptorsThanAnyRequestBrings) {
  expect_refused(bytes_of(request_of(broker::Kind::kServe)), 8);
}

TEST_P(DatagramTest, TakesThePayloadOfAWholeRecord) {
  const bridge::SocketPair pair = packet_pair();
  const std::string record(broker::kPayloadMax, 'r');
  send_bytes(pair.theirs.get(),
             bytes_of(request_of(broker::Kind::kControl, record.size()), record));
  run([&](Scope& scope) -> Task<void> {
    const auto message = co_await receive_message(loop(), scope, pair.ours.get());
    EXPECT_TRUE(message.has_value() && message->has_value());
    if (!message || !*message) co_return;
    EXPECT_EQ((*message)->payload.size(), record.size());
  });
}

TEST_P(DatagramTest, WaitsForRoomForAnAnswer) {
  const bridge::SocketPair pair = packet_pair();
  const broker::Answer answer = answer_of(broker::Kind::kDone);
  std::size_t sent_before_room = 0;
  const auto drain = [&](Scope& scope) -> Task<void> {
    const auto slept = co_await loop().sleep(scope, std::chrono::milliseconds(20));
    EXPECT_TRUE(slept);
    std::array<char, sizeof answer> bytes{};
    while (::recv(pair.theirs.get(), bytes.data(), bytes.size(), MSG_DONTWAIT) > 0) continue;
  };
  run([&](Scope& scope) -> Task<void> {
    while (::send(pair.ours.get(), &answer, sizeof answer, MSG_DONTWAIT) > 0) ++sent_before_room;
    loop().spawn(drain(scope));
    const auto sent = co_await send_answer(loop(), scope, pair.ours.get(), answer);
    EXPECT_TRUE(sent) << sent.error().message();
  });
  EXPECT_GT(sent_before_room, 0U);
}

TEST_P(DatagramTest, FailsWhereNobodyWantsTheAnswer) {
  bridge::SocketPair pair = packet_pair();
  pair.theirs.reset();
  run([&](Scope& scope) -> Task<void> {
    const auto sent = co_await send_answer(loop(), scope, pair.ours.get(),
                                           answer_of(broker::Kind::kDone), pair.ours.get());
    bridge::expect_errno(sent, EPIPE);
  });
}

TEST(Refusal, CutsOffWhatHasNoRoom) {
  const broker::Answer answer = refusal(EPROTO, std::string(1000, 't'), std::string(100, 'r'));
  EXPECT_EQ(answer.header.kind, broker::Kind::kError);
  EXPECT_EQ(answer.error, static_cast<std::uint32_t>(EPROTO));
  EXPECT_EQ(std::strlen(static_cast<const char*>(answer.text)), sizeof answer.text - 1);
  EXPECT_EQ(std::strlen(static_cast<const char*>(answer.reason)), sizeof answer.reason - 1);
}

}  // namespace
}  // namespace tools
