// The model of net/tls/tls_main.c, tls_sw.c and tcp_ulp.c, errno by errno.
#include "tests/support/fake_kernel.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <poll.h>

#include "ktls/core/linux_tls.h"

namespace ktls {
namespace {

constexpr int kEndOfStream = -1;
constexpr std::uint8_t kHandshake = 22;
constexpr std::uint8_t kKeyUpdate = 24;  // RFC 8446 section 4, HandshakeType

int failed(int sys_errno) {
  errno = sys_errno;
  return -1;
}

int answer(int sys_errno) {
  return sys_errno == 0 ? 0 : failed(sys_errno);
}

std::span<const std::uint8_t> bytes_of(const void* value, std::size_t size) {
  return {static_cast<const std::uint8_t*>(value), size};
}

std::uint16_t host_word(std::span<const std::uint8_t> bytes) {
  std::uint16_t word = 0;
  std::memcpy(&word, bytes.data(), sizeof word);
  return word;
}

FakeCall call_of(int level, int name, bool is_set) {
  if (!is_set && level == SOL_SOCKET && name == SO_ERROR) return FakeCall::kTakeError;
  if (level == SOL_TCP && name == TCP_ULP) return is_set ? FakeCall::kAttach : FakeCall::kReadUlp;
  if (level != SOL_TLS || (name != TLS_TX && name != TLS_RX)) return FakeCall::kOtherOption;
  if (!is_set) return FakeCall::kReadKeys;
  return name == TLS_TX ? FakeCall::kInstallTransmit : FakeCall::kInstallReceive;
}

std::vector<std::uint8_t> gather(const msghdr& message) {
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i < message.msg_iovlen; ++i) {
    const auto part = bytes_of(message.msg_iov[i].iov_base, message.msg_iov[i].iov_len);
    bytes.insert(bytes.end(), part.begin(), part.end());
  }
  return bytes;
}

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

// Moves as many bytes as `to` has room for, and answers how many.
std::size_t take_front(std::vector<std::uint8_t>& from, std::span<std::uint8_t> to) {
  const std::size_t size = std::min(from.size(), to.size());
  const auto end = from.begin() + static_cast<std::ptrdiff_t>(size);
  std::copy(from.begin(), end, to.begin());
  from.erase(from.begin(), end);
  return size;
}

}  // namespace

FakeTraits FakeTraits::without_tls() {
  FakeTraits traits;
  traits.tls_module = false;
  return traits;
}

FakeTraits FakeTraits::without_rekey() {
  FakeTraits traits;
  traits.rekey = false;
  traits.payload_max = false;
  traits.end_of_record = false;
  return traits;
}

FakeTraits FakeTraits::without_rewind() {
  FakeTraits traits = without_rekey();
  traits.end_of_record = true;
  traits.rewinds_retry = false;
  return traits;
}

FakeTraits FakeTraits::with_every_cipher() {
  FakeTraits traits;
  traits.missing_aeads.clear();
  return traits;
}

// ---- sockets ------------------------------------------------------------------------------

FakeKernel::Socket* FakeKernel::find(int fd) {
  const auto found = sockets_.find(fd);
  return found == sockets_.end() ? nullptr : &found->second;
}

int FakeKernel::add(State state, int peer) {
  Socket& socket = sockets_[next_fd_];
  socket.state = state;
  socket.peer = peer;
  return next_fd_++;
}

int FakeKernel::tcp_pair(int fds[2]) {
  if (const int sys_errno = injected(FakeCall::kPair)) return failed(sys_errno);
  fds[0] = add(State::kEstablished);
  fds[1] = add(State::kEstablished, fds[0]);
  sockets_.at(fds[0]).peer = fds[1];
  return 0;
}

int FakeKernel::close(int fd) {
  const int sys_errno = injected(FakeCall::kClose);
  if (find(fd) == nullptr) return failed(EBADF);
  shutdown_write(fd);
  sockets_.erase(fd);
  return answer(sys_errno);
}

int FakeKernel::tcp_socket() {
  return add(State::kClosed);
}

int FakeKernel::listening_socket() {
  return add(State::kListening);
}

int FakeKernel::udp_socket() {
  const int fd = add(State::kClosed);
  sockets_.at(fd).is_tcp = false;
  return fd;
}

