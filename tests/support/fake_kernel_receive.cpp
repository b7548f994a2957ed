// FakeKernel's receiving, after tls_sw_recvmsg of net/tls/tls_sw.c and tls_strp.c.
#include <algorithm>
#include <cerrno>
#include <utility>

#include <poll.h>

#include "ktls/core/linux_tls.h"
#include "tests/support/fake_kernel.h"
#include "tests/support/fake_kernel_message.h"

namespace ktls {
namespace {

constexpr std::uint8_t kHandshake = 22;
constexpr std::uint8_t kKeyUpdate = 24;  // RFC 8446 section 4, HandshakeType

// put_cmsg of net/core/scm.c. False and MSG_CTRUNC when the record type does not fit.
bool write_record_type(msghdr& message, std::size_t room, std::uint8_t type) {
  if (message.msg_control == nullptr || room < CMSG_LEN(1)) {
    message.msg_flags |= MSG_CTRUNC;
    return false;
  }
  auto* header = static_cast<cmsghdr*>(message.msg_control);
  header->cmsg_level = SOL_TLS;
  header->cmsg_type = TLS_GET_RECORD_TYPE;
  header->cmsg_len = CMSG_LEN(1);
  *CMSG_DATA(header) = type;
  message.msg_controllen = std::min(room, CMSG_SPACE(1));
  return true;
}

}  // namespace

struct FakeKernel::Delivery {
  msghdr& message;
  std::size_t control_room;
  std::span<std::uint8_t> buffer;
  bool peeks;
  std::size_t position = 0;  // in the buffer, which is not always what was copied
  std::size_t copied = 0;
  std::optional<std::uint8_t> type = std::nullopt;
  int sys_errno = 0;

