#include "tests/unit/userspace/broker/fake_broker.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <utility>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "userspace/broker/ktls_bridge_client.h"

namespace broker {
namespace {

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

// The two descriptors that every request brings.
void take_descriptors(msghdr& message, Asked& asked) {
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  std::array<int, 2> fds{-1, -1};
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS ||
      header->cmsg_len != CMSG_LEN(sizeof fds)) {
    ADD_FAILURE() << "a request without its two descriptors";
    return;
  }
  std::memcpy(fds.data(), CMSG_DATA(header), sizeof fds);
  asked.answers.reset(fds[0]);
  asked.subject.reset(fds[1]);
}

}  // namespace

FakeBroker::FakeBroker(const std::string& path, Answering answering)
    : path_(path), answering_(std::move(answering)) {
  // It is there at once, or not at all: listening before it has its name.
  const std::string early = path + ".new";
  const sockaddr_un address = address_of(early);
  listening_.reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::bind(listening_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
            0);
  EXPECT_EQ(::listen(listening_.get(), 64), 0);
  std::filesystem::rename(early, path);
  std::array<int, 2> ends{-1, -1};
  EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  stop_read_.reset(ends[0]);
  stop_write_.reset(ends[1]);
  thread_ = std::thread([this] { run(); });
}

FakeBroker::~FakeBroker() {
  stop_write_.reset();
  thread_.join();
  std::filesystem::remove(path_);
}

void FakeBroker::run() {
  std::vector<ktls::UniqueFd> channels;
  for (;;) {
    std::vector<pollfd> wanted{{stop_read_.get(), POLLIN, 0}, {listening_.get(), POLLIN, 0}};
    for (const ktls::UniqueFd& channel : channels) wanted.push_back({channel.get(), POLLIN, 0});
    if (::poll(wanted.data(), wanted.size(), -1) < 0) continue;
    if (wanted[0].revents != 0) return;
    for (std::size_t i = channels.size(); i-- > 0;) {
      if (wanted[i + 2].revents == 0 || serve(channels[i].get())) continue;
      channels.erase(channels.begin() + static_cast<std::ptrdiff_t>(i));
    }
    if (wanted[1].revents != 0) {
      channels.emplace_back(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    }
    channels_ = channels.size();
  }
}

void FakeBroker::await_idle() const {
  for (int i = 0; i < 20'000 && channels_ != 0; ++i) ::usleep(1000);
  EXPECT_EQ(channels_, 0U);
}

bool FakeBroker::serve(int channel) {
  Asked asked;
  asked.payload.resize(kPayloadMax);
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(2 * sizeof(int))> control{};
  std::array<iovec, 2> parts{
      {{&asked.request, sizeof asked.request}, {asked.payload.data(), asked.payload.size()}}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t size = ::recvmsg(channel, &message, MSG_CMSG_CLOEXEC);
  if (size <= 0) return false;
  EXPECT_TRUE(is_whole(asked.request, static_cast<std::size_t>(size)));
  EXPECT_EQ(asked.request.header.version, kProtocolVersion);
  asked.payload.resize(asked.request.payload_size);
  take_descriptors(message, asked);
  answering_(std::move(asked));
  return true;
}

Answer answer_of(Kind kind) {
  Answer answer;
  answer.header.kind = kind;
  return answer;
}

Answer error_of(int error, const char* reason, const char* text) {
  Answer answer = answer_of(Kind::kError);
  answer.error = static_cast<std::uint32_t>(error);
  std::strncpy(answer.reason, reason, sizeof answer.reason - 1);
  std::strncpy(answer.text, text, sizeof answer.text - 1);
  return answer;
}

bool send_bytes(int answers, std::span<const std::uint8_t> bytes, std::initializer_list<int> fds) {
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(8 * sizeof(int))> control{};
  iovec part{const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (fds.size() != 0) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(header), std::data(fds), fds.size() * sizeof(int));
  }
  return ::sendmsg(answers, &message, MSG_NOSIGNAL) >= 0;
}

bool send_answer(int answers, const Answer& answer, std::initializer_list<int> fds) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&answer);
  return send_bytes(answers, {bytes, sizeof answer}, fds);
}

Request next_told(int answers) {
  Request request;
  request.header.kind = Kind{};
  const ssize_t size = ::recv(answers, &request, sizeof request, 0);
  if (size <= 0) return {};
  EXPECT_TRUE(is_whole(request, static_cast<std::size_t>(size)));
  return request;
}

BrokerPath::BrokerPath() {
  std::string pattern = std::filesystem::temp_directory_path() / "broker-XXXXXX";
  EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
  folder_ = pattern;
  path_ = folder_ + "/socket";
  EXPECT_EQ(ktlsb_use_broker(path_.c_str()), 0);
}

BrokerPath::~BrokerPath() {
  std::filesystem::remove_all(folder_);
}

ktls::UniqueFd tcp_listener() {
  ktls::UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(::listen(listener.get(), 16), 0);
  return listener;
}

SocketPair tcp_pair() {
  const ktls::UniqueFd listener = tcp_listener();
  sockaddr_in address{};
  socklen_t size = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(::getsockname(listener.get(), any, &size), 0);
  SocketPair pair;
  pair.ours.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::connect(pair.ours.get(), any, size), 0);
  pair.peer.reset(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  return pair;
}

SocketPair stream_pair() {
  std::array<int, 2> ends{-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  return {ktls::UniqueFd(ends[0]), ktls::UniqueFd(ends[1])};
}

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

}  // namespace broker
