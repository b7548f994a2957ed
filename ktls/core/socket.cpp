// TlsSocket over setsockopt(SOL_TLS), sendmsg and recvmsg.
// Source: Documentation/networking/tls.rst; net/tls/tls_main.c, net/tls/tls_sw.c.
#include "ktls/core/socket.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "ktls/base/endian.h"
#include "ktls/core/linux_tls.h"

namespace ktls {
namespace {

// Room for exactly one record type, the only control message that net/tls knows.
struct alignas(cmsghdr) TypeBuffer {
  std::array<std::byte, CMSG_SPACE(sizeof(std::uint8_t))> bytes{};
};

int option_of(Direction direction) {
  return direction == Direction::kTransmit ? TLS_TX : TLS_RX;
}

bool carries_tls(Syscalls& syscalls, int fd) {
  std::array<char, kUlpNameMax> name{};
  socklen_t size = name.size();
  if (syscalls.getsockopt(fd, SOL_TCP, TCP_ULP, name.data(), &size) != 0) return false;
  return std::string_view(name.data(), ::strnlen(name.data(), name.size())) == kUlpName;
}

void set_record_type(msghdr& message, TypeBuffer& buffer, std::uint8_t type) {
  message.msg_control = buffer.bytes.data();
  message.msg_controllen = buffer.bytes.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_TLS;
  header->cmsg_type = TLS_SET_RECORD_TYPE;
  header->cmsg_len = CMSG_LEN(sizeof type);
  std::memcpy(CMSG_DATA(header), &type, sizeof type);
}

// The record type that came with a message; nothing when none came.
Result<std::optional<std::uint8_t>> record_type_of(msghdr& message) {
  const auto refuse = [](std::string_view detail) {
    return fail(Error::of(ErrorCode::kProtocolViolation, detail));
  };
  if ((message.msg_flags & MSG_CTRUNC) != 0) return refuse("recvmsg: control data cut off");
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr) return std::optional<std::uint8_t>();
  std::uint8_t type = 0;
  if (header->cmsg_level != SOL_TLS || header->cmsg_type != TLS_GET_RECORD_TYPE ||
      header->cmsg_len != CMSG_LEN(sizeof type)) {
    return refuse("recvmsg: control data is not a TLS record type");
  }
  std::memcpy(&type, CMSG_DATA(header), sizeof type);
  return std::optional<std::uint8_t>(type);
}

}  // namespace

Result<void> TlsSocket::attach() {
  if (syscalls_->setsockopt(fd_, SOL_TCP, TCP_ULP, kUlpName, sizeof kUlpName) == 0) return {};
  const int sys_errno = errno;
  if (sys_errno == EEXIST && carries_tls(*syscalls_, fd_)) return {};
  return fail(Error::system(sys_errno, "setsockopt(TCP_ULP)"));
}

Result<void> TlsSocket::install(Direction direction, const CryptoInfo& info) {
  const auto bytes = info.bytes();
  if (syscalls_->setsockopt(fd_, SOL_TLS, option_of(direction), bytes.data(),
                            static_cast<socklen_t>(bytes.size())) == 0) {
    return {};
  }
  return fail(Error::system(
      errno, direction == Direction::kTransmit ? "setsockopt(TLS_TX)" : "setsockopt(TLS_RX)"));
}

Result<void> TlsSocket::set_option(int name, std::span<const std::byte> value,
                                   std::string_view call) {
  if (syscalls_->setsockopt(fd_, SOL_TLS, name, value.data(),
                            static_cast<socklen_t>(value.size())) == 0) {
    return {};
  }
  return fail(Error::system(errno, call));
}

Result<void> TlsSocket::set_zerocopy_transmit(bool on) {
  const std::uint32_t value = on ? 1 : 0;
  return set_option(TLS_TX_ZEROCOPY_RO, std::as_bytes(std::span(&value, 1)),
                    "setsockopt(TLS_TX_ZEROCOPY_RO)");
}

Result<void> TlsSocket::set_expect_no_padding(bool on) {
  const std::uint32_t value = on ? 1 : 0;
  return set_option(TLS_RX_EXPECT_NO_PAD, std::as_bytes(std::span(&value, 1)),
                    "setsockopt(TLS_RX_EXPECT_NO_PAD)");
}

