// Requests over a channel that was given, and letting go of a connection that others may have.
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/userspace/broker/fake_broker.h"
#include "userspace/broker/client_connection.h"
#include "userspace/broker/client_message.h"
#include "userspace/broker/ktls_bridge_client.h"

namespace broker {
namespace {

using ktls::UniqueFd;

struct Came {
  Request request{};
  std::vector<UniqueFd> descriptors;
};

// One message, without waiting. Of Kind 0: there is none.
Came take(int channel) {
  Came came;
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(4 * sizeof(int))> control{};
  iovec part{&came.request, sizeof came.request};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (::recvmsg(channel, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0) return {};
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  const std::size_t count = header == nullptr ? 0 : (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
  for (std::size_t i = 0; i < count; ++i) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
    came.descriptors.emplace_back(fd);
  }
  return came;
}

bool is_hung_up(int fd) {
  pollfd ended{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&ended, 1, 0) == 1 && (ended.revents & POLLHUP) != 0;
}

class ClientChannel : public testing::Test {
 protected:
  void SetUp() override {
    int ends[2] = {-1, -1};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    channel_.reset(ends[0]);
    broker_.reset(ends[1]);
    ASSERT_EQ(ktlsb_use_broker(nullptr), 0);
    ASSERT_EQ(::unsetenv("KTLS_BRIDGE_BROKER"), 0);  // NOLINT(concurrency-mt-unsafe)
    use_channel(channel_.get());
  }
  void TearDown() override { use_channel(-1); }

  // The errno that asking fails with; 0 if it does not.
  static int ask(int subject, Call& call) {
    Request request;
    request.header.kind = Kind::kEnd;
    return place_call(request, {}, subject, Deadline::in_ms(0), call);
  }

  UniqueFd channel_;
  UniqueFd broker_;
};

TEST_F(ClientChannel, TakesRequestsWithoutAnyPath) {
  const SocketPair pair = stream_pair();
  Call call;
  ASSERT_EQ(ask(pair.ours.get(), call), 0);
  const Came came = take(broker_.get());
  EXPECT_EQ(came.request.header.kind, Kind::kEnd);
  ASSERT_EQ(came.descriptors.size(), 2U);
  ASSERT_TRUE(send_answer(came.descriptors.front().get(), answer_of(Kind::kDone)));
  EXPECT_EQ(await_answer(call.answers.get(), Deadline::in_ms(10'000)).arrival, Arrival::kMessage);
  EXPECT_FALSE(call.channel.valid());
}

TEST_F(ClientChannel, IsTheOnlyOneWhereNoPathWasChosen) {
  broker_.reset();
  const SocketPair pair = stream_pair();
  Call call;
  EXPECT_EQ(ask(pair.ours.get(), call), ECONNREFUSED);
  EXPECT_STREQ(ktlsb_error_reason(), "broker_gone");
}

TEST_F(ClientChannel, MayHaveBeenClosedOrNeverHaveBeenOne) {
  const SocketPair pair = stream_pair();
  Call call;
  use_channel(static_cast<int>(open_descriptors()) + 1000);
  EXPECT_EQ(ask(pair.ours.get(), call), ECONNREFUSED);
  const UniqueFd file(::open("/dev/null", O_RDWR | O_CLOEXEC));
  use_channel(file.get());
  EXPECT_EQ(ask(pair.ours.get(), call), ECONNREFUSED);
  EXPECT_STREQ(ktlsb_error_reason(), "broker_gone");
}

TEST_F(ClientChannel, SaysWhatIsWrongWithTheSubjectAsAPathDoes) {
  Call call;
  EXPECT_EQ(ask(-1, call), EBADF);
}

TEST_F(ClientChannel, GivesWayToAPathOnceNobodyIsThere) {
  const BrokerPath path;
  const FakeBroker next(
      path.path(), [](Asked asked) { send_answer(asked.answers.get(), answer_of(Kind::kDone)); });
  const SocketPair pair = stream_pair();
  Call first;
  ASSERT_EQ(ask(pair.ours.get(), first), 0);
  EXPECT_EQ(take(broker_.get()).request.header.kind, Kind::kEnd);
  broker_.reset();
  Call second;
  ASSERT_EQ(ask(pair.ours.get(), second), 0);
  EXPECT_TRUE(second.channel.valid());
  EXPECT_EQ(await_answer(second.answers.get(), Deadline::in_ms(10'000)).arrival, Arrival::kMessage);
}

TEST_F(ClientChannel, ReleasesADescriptorAndShowsThatItIsClosed) {
  SocketPair pair = stream_pair();
  const int number = pair.ours.release();
  ASSERT_EQ(release(number, true), 0);
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
  const Came came = take(broker_.get());
  EXPECT_EQ(came.request.header.kind, Kind::kRelease);
  EXPECT_EQ(came.request.number, kMayTravel);
  ASSERT_EQ(came.descriptors.size(), 2U);
  EXPECT_TRUE(is_hung_up(came.descriptors.front().get()));
  EXPECT_FALSE(is_hung_up(pair.peer.get()));  // the broker has the last one
}

TEST_F(ClientChannel, ClosesADescriptorThatItCannotRelease) {
  broker_.reset();
  SocketPair pair = stream_pair();
  const int number = pair.ours.release();
  EXPECT_EQ(release(number, false), -1);
  EXPECT_EQ(errno, ECONNREFUSED);
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
}

TEST(Names, StandInAddressesOfTheirSizeAlone) {
  StreamName name;
  name.local.sin6_family = AF_INET6;
  name.local.sin6_port = 77;
  sockaddr_un address{};
  const socklen_t size = address_of_name(name, address);
  EXPECT_EQ(address.sun_path[0], '\0');
  EXPECT_EQ(std::string_view(address.sun_path + 1, 19), "ktls-bridge/stream/");
  StreamName found;
  ASSERT_TRUE(name_of_address(address, size, found));
  EXPECT_EQ(found.local.sin6_port, 77);
  EXPECT_FALSE(name_of_address(address, size - 1, found));
  ListenName other;
  EXPECT_FALSE(name_of_address(address, size, other));
  const socklen_t other_size = address_of_name(ListenName{}, address);
  EXPECT_TRUE(name_of_address(address, other_size, other));
  EXPECT_FALSE(name_of_address(address, size, found));
}

}  // namespace
}  // namespace broker