void FakeKernel::attach_other_ulp(int fd, std::string name) {
  sockets_.at(fd).ulp = std::move(name);
}

void FakeKernel::shutdown_write(int fd) {
  Socket& socket = sockets_.at(fd);
  socket.write_is_shut = true;
  Socket* peer = find(socket.peer);
  if (peer != nullptr && peer->state == State::kEstablished) peer->state = State::kCloseWait;
}

void FakeKernel::inject(int fd, std::span<const std::uint8_t> bytes) {
  auto& wire = sockets_.at(fd).wire;
  wire.insert(wire.end(), bytes.begin(), bytes.end());
}

void FakeKernel::queue_record(int fd, std::uint8_t type, std::span<const std::uint8_t> payload) {
  Socket& socket = sockets_.at(fd);
  if (!socket.queue_keys) std::abort();  // the test forgot TLS_RX
  inject(fd, socket.queue_keys->seal(type, payload));
}

const std::vector<FakeRecord>& FakeKernel::sent_records(int fd) const {
  return sockets_.at(fd).sent;
}

// ---- failures -----------------------------------------------------------------------------

void FakeKernel::fail(FakeCall call, std::size_t nth, int sys_errno) {
  failures_[call][calls(call) + nth] = sys_errno;
}

void FakeKernel::fail_always(FakeCall call, int sys_errno) {
  lasting_failures_[call] = sys_errno;
}

std::size_t FakeKernel::calls(FakeCall call) const {
  const auto found = calls_.find(call);
  return found == calls_.end() ? 0 : found->second;
}

int FakeKernel::injected(FakeCall call) {
  int sys_errno = 0;
  for (const FakeCall kind : {FakeCall::kAny, call}) {
    const std::size_t number = ++calls_[kind];
    const auto failure = failures_[kind].extract(number);
    if (!failure.empty()) sys_errno = failure.mapped();
    if (lasting_failures_[kind] != 0) sys_errno = lasting_failures_[kind];
  }
  return sys_errno;
}

// ---- options ------------------------------------------------------------------------------

int FakeKernel::setsockopt(int fd, int level, int name, const void* value, socklen_t size) {
  const FakeCall call = call_of(level, name, true);
  if (const int sys_errno = injected(call)) return failed(sys_errno);
  Socket* socket = find(fd);
  if (socket == nullptr) return failed(EBADF);
  switch (call) {
    case FakeCall::kAttach:
      return answer(attach(*socket, value, size));
    case FakeCall::kInstallReceive:
      return answer(install(*socket, Direction::kReceive, value, size));
    case FakeCall::kInstallTransmit:
      return answer(install(*socket, Direction::kTransmit, value, size));
    default:
      return answer(level == SOL_TLS ? set_option(*socket, name, value, size) : ENOPROTOOPT);
  }
}

int FakeKernel::getsockopt(int fd, int level, int name, void* value, socklen_t* size) {
  const FakeCall call = call_of(level, name, false);
  if (const int sys_errno = injected(call)) return failed(sys_errno);
  Socket* socket = find(fd);
  if (socket == nullptr) return failed(EBADF);
  switch (call) {
    case FakeCall::kTakeError:
      std::memcpy(value, &socket->pending_error, sizeof socket->pending_error);
      socket->pending_error = 0;
      return 0;
    case FakeCall::kReadUlp:
      return answer(read_ulp(*socket, value, size));
    case FakeCall::kReadKeys:
      return answer(read_keys(*socket, name == TLS_TX ? Direction::kTransmit : Direction::kReceive,
                              value, size));
    default:
      return answer(level == SOL_TLS ? read_option(*socket, name, value, size) : ENOPROTOOPT);
  }
}

int FakeKernel::attach(Socket& socket, const void* value, socklen_t size) {
  if (!socket.is_tcp) return ENOPROTOOPT;
  if (value == nullptr || size == 0) return EINVAL;
  const auto* name = static_cast<const char*>(value);
  const std::string ulp(name, ::strnlen(name, std::min(size, kUlpNameMax - 1)));
  if (ulp != kUlpName || !traits_.tls_module) return ENOENT;
  if (!socket.ulp.empty()) return EEXIST;
  if (socket.state != State::kEstablished) return ENOTCONN;
  socket.ulp = ulp;
  return 0;
}

