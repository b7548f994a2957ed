// The fixture of KernelContract.
#include "tests/support/kernel_contract.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <string_view>
#include <thread>
#include <utility>

#include <poll.h>

#include "ktls/core/linux_tls.h"

namespace ktls {
namespace {

// Loopback delivers at once on an idle machine; an emulated one may take its time.
constexpr auto kPatience = std::chrono::seconds(5);
constexpr auto kPause = std::chrono::milliseconds(1);

int errno_of(const Result<void>& result) {
  return result ? 0 : result.error().sys_errno;
}

}  // namespace

std::vector<Suite> all_suites() {
  std::vector<Suite> suites;
  for (const CipherLayout& layout : cipher_layouts()) {
    for (const Version version : {Version::kTls12, Version::kTls13}) {
      if (layout.serves(version)) suites.push_back({layout.cipher, version});
    }
  }
  return suites;
}

std::string name_of(const Suite& suite) {
  return std::string(layout_of(suite.cipher).name) +
         (suite.version == Version::kTls12 ? ", TLS 1.2" : ", TLS 1.3");
}

RecordKeys contract_keys(Cipher cipher, Version version, std::uint64_t sequence,
                         std::uint8_t shift) {
  Bytes key(layout_of(cipher).key_size);
  Bytes iv(iv_size_of(version, cipher));
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(0x10 + i + shift);
  for (std::size_t i = 0; i < iv.size(); ++i) iv[i] = static_cast<std::uint8_t>(0xa0 + i);
  RecordKeys keys;
  keys.version = version;
  keys.cipher = cipher;
  keys.key = RecordKey(key);
  keys.iv = RecordIv(iv);
  keys.explicit_nonce = sequence;
  keys.sequence = sequence;
  return keys;
}

CryptoInfo contract_info(Cipher cipher, Version version, std::uint64_t sequence,
                         std::uint8_t shift) {
  auto info = encode(contract_keys(cipher, version, sequence, shift));
  if (!info) std::abort();
  return *std::move(info);
}

Bytes bytes_of(std::string_view text) {
  return {text.begin(), text.end()};
}

Bytes pattern(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 31 + (i >> 8));
  return bytes;
}

void KernelContract::SetUp() {
  kernel_ = GetParam().make();
  const std::string reason = kernel_->unavailable();
  if (reason.empty()) return;
  // In the virtual machine, where TLS is the point, its absence is a failure.
  if (std::getenv("KTLS_BRIDGE_REQUIRE_KTLS") != nullptr) FAIL() << reason;
  GTEST_SKIP() << reason;
}

void KernelContract::TearDown() {
  for (const int fd : owned_) EXPECT_EQ(syscalls().close(fd), 0);
}

std::vector<Suite> KernelContract::suites() {
  std::vector<Suite> suites = all_suites();
  std::erase_if(suites, [this](const Suite& suite) { return !kernel().has_aead(suite.cipher); });
  return suites;
}

int KernelContract::own(int fd) {
  EXPECT_GE(fd, 0);
  owned_.push_back(fd);
  return fd;
}

void KernelContract::close_now(int fd) {
  ASSERT_EQ(std::erase(owned_, fd), 1U);
  EXPECT_EQ(syscalls().close(fd), 0);
}

KernelContract::Pair KernelContract::connected_pair() {
  int fds[2] = {-1, -1};
  EXPECT_EQ(syscalls().tcp_pair(fds), 0);
  return {own(fds[0]), own(fds[1])};
}

KernelContract::Pair KernelContract::attached_pair() {
  const Pair pair = connected_pair();
  EXPECT_EQ(errno_of(socket(pair.sender).attach()), 0);
  EXPECT_EQ(errno_of(socket(pair.receiver).attach()), 0);
  return pair;
}

KernelContract::Pair KernelContract::receiving_pair(Cipher cipher, Version version,
                                                    std::uint64_t sequence) {
  const Pair pair = attached_pair();
  const CryptoInfo info = contract_info(cipher, version, sequence);
  EXPECT_EQ(errno_of(socket(pair.receiver).install(Direction::kReceive, info)), 0);
  return pair;
}

KernelContract::Pair KernelContract::installed_pair(Cipher cipher, Version version,
                                                    std::uint64_t sequence) {
  const Pair pair = receiving_pair(cipher, version, sequence);
  const CryptoInfo info = contract_info(cipher, version, sequence);
  EXPECT_EQ(errno_of(socket(pair.sender).install(Direction::kTransmit, info)), 0);
  return pair;
}

Result<ReceivedBytes> KernelContract::receive(int fd, std::span<std::uint8_t> buffer) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (true) {
    auto received = socket(fd).receive(buffer);
    const bool waits = !received && received.error().sys_errno == EAGAIN;
    if (!waits || std::chrono::steady_clock::now() > deadline) return received;
    std::this_thread::sleep_for(kPause);
  }
}

void KernelContract::expect_record(int fd, std::uint8_t type, const Bytes& payload) {
  Bytes buffer(payload.size() + 64);
  Bytes got;
  // Application data is a stream: it may arrive in more than one piece.
  do {
    const auto received = receive(fd, buffer);
    ASSERT_TRUE(received.has_value()) << received.error().message();
    ASSERT_FALSE(received->end_of_stream);
    ASSERT_EQ(received->type, type);
    got.insert(got.end(), buffer.begin(),
               buffer.begin() + static_cast<std::ptrdiff_t>(received->size));
  } while (got.size() < payload.size());
  EXPECT_TRUE(got == payload) << "of " << payload.size() << " bytes " << got.size() << " came";
}