  [[nodiscard]] std::size_t room() const { return buffer.size() - copied; }
  [[nodiscard]] bool is_data() const { return type == kFakeApplicationData; }
  // tls_record_content_type: whether a record of this type may join what was copied.
  bool admits(std::uint8_t next) {
    if (type) return *type == next;
    type = next;
    const bool told = write_record_type(message, control_room, next);
    if (!told && !is_data()) sys_errno = EIO;
    return sys_errno == 0;
  }
  // What the buffer has no room for is dropped.
  void write(std::span<const std::uint8_t> bytes) {
    const auto room = buffer.subspan(position);
    const auto part = bytes.first(std::min(bytes.size(), room.size()));
    std::ranges::copy(part, room.begin());
    position += part.size();
  }
  // As many bytes of the record as there is room for.
  std::size_t copy(const FakeRecord& record) {
    const std::size_t size = std::min(record.payload.size(), room());
    write(std::span(record.payload).first(size));
    copied += size;
    return size;
  }
};

ssize_t FakeKernel::recvmsg(int fd, msghdr* message, int flags) {
  if (const int sys_errno = injected(FakeCall::kReceive)) return fake_failure(sys_errno);
  Socket* socket = find(fd);
  if (socket == nullptr) return fake_failure(EBADF);
  if (socket->state == State::kClosed || socket->state == State::kListening) {
    return fake_failure(ENOTCONN);
  }
  if ((flags & MSG_ERRQUEUE) != 0) return fake_failure(EAGAIN);  // nothing here writes to it
  Bytes buffer = gather(*message);
  message->msg_flags = 0;
  const std::size_t control_room = std::exchange(message->msg_controllen, 0);
  Delivery delivery{*message, control_room, buffer, (flags & MSG_PEEK) != 0};
  const ssize_t received = socket->rx ? receive_records(*socket, delivery)
                                      : receive_raw(*socket, buffer, delivery.peeks);
  scatter(buffer, *message);
  return received;
}

ssize_t FakeKernel::receive_raw(Socket& socket, std::span<std::uint8_t> buffer, bool peeks) {
  const int pending = socket.wire.empty() ? std::exchange(socket.pending_error, 0) : 0;
  if (pending != 0) return fake_failure(pending);
  const bool has_ended = socket.state != State::kEstablished || socket.read_is_shut;
  if (socket.wire.empty() && !has_ended) return fake_failure(EAGAIN);
  Bytes copy = peeks ? socket.wire : Bytes();
  return static_cast<ssize_t>(take_front(peeks ? copy : socket.wire, buffer));
}

// tls_strp_data_ready, when a header is there: one that is no record's is an error of the socket.
void FakeKernel::parse(Socket& socket) {
  if (!socket.rx || socket.parser_stopped) return;
  if (socket.wire.size() < socket.rx->prepend_size()) return;
  const int sys_errno = socket.rx->check_header(std::span(socket.wire).first(kFakeHeaderSize));
  if (sys_errno == 0) return;
  socket.parser_stopped = true;
  socket.pending_error = sys_errno;
}

bool FakeKernel::has_record(const Socket& socket) {
  if (!socket.rx || socket.parser_stopped) return false;
  const Bytes& wire = socket.wire;
  if (wire.size() < socket.rx->prepend_size()) return false;
  if (socket.rx->check_header(std::span(wire).first(kFakeHeaderSize)) != 0) return false;
  return wire.size() >= kFakeHeaderSize + static_cast<std::size_t>(wire[3] << 8 | wire[4]);
}

// tls_rx_rec_wait, and tls_rx_one_record. A record that does not open stays, is reported for ever,
// and its error stands in the way of sending.
int FakeKernel::open_next(Socket& socket, FakeRecord& record) const {
  if (socket.rekey_pending) return EKEYEXPIRED;
  parse(socket);
  if (!has_record(socket)) {
    if (socket.pending_error != 0) return std::exchange(socket.pending_error, 0);
    // A FIN within a record reads as the end of the stream.
    const bool has_ended = socket.state != State::kEstablished || socket.read_is_shut;
    return has_ended ? kFakeEndOfStream : EAGAIN;
  }
  const std::span<const std::uint8_t> wire(socket.wire);
  const std::size_t size = kFakeHeaderSize + static_cast<std::size_t>(wire[3] << 8 | wire[4]);
  auto opened = socket.rx->open(wire.first(size));
  if (!opened) {
    socket.pending_error = EBADMSG;
    return EBADMSG;
  }
  record = *std::move(opened);
  socket.wire.erase(socket.wire.begin(), socket.wire.begin() + static_cast<std::ptrdiff_t>(size));
  // tls_check_pending_rekey: the first byte alone is looked at, in any version.
  socket.rekey_pending = traits_.rekey && record.type == kHandshake && !record.payload.empty() &&
                         record.payload.front() == kKeyUpdate;
  return 0;
}

// process_rx_list
bool FakeKernel::take_opened(Socket& socket, Delivery& delivery) {
  auto at = socket.opened.begin();
  while (at != socket.opened.end() && delivery.room() != 0) {
    if (!delivery.admits(at->type)) return false;
    const std::size_t size = delivery.copy(*at);
    if (!delivery.peeks && size < at->payload.size()) {
      at->payload.erase(at->payload.begin(), at->payload.begin() + static_cast<int>(size));
      return false;
    }
    delivery.message.msg_flags |= MSG_EOR;
    at = delivery.peeks ? std::next(at) : socket.opened.erase(at);
  }
  return delivery.room() != 0 && (!delivery.type || delivery.is_data());
}

// Application data is joined, a control record comes alone. Where no padding is expected, what is
// padded or no data is decrypted twice (tls_decrypt_sw): into the reader's buffer with its padding,
// then aside, to be copied; some kernels do not go back in the buffer in between.
bool FakeKernel::open_into(Socket& socket, Delivery& delivery) const {
  FakeRecord record;
  if (const int sys_errno = open_next(socket, record)) {
    delivery.sys_errno = sys_errno;
    return false;
  }
  if (!delivery.admits(record.type)) {
    socket.opened.push_back(std::move(record));
    return false;
  }
  const std::size_t plaintext_size = record.payload.size() + record.padding;
  const bool is_unexpected = record.type != kFakeApplicationData || record.padding != 0;
  if (socket.expects_no_padding && !delivery.peeks && is_unexpected &&
      plaintext_size <= delivery.room()) {
    Bytes plaintext(record.payload);
    plaintext.push_back(record.type);
    plaintext.resize(plaintext_size);
    const std::size_t before = delivery.position;
    delivery.write(plaintext);
    const bool rewinds = traits_.rewinds_retry && (record.padding == 0 || traits_.rewinds_padded);
    if (rewinds) delivery.position = before;
  }
  const std::size_t size = delivery.copy(record);
  const bool is_partial = size < record.payload.size();
  if (!delivery.peeks && !is_partial) {
    delivery.message.msg_flags |= MSG_EOR;
  } else {
    if (!delivery.peeks) {
      record.payload.erase(record.payload.begin(), record.payload.begin() + static_cast<int>(size));
    }
    socket.opened.push_back(std::move(record));
  }
  return delivery.is_data();
}

// MSG_WAITALL, MSG_TRUNC and MSG_OOB make no difference to one who does not wait.
ssize_t FakeKernel::receive_records(Socket& socket, Delivery& delivery) const {
  bool goes_on = take_opened(socket, delivery);
  while (goes_on && delivery.room() != 0) {
    // What went wrong behind the bytes is left for the next call.
    if (delivery.copied != 0 && !has_record(socket)) break;
    goes_on = open_into(socket, delivery);
  }
  const bool has_failed = delivery.sys_errno != 0 && delivery.sys_errno != kFakeEndOfStream;
  if (delivery.copied == 0 && has_failed) return fake_failure(delivery.sys_errno);
  return static_cast<ssize_t>(delivery.copied);
}

// ---- readiness ----------------------------------------------------------------------------

// There is something to read, or there will not be anything: nobody else acts in between.
int FakeKernel::poll(int fd, short events, int /*timeout_ms*/) {
  if (const int sys_errno = injected(FakeCall::kPoll)) return fake_failure(sys_errno);
  if (find(fd) == nullptr) return fake_failure(EBADF);
  return (readiness(fd) & (events | POLLERR | POLLHUP)) != 0 ? 1 : 0;
}

// tcp_poll, and tls_sw_sock_is_readable. SO_RCVLOWAT keeps TCP from telling of its bytes, so that
// the parser does not see them either.
short FakeKernel::readiness(int fd) const {
  Socket socket = sockets_.at(fd);
  parse(socket);
  const bool is_told = !socket.wire.empty() && socket.wire.size() >= socket.low_water;
  const bool has_bytes = is_told && (!socket.rx || !traits_.awaits_whole_record);
  const bool has_records = !socket.opened.empty() || (is_told && has_record(socket));
  int events = 0;
  if ((has_bytes || has_records) && !socket.rekey_pending) events |= POLLIN;
  if (socket.state == State::kCloseWait || socket.read_is_shut) events |= POLLIN | POLLRDHUP;
  if (socket.state == State::kReset) events |= POLLIN | POLLRDHUP | POLLHUP;
  if (socket.pending_error != 0) events |= POLLERR;
  const auto peer = sockets_.find(socket.peer);
  if (peer == sockets_.end() || peer->second.wire.size() < traits_.wire_capacity) events |= POLLOUT;
  return static_cast<short>(events);
}

std::size_t FakeKernel::unread(int fd) const {
  return sockets_.at(fd).wire.size();
}

}  // namespace ktls
