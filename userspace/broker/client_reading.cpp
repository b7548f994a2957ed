// ktlsb_read() and ktlsb_control(): application data, and what comes between it.
//
// Alerts are looked at and left in the queue. So the end of a connection needs no state of ours: it
// is still there when the next call asks, in whatever process.
#include "userspace/broker/client_reading.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>

#include <fcntl.h>
#include <poll.h>
#include <strings.h>

#include "userspace/broker/client_error.h"
#include "userspace/broker/client_message.h"
#include "userspace/broker/client_reading.h"
#include "userspace/broker/client_records.h"
#include "userspace/broker/ktls_bridge_client.h"

namespace broker {
namespace {

// How long the broker may take for a record. It stops all who hold the socket to change a key, and
// gives up itself long before.
constexpr int kAnswerTimeoutMs = 10'000;
constexpr int kKeyPauseMs = 10;
// How long a broker that is being restarted is looked for, where there is no going on without it.
constexpr int kRestartTimeoutMs = 1000;
// What a peer may send in so much time between two pieces of data: tickets come in twos, key
// updates one at a time. A caller that waits for days hears of no key update in them.
constexpr int kControlRecordsMax = 64;
constexpr int kControlTimeMs = 10'000;

// HandshakeType: RFC 8446 section 4.
constexpr std::uint8_t kNewSessionTicket = 4;

// kFailed: errno and text are set.
enum class Step : std::uint8_t { kReadOn, kEnd, kFailed };

Step failed(int) {
  return Step::kFailed;
}

// Whether it is whole tickets, and nothing else: what a client may do without.
bool is_only_tickets(std::span<const std::uint8_t> content) {
  while (content.size() >= 4 && content[0] == kNewSessionTicket) {
    const std::size_t size =
        std::size_t{content[1]} << 16 | std::size_t{content[2]} << 8 | std::size_t{content[3]};
    if (content.size() - 4 < size) return false;
    content = content.subspan(4 + size);
  }
  return content.empty();
}

Step ask_without_broker(int fd, bool is_dispensable) {
  if (is_dispensable) return Step::kReadOn;
  abort_connection(fd, kInternalError);
  return failed(fail(ECONNABORTED, "broker_gone",
                     {"the peer changes its keys, and there is no broker to follow"}));
}

// The broker's word on a handshake record.
Step ask_about(int fd, std::span<const std::uint8_t> content) {
  const bool is_dispensable = is_only_tickets(content);
  Request request;
  request.header.kind = Kind::kControl;
  request.record_type = kHandshakeRecord;
  Call call;
  const Deadline found = Deadline::in_ms(is_dispensable ? 0 : kRestartTimeoutMs);
  if (place_call(request, content, fd, found, call) != 0) {
    return ask_without_broker(fd, is_dispensable);
  }
  const Arrived arrived = await_answer(call.answers.get(), Deadline::in_ms(kAnswerTimeoutMs));
  if (arrived.arrival == Arrival::kMessage) {
    if (arrived.answer.header.kind == Kind::kDone) return Step::kReadOn;
    if (arrived.answer.header.kind == Kind::kError) {
      // It has ended the connection, with the alert that it thinks right.
      ::shutdown(fd, SHUT_RDWR);
      return failed(fail(arrived.answer));
    }
  }
  if (arrived.arrival == Arrival::kGone) return ask_without_broker(fd, is_dispensable);
  abort_connection(fd, kInternalError);
  if (arrived.arrival == Arrival::kNone) {
    return failed(fail(ETIMEDOUT, "", {"the broker did not answer about a key update"}));
  }
  return failed(fail(EPROTO, "", {"the broker's answer made no sense"}));
}

Step hand_over(int fd) {
  std::array<std::uint8_t, kPayloadMax> content;
  const Received taken = receive_record(fd, content, Keep::kTake);
  if (taken.size < 0) return failed(fail(errno, "", {"a control record cannot be read"}));
  if (taken.type != kHandshakeRecord || taken.size == 0) {
    abort_connection(fd, kUnexpectedMessage);
    return failed(
        fail(EPROTO, "", {"an empty handshake record, or two readers of one connection"}));
  }
  const Step step = ask_about(fd, std::span(content).first(static_cast<std::size_t>(taken.size)));
  // A ticket resumes the session.
  ::explicit_bzero(content.data(), content.size());
  return step;
}

Step judge_alert(int fd, std::span<const std::uint8_t> alert) {
  if (alert.size() < 2) {
    abort_connection(fd, kUnexpectedMessage);
    return failed(fail(EPROTO, "", {"half an alert"}));
  }
  const std::uint8_t description = alert[1];
  if (description == kCloseNotify) return Step::kEnd;
  // RFC 8446 section 6.1, RFC 5246 section 7.2.2: nothing has ended by these.
  if (description == kUserCanceled || description == kNoRenegotiation) {
    std::array<std::uint8_t, 2> room{};
    static_cast<void>(receive_record(fd, room, Keep::kTake));
    return Step::kReadOn;
  }
  std::array<char, 4> number{};
  const char* end = std::to_chars(number.data(), number.data() + number.size(), description).ptr;
  return failed(fail(EPROTO, "", {"the peer sent alert ", std::string_view(number.data(), end)}));
}

// A stream that is relayed ends the same way whatever happened: only the broker knows.
Step ask_about_end(int fd) {
  Request request;
  request.header.kind = Kind::kEnd;
  Call call;
  constexpr std::string_view kCut = "the stream ended, and no broker says that all of it came";
  if (place_call(request, {}, fd, Deadline::in_ms(0), call) != 0) {
    return failed(fail(ECONNRESET, "broker_gone", {kCut}));
  }
  const Arrived arrived = await_answer(call.answers.get(), Deadline::in_ms(kAnswerTimeoutMs));
  if (arrived.arrival == Arrival::kMessage) {
    if (arrived.answer.header.kind == Kind::kDone) return Step::kEnd;
    if (arrived.answer.header.kind == Kind::kError) return failed(fail(arrived.answer));
  }
  return failed(fail(ECONNRESET, "broker_gone", {kCut}));
}

Step judge_end(int fd) {
  if (kind_of(fd) == StreamKind::kRelayed) return ask_about_end(fd);
  return failed(fail(ECONNRESET, "", {"the stream ended without close_notify"}));
}

Step judge_clear_bytes(int fd) {
  if (kind_of(fd) == StreamKind::kRelayed) return Step::kReadOn;
  return failed(fail(EPROTO, "", {"this is no TLS connection"}));
}

// What recvmsg failed with: the connection is over but for EAGAIN and EINTR, and the kernel says so
// once. The shutdown keeps it said.
Step judge_error(int fd, int error) {
  switch (error) {
    case EAGAIN:
    case EINTR:
      errno = error;
      return Step::kFailed;
    case EBADMSG:
      abort_connection(fd, kBadRecordMac);
      return failed(fail(error, "", {"a record did not open"}));
    case EMSGSIZE:
      abort_connection(fd, kRecordOverflow);
      return failed(fail(error, "", {"a record is too large"}));
    case EINVAL:
      abort_connection(fd, kProtocolVersionAlert);
      return failed(fail(error, "", {"what came is no record"}));
    default:
      return failed(fail(error, "", {"the connection cannot be read"}));
  }
}

bool lacks_key(int fd) {
  std::array<std::uint8_t, 1> room{};
  return receive_record(fd, room, Keep::kPeek).size < 0 && errno == EKEYEXPIRED;
}

// The record that says so was taken by somebody else, who has the key changed: until then the
// kernel is not readable, unless the peer has ended its side.
Step wait_for_key(int fd, bool may_wait) {
  if (is_cut_off(fd)) return failed(fail(ECONNRESET, "", {"the connection is over"}));
  if (!may_wait) {
    errno = EAGAIN;
    return Step::kFailed;
  }
  const Deadline deadline = Deadline::in_ms(kAnswerTimeoutMs);
  do {
    if (wait_for(fd, POLLIN, deadline) && !lacks_key(fd)) return Step::kReadOn;
  } while (deadline.pause(kKeyPauseMs));
  abort_connection(fd, kInternalError);
  return failed(fail(EKEYEXPIRED, "", {"the peer has changed its key, and nobody followed"}));
}

Step judge_next(int fd, bool may_wait) {
  std::array<std::uint8_t, 2> start{};
  const Received next = receive_record(fd, start, Keep::kPeek);
  if (next.size < 0) {
    return errno == EKEYEXPIRED ? wait_for_key(fd, may_wait) : judge_error(fd, errno);
  }
  switch (next.type) {
    case kNoRecord:
      return next.size == 0 ? judge_end(fd) : judge_clear_bytes(fd);
    case kDataRecord:
      return Step::kReadOn;
    case kAlertRecord:
      return judge_alert(fd, std::span(start).first(static_cast<std::size_t>(next.size)));
    case kHandshakeRecord:
      return hand_over(fd);
    default:
      abort_connection(fd, kUnexpectedMessage);
      return failed(fail(EPROTO, "", {"a record of a type that may not come"}));
  }
}

bool is_blocking(int fd) {
  return (::fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
}

// What read() would have answered, or EIO: what comes next is not data.
ssize_t read_data(int fd, std::span<std::uint8_t> room) {
  const Received received = receive_data(fd, room);
  if (received.size < 0) return -1;
  if (received.size == 0) {
    // No byte with a type: an empty record. Without: an end of some kind.
    errno = EIO;
    return -1;
  }
  const bool is_data = received.type == kDataRecord || kind_of(fd) == StreamKind::kRelayed;
  if (is_data) return received.size;
  ::explicit_bzero(room.data(), static_cast<std::size_t>(received.size));
  return fail(EPROTO, "", {"this is no TLS connection"});
}

int answer_of(Step step) {
  switch (step) {
    case Step::kReadOn:
      return 1;
    case Step::kEnd:
      return 0;
    default:
      return -1;
  }
}

}  // namespace

bool ControlAllowance::take() {
  if (until_.left_ms() == 0) {
    left_ = kControlRecordsMax;
    until_ = Deadline::in_ms(kControlTimeMs);
  }
  return left_-- > 0;
}

int go_on_after(int fd, int error, bool may_wait) {
  if (error == 0 || error == EIO) return answer_of(judge_next(fd, may_wait));
  return answer_of(error == EKEYEXPIRED ? wait_for_key(fd, may_wait) : judge_error(fd, error));
}

void take_control_records(int fd) {
  const int error = errno;
  std::array<std::uint8_t, kPayloadMax> room{};
  for (int taken = 0; taken < kControlRecordsMax; ++taken) {
    const Received next = receive_record(fd, std::span(room).first(1), Keep::kPeek);
    if (next.size < 0 || next.type == kNoRecord || next.type == kDataRecord) break;
    if (next.type == kHandshakeRecord) {
      if (hand_over(fd) != Step::kReadOn) break;
    } else {
      static_cast<void>(receive_record(fd, room, Keep::kTake));
    }
  }
  errno = error;
}

int end_of_allowance(int fd) {
  abort_connection(fd, kUnexpectedMessage);
  return fail(EPROTO, "", {"the peer sends control records and no data"});
}

}  // namespace broker

using broker::Step;

ssize_t ktlsb_read(int fd, void* buffer, size_t size) {
  if (size == 0) return 0;
  const std::span room(static_cast<std::uint8_t*>(buffer), size);
  broker::ControlAllowance allowance;
  while (allowance.take()) {
    const ssize_t bytes = broker::read_data(fd, room);
    if (bytes > 0 || errno == EPROTO) return bytes;
    Step step = Step::kFailed;
    if (errno == EIO) {
      step = broker::judge_next(fd, broker::is_blocking(fd));
      // Another reader was faster, or an empty record stood there: a blocking caller reads on.
      if (step == Step::kFailed && errno == EAGAIN && broker::is_blocking(fd)) continue;
    } else if (errno == EKEYEXPIRED) {
      step = broker::wait_for_key(fd, broker::is_blocking(fd));
    } else {
      step = broker::judge_error(fd, errno);
    }
    if (step != Step::kReadOn) return step == Step::kEnd ? 0 : -1;
  }
  return broker::end_of_allowance(fd);
}

int ktlsb_control(int fd) {
  return broker::go_on_after(fd, 0, broker::is_blocking(fd));
}
