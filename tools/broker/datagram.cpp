// recvmsg and sendmsg with descriptors.

#include "tools/broker/datagram.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <span>
#include <utility>

#include <sys/socket.h>

namespace tools {
namespace {

using bridge::Scope;
using bridge::Task;
using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using ktls::UniqueFd;
using std::chrono::milliseconds;

constexpr std::size_t kDescriptorsMax = 2;
// Nobody tells when descriptors in flight have landed.
constexpr milliseconds kFlightPoll{10};

// Takes over all descriptors of a message, wanted or not.
std::vector<ForeignFd> take_descriptors(const msghdr& header) {
  std::vector<ForeignFd> taken;
  auto* const mutable_header = const_cast<msghdr*>(&header);
  for (cmsghdr* each = CMSG_FIRSTHDR(&header); each != nullptr;
       each = CMSG_NXTHDR(mutable_header, each)) {
    if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (each->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(each) + i * sizeof fd, sizeof fd);
      taken.emplace_back(UniqueFd(fd));
    }
  }
  return taken;
}

// Without waiting. Errors: as receive_message(), and kSystem EAGAIN.
Result<std::optional<Message>> receive_now(int fd) {
  std::array<std::uint8_t, broker::kRequestMax> bytes{};
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(kDescriptorsMax * sizeof(int))> control{};
  iovec part{.iov_base = bytes.data(), .iov_len = bytes.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  const ssize_t size = ::recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (size < 0) return ktls::fail(Error::system(errno, "recvmsg"));
  Message message{.request = {}, .payload = {}, .descriptors = take_descriptors(header)};
  if (size == 0) return std::optional<Message>();
  const auto whole = static_cast<std::size_t>(size);
  if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return ktls::fail(
        Error::of(ErrorCode::kDecodeError, "a message that is too long, or lost a descriptor"));
  }
  std::memcpy(&message.request, bytes.data(), std::min(whole, sizeof message.request));
  if (!broker::is_whole(message.request, whole)) {
    return ktls::fail(Error::of(ErrorCode::kDecodeError, "no message of the broker's protocol"));
  }
  const auto payload =
      std::span(bytes).subspan(sizeof message.request, message.request.payload_size);
  message.payload.assign(payload.begin(), payload.end());
  return std::optional(std::move(message));
}

// Without waiting.
Result<void> send_now(int fd, std::span<const std::byte> bytes, std::span<const int> passed) {
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(kDescriptorsMax * sizeof(int))> control{};
  iovec part{.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!passed.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(passed.size_bytes());
    cmsghdr* const rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(passed.size_bytes());
    std::memcpy(CMSG_DATA(rights), passed.data(), passed.size_bytes());
  }
  if (::sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    return ktls::fail(Error::system(errno, "sendmsg"));
  }
  return {};
}

bool is_errno(const Error& error, int sys_errno) {
  return error.code == ErrorCode::kSystem && error.sys_errno == sys_errno;
}

}  // namespace

Task<Result<std::optional<Message>>> receive_message(bridge::Loop& loop, Scope& scope, int fd) {
  for (;;) {
    auto ready = co_await loop.readable(scope, fd);
    if (!ready) co_return ktls::fail(std::move(ready).error());
    auto received = receive_now(fd);
    if (received || !is_errno(received.error(), EAGAIN)) co_return received;
  }
}

Result<void> send_answer_now(int fd, const broker::Answer& answer) {
  return send_now(fd, std::as_bytes(std::span(&answer, 1)), {});
}

Task<Result<void>> send_answer(bridge::Loop& loop, Scope& scope, int fd,
                               const broker::Answer& answer, int passed) {
  const std::span<const int> rights(&passed, passed >= 0 ? 1 : 0);
  for (;;) {
    auto sent = send_now(fd, std::as_bytes(std::span(&answer, 1)), rights);
    if (sent) co_return sent;
    const bool is_full = is_errno(sent.error(), EAGAIN);
    if (!is_full && !is_errno(sent.error(), ETOOMANYREFS)) co_return sent;
    Task<Result<void>> wait = is_full ? loop.writable(scope, fd) : loop.sleep(scope, kFlightPoll);
    auto waited = co_await std::move(wait);
    if (!waited) co_return waited;
  }
}

bool send_request(int fd, const Message& message) {
  std::array<int, kDescriptorsMax> passed{};
  if (!message.payload.empty() || message.descriptors.size() != passed.size()) return false;
  std::ranges::transform(message.descriptors, passed.begin(), &ForeignFd::get);
  return send_now(fd, std::as_bytes(std::span(&message.request, 1)), passed).has_value();
}

broker::Answer answer_of(broker::Kind kind) {
  broker::Answer answer;
  answer.header.kind = kind;
  return answer;
}

broker::Answer refusal(int sys_errno, std::string_view text, std::string_view reason) {
  broker::Answer answer = answer_of(broker::Kind::kError);
  answer.error = static_cast<std::uint32_t>(sys_errno);
  copy_text(answer.text, text);
  copy_text(answer.reason, reason);
  return answer;
}

}  // namespace tools
