// ktlsb_serve(), ktlsb_connect(), and how a connection ends.
#include "userspace/broker/client_connection.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include <fcntl.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "userspace/broker/client_error.h"
#include "userspace/broker/client_message.h"
#include "userspace/broker/client_reading.h"
#include "userspace/broker/client_records.h"

namespace broker {
namespace {

constexpr int kHandshakeTimeoutMs = 60'000;
// What a peer that reads slowly may take to make room for two bytes.
constexpr int kRoomTimeoutMs = 30'000;
// How long the broker may take to note the end of a stream.
constexpr int kAnswerTimeoutMs = 10'000;

template <std::size_t kSize>
void copy_text(const char (&from)[kSize], char (&to)[kSize]) {
  const std::string_view text = text_of(from);
  const std::size_t size = std::min(text.size(), kSize - 1);
  std::copy_n(text.data(), size, to);
}

sockaddr_storage address_of(const sockaddr_in6& address) {
  sockaddr_storage storage{};
  if (address.sin6_family == AF_INET || address.sin6_family == AF_INET6) {
    std::memcpy(&storage, &address, sizeof address);
  }
  return storage;
}

// The connection's own stream takes the number of the caller's socket.
int replace(int fd, int flags, int status, int relayed) {
  if (::fcntl(relayed, F_SETFL, status) != 0) return errno;
  const int cloexec = (flags & FD_CLOEXEC) != 0 ? O_CLOEXEC : 0;
  while (::dup3(relayed, fd, cloexec) < 0) {
    // EBUSY: somebody is opening a file at this number (dup(2)).
    if (errno != EINTR && errno != EBUSY) return errno;
  }
  return 0;
}

int settle(int fd, int flags, int status, const Arrived& arrived) {
  switch (arrived.arrival) {
    case Arrival::kMessage:
      break;
    case Arrival::kNone:
      return fail(ETIMEDOUT, "", {"the handshake took too long"});
    case Arrival::kGone:
      return fail(ECONNABORTED, "broker_gone", {"the broker ended during the handshake"});
    case Arrival::kNoDescriptor:
      return fail(EMFILE, "", {"no descriptor is left for the stream that is relayed"});
    case Arrival::kMalformed:
      return fail(EPROTO, "", {"the broker's answer made no sense"});
  }
  const Answer& answer = arrived.answer;
  if (answer.header.kind == Kind::kError) return fail(answer);
  const bool is_relayed = (answer.flags & kIsRelayed) != 0;
  if (answer.header.kind != Kind::kConnection || is_relayed != arrived.fd.valid() ||
      (!is_relayed && kind_of(fd) != StreamKind::kKernelTls)) {
    return fail(EPROTO, "", {"the broker answered without a TLS connection"});
  }
  if (!is_relayed) return 0;
  if (const int error = replace(fd, flags, status, arrived.fd.get()); error != 0) {
    return fail(error, "", {"the relayed stream cannot take the place of the socket"});
  }
  return 0;
}

int establish(int fd, Kind kind, std::string_view name, int timeout_ms, ktlsb_connection* info) {
  if (!has_room(info)) return fail(EINVAL, "", {"the size of ktlsb_connection is not set"});
  const int flags = ::fcntl(fd, F_GETFD);
  const int status = ::fcntl(fd, F_GETFL);
  if (flags < 0 || status < 0) return fail(errno, "", {"no descriptor"});
  const Deadline deadline = Deadline::in_ms(timeout_ms < 0 ? kHandshakeTimeoutMs : timeout_ms);
  Request request;
  request.header.kind = kind;
  const std::span payload(reinterpret_cast<const std::uint8_t*>(name.data()), name.size());
  Call call;
  // One attempt: whoever has a connection at hand wants to know.
  const int refused = place_call(request, payload, fd, Deadline::in_ms(0), call);
  if (refused != 0) return -1;
  const Arrived arrived = await_answer(call.answers.get(), deadline);
  // The broker has the same file, and may have made it non-blocking for itself.
  ::fcntl(fd, F_SETFL, status);
  if (settle(fd, flags, status, arrived) != 0) {
    // Whoever overlooks the failure is not to send in the clear, nor are bytes of a handshake to
    // be taken for data.
    const int error = errno;
    ::shutdown(fd, SHUT_RDWR);
    errno = error;
    return -1;
  }
  describe(arrived.answer, info);
  return 0;
}

int send_close_notify(int fd) {
  const bool may_wait = (::fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
  const Deadline deadline = Deadline::in_ms(may_wait ? kRoomTimeoutMs : 0);
  int error = send_alert(fd, kCloseNotify);
  while (error == EAGAIN && wait_for(fd, POLLOUT, deadline) && deadline.left_ms() > 0) {
    error = send_alert(fd, kCloseNotify);
  }
  if (error == 0) return 0;
  if (error != EAGAIN) return fail(error, "", {"close_notify cannot be sent"});
  if (may_wait) return fail(ETIMEDOUT, "", {"the peer makes no room"});
  errno = EAGAIN;
  return -1;
}

int place_close(int fd, Call& call) {
  Request request;
  request.header.kind = Kind::kClose;
  return place_call(request, {}, fd, Deadline::in_ms(0), call);
}

// The broker takes the end of a relayed stream for an orderly one only if it is told.
int end_relayed(int fd) {
  Call call;
  if (place_close(fd, call) != 0) return -1;
  const Arrived arrived = await_answer(call.answers.get(), Deadline::in_ms(kAnswerTimeoutMs));
  if (arrived.arrival == Arrival::kMessage) {
    if (arrived.answer.header.kind == Kind::kDone) return 0;
    if (arrived.answer.header.kind == Kind::kError) return fail(arrived.answer);
  }
  if (arrived.arrival == Arrival::kGone) {
    return fail(ECONNABORTED, "broker_gone", {"the broker that relays the stream has ended"});
  }
  return fail(arrived.arrival == Arrival::kNone ? ETIMEDOUT : EPROTO, "",
              {"the broker did not say that it has noted the end of the stream"});
}

}  // namespace

bool has_room(const ktlsb_connection* info) {
  return info == nullptr || info->size >= offsetof(ktlsb_connection, name);
}

void describe(const Answer& answer, ktlsb_connection* info) {
  if (info == nullptr) return;
  ktlsb_connection full{};
  full.size = info->size;
  full.tls_version = answer.tls_version;
  full.cipher_suite = answer.cipher_suite;
  full.flags = answer.flags & (KTLSB_RELAYED | KTLSB_RESUMED);
  copy_text(answer.name, full.name);
  copy_text(answer.reason, full.reason);
  full.alpn_size = answer.alpn_size;
  std::copy_n(answer.alpn, answer.alpn_size, full.alpn);
  full.local = address_of(answer.local);
  full.remote = address_of(answer.remote);
  std::memcpy(info, &full, std::min(info->size, sizeof full));
}

int release(int fd, bool may_travel) {
  if (kind_of(fd) == StreamKind::kKernelTls) take_control_records(fd);
  Request request;
  request.header.kind = Kind::kRelease;
  request.number = may_travel ? kMayTravel : 0;
  Call call;
  const int error = place_call(request, {}, fd, Deadline::in_ms(0), call);
  if (::close(fd) != 0 && errno == EBADF) return fail(EBADF, "", {"no descriptor"});
  // The end of call.answers tells the broker that it is closed.
  if (error == 0) return 0;
  errno = error;
  return -1;
}

int hand_over_end(int fd) {
  Call call;
  // The datagram holds the socket from now on; nobody waits for the answer.
  return place_close(fd, call);
}

static_assert(KTLSB_RELAYED == kIsRelayed && KTLSB_RESUMED == kIsResumed);
static_assert(sizeof(ktlsb_connection::alpn) == sizeof(Answer::alpn));

}  // namespace broker

using broker::StreamKind;

int ktlsb_serve(int fd, int timeout_ms, ktlsb_connection* info) {
  return broker::establish(fd, broker::Kind::kServe, {}, timeout_ms, info);
}

int ktlsb_connect(int fd, const char* name, int timeout_ms, ktlsb_connection* info) {
  const std::string_view wanted(name != nullptr ? name : "");
  if (wanted.empty() || wanted.size() > broker::kNameMax) {
    return broker::fail(EINVAL, "", {"a name of 1 to 253 bytes is needed, to be verified"});
  }
  return broker::establish(fd, broker::Kind::kConnect, wanted, timeout_ms, info);
}

int ktlsb_shutdown_write(int fd) {
  switch (broker::kind_of(fd)) {
    case StreamKind::kOther:
      return broker::fail(EPROTO, "", {"this is no TLS connection"});
    case StreamKind::kRelayed:
      return broker::end_relayed(fd);
    case StreamKind::kKernelTls:
      break;
  }
  if (broker::may_write(fd) && broker::send_close_notify(fd) != 0) return -1;
  if (::shutdown(fd, SHUT_WR) == 0) return 0;
  return broker::fail(errno, "", {"the connection cannot be shut down"});
}

int ktlsb_close(int fd) {
  const StreamKind kind = broker::kind_of(fd);
  int error = 0;
  bool is_for_broker = kind == StreamKind::kRelayed;
  // A key update may ask for one of ours: while we may write.
  if (kind == StreamKind::kKernelTls) broker::take_control_records(fd);
  if (kind == StreamKind::kKernelTls && broker::may_write(fd)) {
    error = broker::send_alert(fd, broker::kCloseNotify);
    is_for_broker = error == EAGAIN;
    if (error != 0 && error != EAGAIN) broker::fail(error, "", {"close_notify cannot be sent"});
  }
  if (is_for_broker) {
    error = broker::hand_over_end(fd);
  } else {
    // For the copies that other processes may have, too: it is the end of the stream.
    ::shutdown(fd, SHUT_WR);
    if (kind == StreamKind::kKernelTls) broker::take_control_records(fd);
    // What comes to a socket that is closed is answered with a reset. The broker keeps this one
    // until the peer has all; without a broker nothing is lost that was not lost before.
    if (kind == StreamKind::kKernelTls && broker::awaits_tickets(fd)) {
      static_cast<void>(broker::hand_over_end(fd));
    }
  }
  if (::close(fd) != 0 && errno == EBADF) return broker::fail(EBADF, "", {"no descriptor"});
  if (error == 0) return 0;
  errno = error;
  return -1;
}
