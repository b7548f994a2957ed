// The model of net/tls/tls_main.c and tcp_ulp.c, errno by errno: sockets, attaching, installing.
#include "tests/support/fake_kernel.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "ktls/core/linux_tls.h"
#include "tests/support/fake_kernel_message.h"

namespace ktls {
namespace {

int answer(int sys_errno) {
  return sys_errno == 0 ? 0 : fake_failure(sys_errno);
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
  return traits;
}

FakeTraits FakeTraits::without_rewind() {
  FakeTraits traits = without_rekey();
  traits.rewinds_retry = false;
  return traits;
}

FakeTraits FakeTraits::oldest() {
  FakeTraits traits = without_rewind();
  traits.end_of_record = false;
  traits.splices_pages = false;
  traits.awaits_whole_record = false;
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

int FakeKernel::errno_without_socket(int fd) const {
  return pipe_ends_.contains(fd) || files_.contains(fd) ? ENOTSOCK : EBADF;
}

int FakeKernel::add(State state, int peer) {
  Socket& socket = sockets_[next_fd_];
  socket.state = state;
  socket.peer = peer;
  return next_fd_++;
}

int FakeKernel::tcp_pair(int fds[2]) {
  if (const int sys_errno = injected(FakeCall::kPair)) return fake_failure(sys_errno);
  fds[0] = add(State::kEstablished);
  fds[1] = add(State::kEstablished, fds[0]);
  sockets_.at(fds[0]).peer = fds[1];
  return 0;
}

int FakeKernel::close(int fd) {
  const int sys_errno = injected(FakeCall::kClose);
  if (const auto end = pipe_ends_.find(fd); end != pipe_ends_.end()) {
    if (end->second.writes) end->second.pipe->writer_is_open = false;
    pipe_ends_.erase(end);
    return answer(sys_errno);
  }
  if (files_.erase(fd) != 0) return answer(sys_errno);
  Socket* socket = find(fd);
  if (socket == nullptr) return fake_failure(EBADF);
  Socket* peer = find(socket->peer);
  // tcp_close: also where something was left unread.
  const bool resets = socket->resets_at_close || !socket->wire.empty();
  if (resets && peer != nullptr) {
    reset(*peer);
  } else {
    shutdown_write(fd);
  }
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
  sockets_.at(fd).no_tcp_errno = ENOPROTOOPT;
  return fd;
}

int FakeKernel::unix_socket() {
  const int fd = add(State::kClosed);
  sockets_.at(fd).no_tcp_errno = EOPNOTSUPP;
  return fd;
}

// inet_listen: a connected socket does not listen in any case.
int FakeKernel::listen(int fd) {
  return answer(find(fd) == nullptr ? errno_without_socket(fd) : EINVAL);
}

// tls_disconnect of net/tls/tls_main.c; without it TCP goes back to where it began.
int FakeKernel::disconnect(int fd) {
  Socket* socket = find(fd);
  if (socket == nullptr) return fake_failure(errno_without_socket(fd));
  if (socket->ulp == kUlpName) return fake_failure(EOPNOTSUPP);
  if (Socket* peer = find(socket->peer)) reset(*peer);
  socket->state = State::kClosed;
  return 0;
}

const void* FakeKernel::wild_pointer() {
  static constexpr std::array<std::uint8_t, 64> kUnmapped{};
  return kUnmapped.data();
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

void FakeKernel::shutdown_read(int fd) {
  sockets_.at(fd).read_is_shut = true;
}

// tcp_reset of net/ipv4/tcp_input.c
void FakeKernel::reset(Socket& socket) {
  if (socket.state != State::kEstablished && socket.state != State::kCloseWait) return;
  socket.pending_error = socket.state == State::kCloseWait ? EPIPE : ECONNRESET;
  socket.state = State::kReset;
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
  if (const int sys_errno = injected(call)) return fake_failure(sys_errno);
  Socket* socket = find(fd);
  if (socket == nullptr) return fake_failure(errno_without_socket(fd));
  switch (call) {
    case FakeCall::kAttach:
      return answer(attach(*socket, value, size));
    case FakeCall::kInstallReceive:
      return answer(install(*socket, Direction::kReceive, value, size));
    case FakeCall::kInstallTransmit:
      return answer(install(*socket, Direction::kTransmit, value, size));
    default:
      if (level == SOL_SOCKET) return answer(set_socket_option(*socket, name, value, size));
      return answer(level == SOL_TLS ? set_option(*socket, name, value, size) : ENOPROTOOPT);
  }
}

int FakeKernel::getsockopt(int fd, int level, int name, void* value, socklen_t* size) {
  const FakeCall call = call_of(level, name, false);
  if (const int sys_errno = injected(call)) return fake_failure(sys_errno);
  Socket* socket = find(fd);
  if (socket == nullptr) return fake_failure(errno_without_socket(fd));
  switch (call) {
    case FakeCall::kTakeError:
      parse(*socket);
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
  if (socket.no_tcp_errno != 0) return socket.no_tcp_errno;
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
  if (structure.data() == wild_pointer()) return EFAULT;
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
  if (socket.no_tcp_errno != 0) return socket.no_tcp_errno;
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

std::vector<std::uint8_t> fake_seal(const CryptoInfo& keys, std::uint8_t type,
                                    std::span<const std::uint8_t> payload, std::size_t padding) {
  const auto structure = keys.bytes();
  const FakeCipher* cipher = find_fake_cipher(host_word(structure.subspan(2)));
  if (cipher == nullptr) std::abort();  // the test made these keys up
  return FakeKeys(*cipher, structure).seal(type, payload, padding);
}

}  // namespace ktls