// The order of checks is that of do_tls_setsockopt_conf.
int FakeKernel::check_install(const Socket& socket, Direction direction,
                              std::span<const std::uint8_t> structure,
                              const FakeCipher*& cipher) const {
  const bool transmits = direction == Direction::kTransmit;
  const auto& present = transmits ? socket.tx : socket.rx;
  const auto& other = transmits ? socket.rx : socket.tx;
  if (structure.size() < sizeof(tls_crypto_info)) return EINVAL;
  if (present && (present->version() != TLS_1_3_VERSION || !traits_.rekey)) return EBUSY;
  const std::uint16_t version = host_word(structure);
  const std::uint16_t number = host_word(structure.subspan(sizeof version));
  cipher = find_fake_cipher(number);
  if (version != TLS_1_2_VERSION && version != TLS_1_3_VERSION) return EINVAL;
  if (cipher != nullptr && version == TLS_1_3_VERSION && !cipher->tls13) return EINVAL;
  for (const auto* keys : {&present, &other}) {
    if (*keys && ((*keys)->version() != version || (*keys)->cipher() != number)) return EINVAL;
  }
  if (cipher == nullptr || structure.size() != cipher->structure_size()) return EINVAL;
  return traits_.missing_aeads.contains(number) ? ENOENT : 0;
}

int FakeKernel::install(Socket& socket, Direction direction, const void* value, socklen_t size) {
  if (socket.ulp != kUlpName) return ENOPROTOOPT;
  if (value == nullptr) return EINVAL;
  const auto structure = bytes_of(value, size);
  const FakeCipher* cipher = nullptr;
  if (const int sys_errno = check_install(socket, direction, structure, cipher)) return sys_errno;
  if (direction == Direction::kTransmit) {
    socket.tx.emplace(*cipher, structure);
  } else {
    socket.rx.emplace(*cipher, structure);
    socket.queue_keys = socket.rx;
    socket.rekey_pending = false;
  }
  return 0;
}

int FakeKernel::read_ulp(const Socket& socket, void* value, socklen_t* size) {
  if (!socket.is_tcp) return ENOPROTOOPT;
  if (socket.ulp.empty()) {
    *size = 0;
    return 0;
  }
  std::array<char, kUlpNameMax> name{};
  std::ranges::copy(socket.ulp, name.begin());
  *size = std::min(*size, kUlpNameMax);
  std::memcpy(value, name.data(), *size);
  return 0;
}

int FakeKernel::read_keys(const Socket& socket, Direction direction, void* value, socklen_t* size) {
  if (socket.ulp != kUlpName) return EOPNOTSUPP;
  const auto& keys = direction == Direction::kTransmit ? socket.tx : socket.rx;
  if (*size < sizeof(tls_crypto_info)) return EINVAL;
  if (!keys) return EBUSY;
  const auto structure = keys->structure();
  if (*size != sizeof(tls_crypto_info) && *size != structure.size()) return EINVAL;
  std::memcpy(value, structure.data(), *size);
  return 0;
}

// ---- sending ------------------------------------------------------------------------------

ssize_t FakeKernel::sendmsg(int fd, const msghdr* message, int flags) {
  if (const int sys_errno = injected(FakeCall::kSend)) return failed(sys_errno);
  Socket* socket = find(fd);
  if (socket == nullptr) return failed(EBADF);
  // net/tls counts what it encrypts after a shutdown of its own as sent.
  const bool drops = socket->write_is_shut && socket->tx.has_value();
  if (find(socket->peer) == nullptr || (socket->write_is_shut && !drops)) return failed(EPIPE);
  const int known = MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE | (traits_.end_of_record ? MSG_EOR : 0);
  if ((flags & ~known) != 0) return failed(EOPNOTSUPP);
  if (!socket->tx) return send_raw(*socket, gather(*message));
  return send_records(*socket, *message, flags);
}

ssize_t FakeKernel::send_raw(Socket& socket, std::span<const std::uint8_t> bytes) {
  const std::size_t queued = sockets_.at(socket.peer).wire.size();
  if (queued >= traits_.wire_capacity) return failed(EAGAIN);
  const std::size_t taken = std::min(bytes.size(), traits_.wire_capacity - queued);
  inject(socket.peer, bytes.first(taken));
  return static_cast<ssize_t>(taken);
}