Result<void> TlsSocket::set_payload_max(std::uint16_t size) {
  return set_option(TLS_TX_MAX_PAYLOAD_LEN, std::as_bytes(std::span(&size, 1)),
                    "setsockopt(TLS_TX_MAX_PAYLOAD_LEN)");
}

Result<std::size_t> TlsSocket::send(std::uint8_t type, std::span<const std::uint8_t> plaintext,
                                    More more) {
  const auto refuse = [](std::string_view detail) {
    return fail(Error::of(ErrorCode::kInvalidArgument, detail));
  };
  if (plaintext.empty()) return refuse("send: no record is made of no bytes");
  // net/tls/tls_main.c, tls_process_cmsg: a record type with MSG_MORE is EINVAL.
  const bool leaves_open = more == More::kYes;
  if (leaves_open && type != kApplicationData) return refuse("send: only data is left open");
  iovec part{const_cast<std::uint8_t*>(plaintext.data()), plaintext.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  TypeBuffer type_buffer;
  // Without the control message consecutive sends may share a path that copies nothing.
  if (type != kApplicationData) set_record_type(message, type_buffer, type);
  const int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (leaves_open ? MSG_MORE : 0);
  ssize_t sent = 0;
  do {
    sent = syscalls_->sendmsg(fd_, &message, flags);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return fail(Error::system(errno, "sendmsg"));
  return static_cast<std::size_t>(sent);
}

Result<ReceivedBytes> TlsSocket::receive(std::span<std::uint8_t> plaintext) {
  if (plaintext.empty()) {
    return fail(Error::of(ErrorCode::kInvalidArgument, "receive: no room for any byte"));
  }
  iovec part{plaintext.data(), plaintext.size()};
  TypeBuffer type_buffer;
  msghdr message{};
  ssize_t received = 0;
  do {
    message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = type_buffer.bytes.data();
    message.msg_controllen = type_buffer.bytes.size();
    received = syscalls_->recvmsg(fd_, &message, MSG_DONTWAIT);
  } while (received < 0 && errno == EINTR);
  if (received < 0) return fail(Error::system(errno, "recvmsg"));

  KTLS_TRY(const std::optional<std::uint8_t> type, record_type_of(message));
  ReceivedBytes bytes;
  if (type) {
    bytes.type = *type;
    bytes.size = static_cast<std::size_t>(received);
    bytes.end_of_record = (message.msg_flags & MSG_EOR) != 0;
    return bytes;
  }
  if (received != 0) {
    return fail(Error::of(ErrorCode::kProtocolViolation,
                          "recvmsg: bytes without a record type, TLS_RX is not installed"));
  }
  bytes.end_of_stream = true;
  return bytes;
}

Result<int> TlsSocket::take_error() {
  int sys_errno = 0;
  socklen_t size = sizeof sys_errno;
  if (syscalls_->getsockopt(fd_, SOL_SOCKET, SO_ERROR, &sys_errno, &size) != 0) {
    return fail(Error::system(errno, "getsockopt(SO_ERROR)"));
  }
  return sys_errno;
}

// Source: net/tls/tls_main.c, do_tls_getsockopt_conf(): the head of the structure alone is
// answered, too, and holds no key.
Result<bool> TlsSocket::has_keys(Direction direction) {
  tls_crypto_info head{};
  socklen_t size = sizeof head;
  if (syscalls_->getsockopt(fd_, SOL_TLS, option_of(direction), &head, &size) == 0) return true;
  const bool has_none = errno == EBUSY || errno == ENOPROTOOPT || errno == EOPNOTSUPP;
  if (has_none) return false;
  return fail(Error::system(
      errno, direction == Direction::kTransmit ? "getsockopt(TLS_TX)" : "getsockopt(TLS_RX)"));
}

Result<std::uint64_t> TlsSocket::sequence(Direction direction, Cipher cipher) {
  CryptoInfo info = CryptoInfo::with_size(layout_of(cipher).structure_size());
  const auto bytes = info.mutable_bytes();
  auto size = static_cast<socklen_t>(bytes.size());
  if (syscalls_->getsockopt(fd_, SOL_TLS, option_of(direction), bytes.data(), &size) != 0) {
    return fail(Error::system(
        errno, direction == Direction::kTransmit ? "getsockopt(TLS_TX)" : "getsockopt(TLS_RX)"));
  }
  // rec_seq is the last field of every structure, in network order.
  return load_big_endian<std::uint64_t>(bytes.last(sizeof(std::uint64_t)).data());
}

}  // namespace ktls
