// The four calls that receive.

#include "tests/conformance/receive_call.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <string>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "ktls/base/unique_fd.h"
#include "tests/conformance/ring.h"
#include "tests/conformance/sockets.h"
#include "userspace/suite/content_type.h"

namespace conformance {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::ReceivedBytes;
using ktls::Result;

constexpr auto kApplicationData = static_cast<std::uint8_t>(tls::ContentType::kApplicationData);
// 6.12 loses what a pipe cannot take: always an empty one with room for more than a record.
constexpr int kPipeSize = 1 << 18;
// Part of a record makes a socket of 6.1 readable: look again after a while.
constexpr std::chrono::microseconds kPartialRecordPause(200);

class ReadCall final : public ReceiveCall {
 public:
  using ReceiveCall::ReceiveCall;

 private:
  Result<std::size_t> receive_data(std::span<std::uint8_t> content) override {
    const ssize_t size = ::read(fd(), content.data(), content.size());
    if (size >= 0) return static_cast<std::size_t>(size);
    if (errno == EIO) return 0;
    return ktls::fail(Error::system(errno, "read"));
  }
};

class RecvmsgCall final : public ReceiveCall {
 public:
  using ReceiveCall::ReceiveCall;

 private:
  Result<std::size_t> receive_data(std::span<std::uint8_t> /*content*/) override { return 0; }
  bool is_typed() const override { return true; }
};

class RingReceiveCall final : public ReceiveCall {
 public:
  RingReceiveCall(int fd, Ring ring) : ReceiveCall(fd), ring_(std::move(ring)) {}

 private:
  Result<std::size_t> receive_data(std::span<std::uint8_t> content) override {
    const int size = ring_.receive(fd(), content);
    if (size >= 0) return static_cast<std::size_t>(size);
    if (size == -EIO) return 0;
    return ktls::fail(Error::system(-size, "io_uring RECV"));
  }

  Ring ring_;
};

class SpliceReceiveCall final : public ReceiveCall {
 public:
  SpliceReceiveCall(int fd, ktls::UniqueFd read_end, ktls::UniqueFd write_end)
      : ReceiveCall(fd), read_end_(std::move(read_end)), write_end_(std::move(write_end)) {}

 private:
  Result<std::size_t> receive_data(std::span<std::uint8_t> content) override {
    const std::size_t wanted = std::min<std::size_t>(content.size(), kPipeSize / 2);
    const ssize_t size = ::splice(fd(), nullptr, write_end_.get(), nullptr, wanted, SPLICE_F_MOVE);
    if (size < 0 && errno == EINVAL) return 0;
    if (size < 0) return ktls::fail(Error::system(errno, "splice"));
    for (std::span<std::uint8_t> rest = content.first(static_cast<std::size_t>(size));
         !rest.empty();) {
      const ssize_t drained = ::read(read_end_.get(), rest.data(), rest.size());
      if (drained <= 0) return ktls::fail(Error::system(errno, "read of the pipe"));
      rest = rest.subspan(static_cast<std::size_t>(drained));
    }
    return static_cast<std::size_t>(size);
  }

  ktls::UniqueFd read_end_;
  ktls::UniqueFd write_end_;
};

Result<std::unique_ptr<ReceiveCall>> make_splice_call(int fd) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return ktls::fail(Error::system(errno, "pipe2"));
  ktls::UniqueFd read_end(ends[0]);
  ktls::UniqueFd write_end(ends[1]);
  if (::fcntl(ends[1], F_SETPIPE_SZ, kPipeSize) < 0) {
    return ktls::fail(Error::system(errno, "F_SETPIPE_SZ"));
  }
  return std::make_unique<SpliceReceiveCall>(fd, std::move(read_end), std::move(write_end));
}

}  // namespace

Result<ReceivedBytes> ReceiveCall::receive(std::span<std::uint8_t> content) {
  if (is_typed()) return receive_typed(content);
  KTLS_TRY(const std::size_t size, receive_data(content));
  if (size != 0) return ReceivedBytes{.type = kApplicationData, .size = size};
  ++times_given_way_;
  KTLS_TRY(const ReceivedBytes received, receive_typed(content));
  if (received.type == kApplicationData && received.size != 0) {
    return ktls::fail(
        Error::of(ErrorCode::kUnexpectedMessage, "application data that only recvmsg was given"));
  }
  return received;
}

Result<ReceivedBytes> ReceiveCall::receive_typed(std::span<std::uint8_t> content) {
  for (bool first = true;; first = false) {
    auto received = socket_.receive(content);
    if (received || received.error().sys_errno != EAGAIN) return received;
    if (!first) std::this_thread::sleep_for(kPartialRecordPause);
    if (auto ready = wait_for(fd(), POLLIN); !ready) return ktls::fail(std::move(ready).error());
  }
}

Result<std::unique_ptr<ReceiveCall>> make_receive_call(std::string_view name, int fd) {
  if (name == "read") return std::make_unique<ReadCall>(fd);
  if (name == "recvmsg") return std::make_unique<RecvmsgCall>(fd);
  if (name == "splice") return make_splice_call(fd);
  if (name == "io_uring") {
    KTLS_TRY(Ring ring, Ring::create());
    return std::make_unique<RingReceiveCall>(fd, std::move(ring));
  }
  return ktls::fail(
      Error::of(ErrorCode::kInvalidArgument, "no call that receives: " + std::string(name)));
}

}  // namespace conformance
