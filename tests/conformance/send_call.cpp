// The five calls that send.

#include "tests/conformance/send_call.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ktls/base/unique_fd.h"
#include "tests/conformance/ring.h"

namespace conformance {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;

constexpr std::size_t kRecordSize = 1 << 14;
constexpr std::array<std::size_t, 8> kPieces = {
    1 << 16, kRecordSize, kRecordSize + 1, 1000, 1 << 17, 1, 40'000, kRecordSize - 1};
constexpr std::size_t kPieceMax = 1 << 17;
// 32 pages of content lie in up to 33 of the pipe's 64.
constexpr int kPipeSize = 1 << 18;

Error failed(std::string_view call) {
  return Error::system(errno, call);
}

// A call that takes bytes of memory: what it leaves is offered again.
class MemoryCall : public SendCall {
 public:
  explicit MemoryCall(Pattern pattern) : pattern_(pattern), buffer_(kPieceMax) {}

  Result<void> send(std::uint64_t position, std::size_t size) final {
    std::span<std::uint8_t> rest = std::span(buffer_).first(size);
    pattern_.fill(position, rest);
    while (!rest.empty()) {
      KTLS_TRY(const std::size_t taken, send_some(rest));
      rest = rest.subspan(taken);
    }
    return {};
  }

 private:
  // Bytes that were taken, at least one.
  [[nodiscard]] virtual Result<std::size_t> send_some(std::span<std::uint8_t> bytes) = 0;

  Pattern pattern_;
  std::vector<std::uint8_t> buffer_;
};

class WriteCall final : public MemoryCall {
 public:
  WriteCall(int fd, Pattern pattern) : MemoryCall(pattern), fd_(fd) {}

 private:
  Result<std::size_t> send_some(std::span<std::uint8_t> bytes) override {
    const ssize_t taken = ::write(fd_, bytes.data(), bytes.size());
    if (taken <= 0) return ktls::fail(failed("write"));
    return static_cast<std::size_t>(taken);
  }

  int fd_;
};

// In three uneven pieces, so that records begin and end within them.
class SendmsgCall final : public MemoryCall {
 public:
  SendmsgCall(int fd, Pattern pattern) : MemoryCall(pattern), fd_(fd) {}

 private:
  Result<std::size_t> send_some(std::span<std::uint8_t> bytes) override {
    const std::size_t first = bytes.size() / 7;
    const std::size_t second = bytes.size() / 2;
    std::array<iovec, 3> pieces = {
        {{bytes.data(), first},
         {bytes.data() + first, second},
         {bytes.data() + first + second, bytes.size() - first - second}}};
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = pieces.size();
    const ssize_t taken = ::sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (taken <= 0) return ktls::fail(failed("sendmsg"));
    return static_cast<std::size_t>(taken);
  }

  int fd_;
};

class RingCall final : public MemoryCall {
 public:
  RingCall(int fd, Pattern pattern, Ring ring)
      : MemoryCall(pattern), fd_(fd), ring_(std::move(ring)) {}

 private:
  Result<std::size_t> send_some(std::span<std::uint8_t> bytes) override {
    const int taken = ring_.send(fd_, bytes);
    if (taken <= 0) return ktls::fail(Error::system(-taken, "io_uring SEND"));
    return static_cast<std::size_t>(taken);
  }

  int fd_;
  Ring ring_;
};

class SpliceCall final : public SendCall {
 public:
  SpliceCall(int fd, Pattern pattern, ktls::UniqueFd read_end, ktls::UniqueFd write_end)
      : fd_(fd),
        pattern_(pattern),
        buffer_(kPieceMax),
        read_end_(std::move(read_end)),
        write_end_(std::move(write_end)) {}

  Result<void> send(std::uint64_t position, std::size_t size) override {
    pattern_.fill(position, std::span(buffer_).first(size));
    if (::write(write_end_.get(), buffer_.data(), size) != static_cast<ssize_t>(size)) {
      return ktls::fail(failed("write to the pipe"));
    }
    while (size != 0) {
      const ssize_t moved = ::splice(read_end_.get(), nullptr, fd_, nullptr, size, SPLICE_F_MOVE);
      if (moved <= 0) return ktls::fail(failed("splice"));
      size -= static_cast<std::size_t>(moved);
    }
    return {};
  }

 private:
  int fd_;
  Pattern pattern_;
  std::vector<std::uint8_t> buffer_;
  ktls::UniqueFd read_end_;
  ktls::UniqueFd write_end_;
};

class SendfileCall final : public SendCall {
 public:
  SendfileCall(int fd, ktls::UniqueFd file) : fd_(fd), file_(std::move(file)) {}

  Result<void> send(std::uint64_t position, std::size_t size) override {
    auto offset = static_cast<off_t>(position);
    while (size != 0) {
      const ssize_t moved = ::sendfile(fd_, file_.get(), &offset, size);
      if (moved <= 0) return ktls::fail(failed("sendfile"));
      size -= static_cast<std::size_t>(moved);
    }
    return {};
  }

 private:
  int fd_;
  ktls::UniqueFd file_;
};

Result<std::unique_ptr<SendCall>> make_splice_call(int fd, Pattern pattern) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return ktls::fail(failed("pipe2"));
  ktls::UniqueFd read_end(ends[0]);
  ktls::UniqueFd write_end(ends[1]);
  if (::fcntl(ends[1], F_SETPIPE_SZ, kPipeSize) < 0) return ktls::fail(failed("F_SETPIPE_SZ"));
  return std::make_unique<SpliceCall>(fd, pattern, std::move(read_end), std::move(write_end));
}

Result<std::unique_ptr<SendCall>> make_sendfile_call(int fd, Pattern pattern, std::uint64_t total) {
  ktls::UniqueFd file(::memfd_create("content", MFD_CLOEXEC));
  if (!file) return ktls::fail(failed("memfd_create"));
  std::vector<std::uint8_t> buffer(kPieceMax);
  for (std::uint64_t position = 0; position < total;) {
    const auto piece =
        std::span(buffer).first(std::min<std::uint64_t>(kPieceMax, total - position));
    pattern.fill(position, piece);
    if (::write(file.get(), piece.data(), piece.size()) != static_cast<ssize_t>(piece.size())) {
      return ktls::fail(failed("write to the file"));
    }
    position += piece.size();
  }
  return std::make_unique<SendfileCall>(fd, std::move(file));
}

}  // namespace