int FakeKernel::emit(Socket& socket, std::uint8_t type, std::span<const std::uint8_t> payload) {
  if (socket.pending_error != 0) return socket.pending_error;
  if (sockets_.at(socket.peer).wire.size() >= traits_.wire_capacity) return EAGAIN;
  const bool wraps = socket.tx->sequence() == UINT64_MAX;
  const Bytes record = socket.tx->seal(type, payload);
  if (!socket.write_is_shut) {
    inject(socket.peer, record);
    socket.sent.push_back({type, {payload.begin(), payload.end()}});
  }
  // tls_advance_record_sn: the last record goes out, and is reported as failed.
  if (wraps) socket.pending_error = EBADMSG;
  return socket.pending_error;
}

int FakeKernel::flush(Socket& socket) {
  if (socket.open_record.empty()) return 0;
  const int sys_errno = emit(socket, kApplicationData, socket.open_record);
  if (sys_errno == 0) socket.open_record.clear();
  return sys_errno;
}

ssize_t FakeKernel::send_records(Socket& socket, const msghdr& message, int flags) {
  if ((flags & MSG_MORE) != 0 && (flags & MSG_EOR) != 0) return failed(EINVAL);
  std::optional<std::uint8_t> type;
  if (const int sys_errno = read_record_type(message, flags, type)) return failed(sys_errno);
  if (type) {
    if (const int sys_errno = flush(socket)) return failed(sys_errno);
  }
  const std::vector<std::uint8_t> plaintext = gather(message);
  std::span<const std::uint8_t> rest(plaintext);
  while (!rest.empty()) {
    const std::size_t room = socket.payload_max - socket.open_record.size();
    const auto piece = rest.first(std::min(rest.size(), room));
    const std::size_t before = socket.open_record.size();
    socket.open_record.insert(socket.open_record.end(), piece.begin(), piece.end());
    const bool is_last = piece.size() == rest.size();
    const bool stays_open = is_last && (flags & MSG_MORE) != 0 && piece.size() < room;
    if (!stays_open) {
      if (const int sys_errno = emit(socket, type.value_or(kApplicationData), socket.open_record)) {
        socket.open_record.resize(before);
        if (rest.size() == plaintext.size()) return failed(sys_errno);
        break;
      }
      socket.open_record.clear();
    }
    rest = rest.subspan(piece.size());
  }
  return static_cast<ssize_t>(plaintext.size() - rest.size());
}

// ---- receiving ----------------------------------------------------------------------------

ssize_t FakeKernel::recvmsg(int fd, msghdr* message, int flags) {
  if (const int sys_errno = injected(FakeCall::kReceive)) return failed(sys_errno);
  Socket* socket = find(fd);
  if (socket == nullptr) return failed(EBADF);
  if (socket->state != State::kEstablished && socket->state != State::kCloseWait) {
    return failed(ENOTCONN);
  }
  const bool peeks = (flags & MSG_PEEK) != 0;
  if ((flags & ~(MSG_DONTWAIT | MSG_PEEK)) != 0 || message->msg_iovlen != 1) {
    return failed(EOPNOTSUPP);
  }
  const std::span<std::uint8_t> buffer(static_cast<std::uint8_t*>(message->msg_iov[0].iov_base),
                                       message->msg_iov[0].iov_len);
  message->msg_flags = 0;
  Socket copy;
  if (peeks) {
    copy = *socket;  // whatever is taken is taken from it
    socket = &copy;
  }
  if (socket->rx) return receive_records(*socket, *message, buffer);
  message->msg_controllen = 0;
  return receive_raw(*socket, buffer);
}

// There is something to read, or there will not be anything: nobody else acts in between.
int FakeKernel::poll(int fd, short events, int /*timeout_ms*/) {
  if (const int sys_errno = injected(FakeCall::kPoll)) return failed(sys_errno);
  const Socket* socket = find(fd);
  if (socket == nullptr) return failed(EBADF);
  const bool is_readable =
      !socket->wire.empty() || socket->opened || socket->state == State::kCloseWait;
  return (events & POLLIN) != 0 && is_readable ? 1 : 0;
}