void KernelContract::expect_receive_error(int fd, int sys_errno) {
  Bytes buffer(64);
  const auto received = receive(fd, buffer);
  ASSERT_FALSE(received.has_value()) << received->size << " bytes of type " << +received->type;
  EXPECT_EQ(received.error().sys_errno, sys_errno) << received.error().message();
}

void KernelContract::send_all(int fd, std::uint8_t type, const Bytes& payload) {
  std::span<const std::uint8_t> rest(payload);
  while (!rest.empty()) {
    const auto sent = socket(fd).send(type, rest);
    ASSERT_TRUE(sent.has_value()) << sent.error().message();
    ASSERT_GT(*sent, 0U);
    rest = rest.subspan(*sent);
  }
}

void KernelContract::send_open(int fd, const Bytes& payload) {
  const auto sent = socket(fd).send(kTypeApplicationData, payload, More::kYes);
  ASSERT_TRUE(sent.has_value()) << sent.error().message();
  ASSERT_EQ(*sent, payload.size());
}

std::uint64_t KernelContract::sequence_of(int fd, Direction direction, Cipher cipher) {
  const auto sequence = socket(fd).sequence(direction, cipher);
  EXPECT_TRUE(sequence.has_value());
  return sequence.value_or(UINT64_MAX);
}

void KernelContract::write_raw(int fd, const Bytes& bytes) {
  Bytes copy(bytes);
  iovec part{copy.data(), copy.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  ASSERT_EQ(syscalls().sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL),
            static_cast<ssize_t>(bytes.size()));
}

ssize_t KernelContract::plain_receive(int fd, std::span<std::uint8_t> buffer) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (true) {
    iovec part{buffer.data(), buffer.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    const ssize_t received = syscalls().recvmsg(fd, &message, MSG_DONTWAIT);
    if (received >= 0) return received;
    if (errno != EAGAIN || std::chrono::steady_clock::now() > deadline) return -errno;
    std::this_thread::sleep_for(kPause);
  }
}

KernelContract::Received KernelContract::receive_now(int fd, std::size_t size, int flags) {
  Received received;
  received.bytes.resize(size);
  iovec part{received.bytes.data(), received.bytes.size()};
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(1)> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  received.size = syscalls().recvmsg(fd, &message, flags);
  if (received.size < 0) received.size = -errno;
  received.bytes.resize(static_cast<std::size_t>(std::max<ssize_t>(received.size, 0)));
  if (received.size < 0) return received;
  received.end_of_record = (message.msg_flags & MSG_EOR) != 0;
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header != nullptr) received.type = *CMSG_DATA(header);
  return received;
}

KernelContract::Received KernelContract::receive_with(int fd, std::size_t size, int flags) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (true) {
    Received received = receive_now(fd, size, flags);
    if (received.size != -EAGAIN || std::chrono::steady_clock::now() > deadline) return received;
    std::this_thread::sleep_for(kPause);
  }
}

void KernelContract::expect_readiness(int fd, int events) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (kernel().readiness(fd) != events && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(kPause);
  }
  EXPECT_EQ(kernel().readiness(fd), events);
}

void KernelContract::reset_now(int fd, int peer) {
  const linger no_time{1, 0};
  ASSERT_EQ(syscalls().setsockopt(fd, SOL_SOCKET, SO_LINGER, &no_time, sizeof no_time), 0);
  close_now(fd);
  expect_readiness(peer, POLLIN | POLLOUT | POLLRDHUP | POLLERR | POLLHUP);
}

void KernelContract::set_receive_low_water(int fd, int size) {
  ASSERT_EQ(syscalls().setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &size, sizeof size), 0);
}

Bytes KernelContract::read_raw(int fd, std::size_t size) {
  Bytes bytes(size);
  std::size_t filled = 0;
  while (filled < size) {
    const ssize_t received = plain_receive(fd, std::span(bytes).subspan(filled));
    EXPECT_GT(received, 0) << "after " << filled << " of " << size << " bytes";
    if (received <= 0) return {};
    filled += static_cast<std::size_t>(received);
  }
  return bytes;
}

Bytes KernelContract::sealed(const CryptoInfo& keys, std::uint8_t type, const Bytes& payload) {
  const Pair pair = connected_pair();
  EXPECT_EQ(errno_of(socket(pair.sender).attach()), 0);
  EXPECT_EQ(errno_of(socket(pair.sender).install(Direction::kTransmit, keys)), 0);
  send_all(pair.sender, type, payload);
  Bytes record = read_raw(pair.receiver, 5);
  const Bytes body = read_raw(pair.receiver, static_cast<std::size_t>(record[3] << 8 | record[4]));
  record.insert(record.end(), body.begin(), body.end());
  return record;
}

int KernelContract::install_errno(int fd, Direction direction, const void* value,
                                  std::size_t size) {
  const int name = direction == Direction::kTransmit ? TLS_TX : TLS_RX;
  return option_errno(fd, name, value, size);
}

int KernelContract::option_errno(int fd, int name, const void* value, std::size_t size) {
  return syscalls().setsockopt(fd, SOL_TLS, name, value, static_cast<socklen_t>(size)) == 0 ? 0
                                                                                            : errno;
}

}  // namespace ktls
