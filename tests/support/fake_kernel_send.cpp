// FakeKernel's sending, after tls_sw_sendmsg of net/tls/tls_sw.c.
#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "ktls/core/linux_tls.h"
#include "tests/support/fake_kernel.h"
#include "tests/support/fake_kernel_message.h"

namespace ktls {
namespace {

// MAX_MSG_FRAGS of include/linux/skmsg.h
constexpr std::size_t kFragmentsMax = 17;

// net/tls/tls_main.c, tls_process_cmsg: 0 or errno; `type` is left alone without a record type.
int read_record_type(const msghdr& message, int flags, std::optional<std::uint8_t>& type) {
  if (message.msg_controllen == 0) return 0;
  int result = EINVAL;  // foreign levels alone are refused
  auto* copy = const_cast<msghdr*>(&message);
  for (cmsghdr* header = CMSG_FIRSTHDR(copy); header != nullptr;
       header = CMSG_NXTHDR(copy, header)) {
    if (header->cmsg_level != SOL_TLS) continue;
    if (header->cmsg_type != TLS_SET_RECORD_TYPE || header->cmsg_len < CMSG_LEN(1) ||
        (flags & MSG_MORE) != 0) {
      return EINVAL;
    }
    type = *CMSG_DATA(header);
    result = 0;
  }
  return result;
}

}  // namespace

ssize_t FakeKernel::sendmsg(int fd, const msghdr* message, int flags) {
  if (const int sys_errno = injected(FakeCall::kSend)) return fake_failure(sys_errno);
  Socket* socket = find(fd);
  if (socket == nullptr) return fake_failure(EBADF);
  const int known = MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE | (traits_.end_of_record ? MSG_EOR : 0);
  if (socket->tx && (flags & ~known) != 0) return fake_failure(EOPNOTSUPP);
  if (!socket->tx) return send_raw(*socket, gather(*message));
  return send_records(*socket, *message, flags);
}

// tcp_sendmsg
ssize_t FakeKernel::send_raw(Socket& socket, std::span<const std::uint8_t> bytes) {
  const int pending = std::exchange(socket.pending_error, 0);
  if (pending != 0) return fake_failure(pending);
  const bool is_open = socket.state == State::kEstablished || socket.state == State::kCloseWait;
  if (!is_open || socket.write_is_shut) return fake_failure(EPIPE);
  const Socket* peer = find(socket.peer);
  if (peer == nullptr) {
    reset(socket);
    return static_cast<ssize_t>(bytes.size());
  }
  const std::size_t queued = peer->wire.size();
  if (queued >= traits_.wire_capacity) return fake_failure(EAGAIN);
  const std::size_t taken = std::min(bytes.size(), traits_.wire_capacity - queued);
  inject(socket.peer, bytes.first(taken));
  return static_cast<ssize_t>(taken);
}

// What TCP refuses, after a shutdown of its own or an RST, net/tls counts as sent all the same.
int FakeKernel::emit(Socket& socket, std::uint8_t type, std::span<const std::uint8_t> payload) {
  parse(socket);
  if (socket.pending_error == EPIPE) return std::exchange(socket.pending_error, 0);
  if (socket.pending_error != 0) return socket.pending_error;
  const bool drops = socket.write_is_shut || socket.state == State::kReset;
  const Socket* peer = find(socket.peer);
  if (!drops && peer != nullptr && peer->wire.size() >= traits_.wire_capacity) return EAGAIN;
  const bool wraps = socket.tx->sequence() == UINT64_MAX;
  const Bytes record = socket.tx->seal(type, payload);
  if (!drops) {
    socket.sent.push_back({type, {payload.begin(), payload.end()}});
    if (peer != nullptr) {
      inject(socket.peer, record);
    } else {
      reset(socket);  // the answer to data for a socket that is closed
    }
  }
  // tls_advance_record_sn: the last record goes out, and is reported as failed.
  if (wraps) socket.pending_error = EBADMSG;
  return wraps ? EBADMSG : 0;
}

bool FakeKernel::is_full(const Socket& socket) const {
  return socket.open_record.size() >= socket.payload_max || socket.fragments >= kFragmentsMax;
}

int FakeKernel::flush(Socket& socket) {
  if (socket.open_record.empty()) return 0;
  const int sys_errno = emit(socket, kFakeApplicationData, socket.open_record);
  if (sys_errno != 0) return sys_errno;
  socket.open_record.clear();
  socket.fragments = 0;
  socket.ends_in_copy = false;
  return 0;
}

int FakeKernel::fill(Socket& socket, std::uint8_t type, std::span<const std::uint8_t>& rest,
                     Fragment fragment, bool stays_open) {
  while (!rest.empty()) {
    const std::size_t before = socket.open_record.size();
    const auto piece = rest.first(std::min(rest.size(), socket.payload_max - before));
    const bool is_copy = fragment == Fragment::kCopy;
    const bool extends = is_copy && socket.ends_in_copy;
    socket.open_record.insert(socket.open_record.end(), piece.begin(), piece.end());
    if (!extends) ++socket.fragments;
    const bool ended_in_copy = std::exchange(socket.ends_in_copy, is_copy);
    if (piece.size() < rest.size() || !stays_open || is_full(socket)) {
      if (const int sys_errno = emit(socket, type, socket.open_record)) {
        socket.open_record.resize(before);
        if (!extends) --socket.fragments;
        socket.ends_in_copy = ended_in_copy;
        return sys_errno;
      }
      socket.open_record.clear();
      socket.fragments = 0;
      socket.ends_in_copy = false;
    }
    rest = rest.subspan(piece.size());
  }
  return 0;
}

ssize_t FakeKernel::send_records(Socket& socket, const msghdr& message, int flags) {
  if ((flags & MSG_MORE) != 0 && (flags & MSG_EOR) != 0) return fake_failure(EINVAL);
  std::optional<std::uint8_t> type;
  if (const int sys_errno = read_record_type(message, flags, type)) return fake_failure(sys_errno);
  if (type) {
    if (const int sys_errno = flush(socket)) return fake_failure(sys_errno);
  }
  const Bytes plaintext = gather(message);
  std::span<const std::uint8_t> rest(plaintext);
  const int sys_errno = fill(socket, type.value_or(kFakeApplicationData), rest, Fragment::kCopy,
                             (flags & MSG_MORE) != 0);
  const std::size_t taken = plaintext.size() - rest.size();
  if (sys_errno != 0 && taken == 0) return fake_failure(sys_errno);
  return static_cast<ssize_t>(taken);
}

}  // namespace ktls