ssize_t FakeKernel::receive_raw(Socket& socket, std::span<std::uint8_t> buffer) {
  if (socket.wire.empty() && socket.state != State::kCloseWait) return failed(EAGAIN);
  return static_cast<ssize_t>(take_front(socket.wire, buffer));
}

int FakeKernel::open_next(Socket& socket) const {
  if (socket.rekey_pending) return EKEYEXPIRED;
  if (socket.parser_stopped) return EAGAIN;
  // net/tls/tls_strp.c: a FIN within a record reads as the end of the stream.
  const int shortage = socket.state == State::kCloseWait ? kEndOfStream : EAGAIN;
  if (socket.wire.size() < socket.rx->prepend_size()) return shortage;
  const std::span<const std::uint8_t> wire(socket.wire);
  if (const int sys_errno = socket.rx->check_header(wire.first(kFakeHeaderSize))) return sys_errno;
  const std::size_t size = kFakeHeaderSize + static_cast<std::size_t>(wire[3] << 8 | wire[4]);
  if (wire.size() < size) return shortage;
  socket.opened = socket.rx->open(wire.first(size));
  if (!socket.opened) return EBADMSG;
  socket.wire.erase(socket.wire.begin(), socket.wire.begin() + static_cast<std::ptrdiff_t>(size));
  const Bytes& payload = socket.opened->payload;
  // net/tls/tls_sw.c, tls_check_pending_rekey: the first byte alone is looked at, in any version.
  socket.rekey_pending = traits_.rekey && socket.opened->type == kHandshake && !payload.empty() &&
                         payload.front() == kKeyUpdate;
  return 0;
}

// A header that is no record's stops the parser, so that it is reported once. A record that does
// not open stays, is reported for ever, and its error stands in the way of sending.
ssize_t FakeKernel::report(Socket& socket, int sys_errno) {
  if (sys_errno == kEndOfStream) return 0;
  const std::span<const std::uint8_t> wire(socket.wire);
  const bool is_parsed =
      !socket.parser_stopped && !socket.rekey_pending && wire.size() >= socket.rx->prepend_size();
  if (is_parsed && socket.rx->check_header(wire.first(kFakeHeaderSize)) != 0) {
    socket.parser_stopped = true;
  } else if (sys_errno == EBADMSG) {
    socket.pending_error = sys_errno;
  }
  return failed(sys_errno);
}

// tls_sw_recvmsg: application data is joined, a control record comes alone. Where no padding is
// expected it is decrypted twice, which leaves a second copy behind the first if the buffer is not
// rewound.
ssize_t FakeKernel::receive_records(Socket& socket, msghdr& message,
                                    std::span<std::uint8_t> buffer) const {
  const std::size_t control_room = std::exchange(message.msg_controllen, 0);
  std::optional<std::uint8_t> type;
  std::size_t copied = 0;
  while (copied < buffer.size()) {
    if (!socket.opened) {
      const int sys_errno = open_next(socket);
      if (sys_errno != 0 && copied != 0) break;
      if (sys_errno != 0) return report(socket, sys_errno);
    }
    if (type && *type != socket.opened->type) break;
    if (!type) {
      type = socket.opened->type;
      const bool told = write_record_type(message, control_room, *type);
      if (!told && *type != kApplicationData) return failed(EIO);
    }
    const bool is_copied_twice = !traits_.rewinds_retry && socket.expects_no_padding &&
                                 *type != kApplicationData &&
                                 socket.opened->payload.size() <= buffer.size();
    if (is_copied_twice) {
      Bytes copy = socket.opened->payload;
      take_front(copy, buffer.subspan(copy.size()));
    }
    copied += take_front(socket.opened->payload, buffer.subspan(copied));
    if (!socket.opened->payload.empty()) break;
    message.msg_flags |= MSG_EOR;
    socket.opened.reset();
    if (*type != kApplicationData) break;
  }
  return static_cast<ssize_t>(copied);
}

std::vector<std::uint8_t> fake_seal(const CryptoInfo& keys, std::uint8_t type,
                                    std::span<const std::uint8_t> payload) {
  const auto structure = keys.bytes();
  const FakeCipher* cipher = find_fake_cipher(host_word(structure.subspan(2)));
  if (cipher == nullptr) std::abort();  // the test made these keys up
  return FakeKeys(*cipher, structure).seal(type, payload);
}

}  // namespace ktls
