// Source: Documentation/networking/tls.rst; net/tls/tls_sw.c, tls_record_content_type.
#include "userspace/broker/client_records.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <linux/sockios.h>
#include <poll.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "ktls/core/linux_tls.h"

namespace broker {
namespace {

struct alignas(cmsghdr) TypeBuffer {
  std::array<std::byte, CMSG_SPACE(sizeof(std::uint8_t))> bytes{};
};

// AlertLevel: RFC 5246 section 7.2. RFC 8446 has the same, and gives them no meaning.
constexpr std::uint8_t kWarning = 1;
constexpr std::uint8_t kFatal = 2;

Received receive(int fd, std::span<std::uint8_t> room, std::span<std::byte> control, int flags) {
  iovec part{room.data(), room.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  Received received{.size = ::recvmsg(fd, &message, flags | MSG_CMSG_CLOEXEC)};
  const cmsghdr* header = received.size < 0 ? nullptr : CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_level != SOL_TLS ||
      header->cmsg_type != TLS_GET_RECORD_TYPE) {
    return received;
  }
  // Where there is no room for the type, the kernel answers EIO but for application data.
  std::uint8_t type = kDataRecord;
  if (header->cmsg_len >= CMSG_LEN(sizeof type)) std::memcpy(&type, CMSG_DATA(header), sizeof type);
  received.type = type;
  return received;
}

int tcp_state(int fd) {
  std::uint8_t state = 0;  // the first field of tcp_info
  socklen_t size = sizeof state;
  return ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &state, &size) == 0 ? state : -1;
}

}  // namespace

StreamKind kind_of(int fd) {
  tls_crypto_info info{};
  socklen_t size = sizeof info;
  // No key comes with these four bytes, and it fails where none is installed.
  if (::getsockopt(fd, SOL_TLS, TLS_TX, &info, &size) == 0) return StreamKind::kKernelTls;
  int domain = 0;
  size = sizeof domain;
  const bool is_local =
      ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
  return is_local ? StreamKind::kRelayed : StreamKind::kOther;
}

bool may_write(int fd) {
  const int state = tcp_state(fd);
  return state == TCP_ESTABLISHED || state == TCP_CLOSE_WAIT;
}

bool awaits_tickets(int fd) {
  int unacknowledged = 0;
  if (::ioctl(fd, SIOCOUTQ, &unacknowledged) != 0 || unacknowledged == 0) return false;
  // Every tls12_crypto_info_* has one of these sizes, which the kernel wants to be told, and ends
  // with rec_seq.
  constexpr std::array<socklen_t, 2> kSizes = {sizeof(tls12_crypto_info_aes_gcm_128),
                                               sizeof(tls12_crypto_info_aes_gcm_256)};
  std::array<std::uint8_t, sizeof(tls12_crypto_info_aes_gcm_256)> info{};
  bool is_first = false;
  for (socklen_t size : kSizes) {
    if (::getsockopt(fd, SOL_TLS, TLS_RX, info.data(), &size) != 0) continue;
    const auto number = std::span(info).first(size).last(TLS_CIPHER_AES_GCM_128_REC_SEQ_SIZE);
    is_first = std::all_of(number.begin(), number.end(), [](auto byte) { return byte == 0; });
    break;
  }
  ::explicit_bzero(info.data(), info.size());
  return is_first;
}

bool is_cut_off(int fd) {
  pollfd wanted{fd, POLLRDHUP, 0};
  if (::poll(&wanted, 1, 0) != 1) return false;
  const int state = tcp_state(fd);
  return state != TCP_CLOSE_WAIT && state != TCP_CLOSING && state != TCP_LAST_ACK;
}

Received receive_data(int fd, std::span<std::uint8_t> room) {
  // The header without the type: it tells bytes of a record from bytes in the clear, and keeps
  // control records in the queue, all in one system call.
  alignas(cmsghdr) std::array<std::byte, sizeof(cmsghdr)> control{};
  return receive(fd, room, control, 0);
}

Received receive_record(int fd, std::span<std::uint8_t> room, Keep keep) {
  TypeBuffer control;
  const int flags = MSG_DONTWAIT | (keep == Keep::kPeek ? MSG_PEEK : 0);
  Received received;
  do {
    received = receive(fd, room, control.bytes, flags);
  } while (received.size < 0 && errno == EINTR);
  return received;
}

int send_alert(int fd, std::uint8_t description) {
  std::array<std::uint8_t, 2> alert{description == kCloseNotify ? kWarning : kFatal, description};
  iovec part{alert.data(), alert.size()};
  TypeBuffer control;
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes.data();
  message.msg_controllen = control.bytes.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_TLS;
  header->cmsg_type = TLS_SET_RECORD_TYPE;
  header->cmsg_len = CMSG_LEN(sizeof(std::uint8_t));
  const std::uint8_t type = kAlertRecord;
  std::memcpy(CMSG_DATA(header), &type, sizeof type);
  while (::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

void abort_connection(int fd, std::uint8_t alert) {
  if (kind_of(fd) == StreamKind::kKernelTls && may_write(fd)) {
    // A record that did not open is the socket's error until somebody takes it, and until then the
    // kernel sends nothing (net/tls/tls_sw.c, tls_err_abort).
    int error = 0;
    socklen_t size = sizeof error;
    static_cast<void>(::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size));
    static_cast<void>(send_alert(fd, alert));
  }
  ::shutdown(fd, SHUT_RDWR);
}

}  // namespace broker
