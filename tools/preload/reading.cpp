#include "tools/preload/reading.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/socket.h>

#include "tools/preload/connecting.h"
#include "userspace/broker/client_records.h"

namespace preload {

int await_connected(int fd, Wrapped& wrapped, bool may_wait, int unconnected) {
  for (;;) {
    switch (kind_of(wrapped)) {
      case Kind::kListener:
        return unconnected;
      case Kind::kInternal:
        return EBADF;
      case Kind::kFailed: {
        const int error = wrapped.error.exchange(0);
        return error != 0 ? error : unconnected;
      }
      case Kind::kPending:
        if (may_wait) {
          if (await_connection(fd, wrapped) != 0) return errno;
        } else if (!settle(wrapped)) {
          return EAGAIN;
        }
        break;
      default:
        return 0;
    }
  }
}

Reading::Reading(int fd, Wrapped& wrapped, bool is_waiting, Call call)
    : fd_(fd), wrapped_(wrapped), errno_before_(errno), may_wait_(is_waiting), call_(call) {}

bool Reading::may_begin() {
  const int error = await_connected(fd_, wrapped_, may_wait_, ENOTCONN);
  errno = error != 0 ? error : errno_before_;
  return error == 0;
}

bool Reading::is_answer(ssize_t answer) const {
  if (answer > 0) return true;
  const Kind kind = kind_of(wrapped_);
  if (kind == Kind::kRelayed) return answer != 0;
  if (kind != Kind::kDirect) return true;
  if (answer == 0) return false;
  switch (errno) {
    case EIO:
    case EKEYEXPIRED:
    case EBADMSG:
    case EMSGSIZE:
    case EINVAL:
      return false;
    default:
      return true;
  }
}

// splice() answers EINVAL where a control record is next, and for its arguments as well: then
// there is data, or nothing yet.
bool Reading::is_own_mistake() const {
  if (call_ != Call::kSplice || errno != EINVAL) return false;
  std::array<std::uint8_t, 1> room{};
  const broker::Received next = broker::receive_record(fd_, room, broker::Keep::kPeek);
  const bool is_usual = next.size < 0 ? errno == EAGAIN : next.type == broker::kDataRecord;
  errno = EINVAL;
  return is_usual;
}

bool Reading::finish(ssize_t& answer, ssize_t value) {
  answer = value;
  if (value >= 0) errno = errno_before_;
  return false;
}

bool Reading::goes_on(ssize_t& answer) {
  if (is_answer(answer)) return false;
  const int error = answer == 0 ? 0 : errno;
  // Whatever comes after it, the program has said that it does not want to hear of it.
  if (answer == 0 && wrapped_.is_read_ended.load()) return finish(answer, 0);
  if (is_own_mistake()) return false;
  if (!allowance_.take()) return finish(answer, broker::end_of_allowance(fd_));
  may_wait_ = may_wait_ && is_blocking(fd_);
  // splice() takes a control record for bad arguments: it is no fault of the stream.
  const int told = call_ == Call::kSplice && error == EINVAL ? EIO : error;
  const int next = broker::go_on_after(fd_, told, may_wait_);
  if (next > 0) return true;
  // Another reader was faster, or an empty record stood there.
  if (next < 0 && errno == EAGAIN && may_wait_) return true;
  return finish(answer, next);
}

namespace {

// Peeks into the same few bytes over and over: only their number is wanted.
ssize_t peek(int fd) {
  constexpr std::size_t kPart = 1024;
  std::array<char, kPart> part{};
  std::array<iovec, kCountedMax / kPart> parts{};
  parts.fill({part.data(), part.size()});
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  const ssize_t size = ::recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT);
  ::explicit_bzero(part.data(), part.size());
  return size;
}

}  // namespace

int count_readable(int fd, Wrapped& wrapped) {
  const ErrnoKept kept;
  const ssize_t size = read_by(fd, wrapped, false, [fd] { return peek(fd); });
  return size > 0 ? static_cast<int>(size) : 0;
}

}  // namespace preload