Result<std::unique_ptr<SendCall>> make_send_call(std::string_view name, int fd, Pattern pattern,
                                                 std::uint64_t total) {
  if (name == "write") return std::make_unique<WriteCall>(fd, pattern);
  if (name == "sendmsg") return std::make_unique<SendmsgCall>(fd, pattern);
  if (name == "splice") return make_splice_call(fd, pattern);
  if (name == "sendfile") return make_sendfile_call(fd, pattern, total);
  if (name == "io_uring") {
    KTLS_TRY(Ring ring, Ring::create());
    return std::make_unique<RingCall>(fd, pattern, std::move(ring));
  }
  return ktls::fail(
      Error::of(ErrorCode::kInvalidArgument, "no call that sends: " + std::string(name)));
}

Result<void> send_all(SendCall& call, std::uint64_t total) {
  std::uint64_t position = 0;
  for (std::size_t i = 0; position < total; ++i) {
    const std::size_t size = std::min<std::uint64_t>(kPieces[i % kPieces.size()], total - position);
    if (auto sent = call.send(position, size); !sent) {
      Error error = std::move(sent).error();
      error.detail = "at byte " + std::to_string(position) + ": " + error.detail;
      return ktls::fail(std::move(error));
    }
    position += size;
  }
  return {};
}

}  // namespace conformance
