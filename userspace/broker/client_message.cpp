#include "userspace/broker/client_message.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "userspace/broker/client_error.h"
#include "userspace/broker/ktls_bridge_client.h"

namespace broker {
namespace {

// What a broker that drains calls its socket.
constexpr std::string_view kDrainingSuffix = ".draining";
// Between two attempts to reach a broker that is being started.
constexpr int kRetryPauseMs = 20;
// How long a queue that is full is waited for.
constexpr int kBusyTimeoutMs = 1000;
constexpr int kBusyCloseTimeoutMs = 100;
constexpr int kBusyPauseMs = 2;
// A few words: what a broker that is alive takes at once.
constexpr int kTellTimeoutMs = 1000;
// An answer brings one descriptor; room for more shows that there were more.
constexpr std::size_t kDescriptorRoom = 4;

// Set before anything else is called, and only read then.
std::array<char, sizeof(sockaddr_un::sun_path)> chosen_path{};
int given_channel = -1;

std::int64_t now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

// What a broker that is about to listen, or has just ended, answers.
bool is_gone(int error) {
  return error == ENOENT || error == ECONNREFUSED || error == EPIPE || error == ECONNRESET;
}

// Its queue is full, or more descriptors of this user are on the way than may be.
bool is_busy(int error) {
  return error == EAGAIN || error == ETOOMANYREFS;
}

// False: it is too long.
bool find_address(std::array<std::string_view, 2> parts, sockaddr_un& address) {
  address.sun_family = AF_UNIX;
  const auto [path, suffix] = parts;
  if (path.size() + suffix.size() >= sizeof address.sun_path) return false;
  const std::size_t size = path.copy(address.sun_path, path.size());
  suffix.copy(address.sun_path + size, suffix.size());
  return true;
}

int make_sockets(Call& call) {
  call.channel.reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return call.channel ? 0 : errno;
}

int connect_to(const sockaddr_un& address, int fd) {
  // Without blocking: a full queue answers EAGAIN.
  const auto* any = reinterpret_cast<const sockaddr*>(&address);
  return ::connect(fd, any, sizeof address) == 0 ? 0 : errno;
}

// One datagram with two descriptors.
int send_request(int channel, const Request& request, std::span<const std::uint8_t> payload,
                 int answers, int subject) {
  const std::array descriptors{answers, subject};
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof descriptors)> control{};
  std::array<iovec, 2> parts{{
      {const_cast<Request*>(&request), sizeof request},
      {const_cast<std::uint8_t*>(payload.data()), payload.size()},
  }};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof descriptors);
  std::memcpy(CMSG_DATA(header), descriptors.data(), sizeof descriptors);
  while (::sendmsg(channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

// What place_call() was asked.
struct Order {
  const Request& request;
  std::span<const std::uint8_t> payload;
  int subject;
};

int send_on(int channel, const Order& order, Call& call) {
  if (const int error = prepare_call(call); error != 0) return error;
  const int error =
      send_request(channel, order.request, order.payload, call.theirs.get(), order.subject);
  if (error == 0) call.theirs.reset();
  return error;
}

int try_call(const sockaddr_un& address, const Order& order, Call& call) {
  if (const int error = make_sockets(call); error != 0) return error;
  if (const int error = connect_to(address, call.channel.get()); error != 0) return error;
  return send_on(call.channel.get(), order, call);
}

// Waits for a queue that is full for a moment: who closes is promised not to wait for a peer, and
// hardly for the broker.
Deadline patience_for(Kind kind) {
  const bool is_closing = kind == Kind::kClose || kind == Kind::kRelease;
  return Deadline::in_ms(is_closing ? kBusyCloseTimeoutMs : kBusyTimeoutMs);
}

int call_on_channel(const Order& order, Call& call) {
  const Deadline busy = patience_for(order.request.header.kind);
  int error = 0;
  do {
    error = send_on(given_channel, order, call);
    if (error == 0) return 0;
  } while (is_busy(error) && busy.pause(kBusyPauseMs));
  // EBADF may be said of the subject, too.
  const bool is_no_channel = error == ENOTCONN || error == ENOTSOCK ||
                             (error == EBADF && ::fcntl(given_channel, F_GETFD) < 0);
  return is_no_channel ? EPIPE : error;
}

// None: there is only the default.
const char* configured_path() {
  if (chosen_path[0] != '\0') return chosen_path.data();
  const char* variable = ::secure_getenv(kPathVariable);
  return variable != nullptr && *variable != '\0' ? variable : nullptr;
}

// By a path. 0, or an errno.
int call_at(const char* path, const Order& order, const Deadline& deadline, Call& call) {
  sockaddr_un address{};
  if (!find_address({path, ""}, address)) return ENAMETOOLONG;
  sockaddr_un draining{};
  const Kind kind = order.request.header.kind;
  const bool is_about_end = kind == Kind::kClose || kind == Kind::kEnd || kind == Kind::kRelease;
  const bool may_drain = is_about_end && find_address({path, kDrainingSuffix}, draining);
  const Deadline busy = patience_for(kind);
  int error = 0;
  do {
    error = try_call(address, order, call);
    // The broker that relays a stream may be about to end, and have no successor yet.
    const bool is_nobody_there = error == ECONNREFUSED || error == ENOENT;
    if (is_nobody_there && may_drain && try_call(draining, order, call) == 0) return 0;
    if (error == 0) return 0;
    call.channel.reset();
  } while ((is_gone(error) && deadline.pause(kRetryPauseMs)) ||
           (is_busy(error) && busy.pause(kBusyPauseMs)));
  return error;
}

struct Descriptors {
  std::array<ktls::UniqueFd, kDescriptorRoom> fds;
  std::size_t count = 0;
};

Descriptors descriptors_of(msghdr& message) {
  Descriptors found;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count && found.count < kDescriptorRoom; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
      found.fds[found.count++].reset(fd);
    }
  }
  return found;
}

bool is_ours(const Answer& answer) {
  const Kind kind = answer.header.kind;
  return answer.header.magic == kMagic && answer.header.version == kProtocolVersion &&
         (kind == Kind::kDone || kind == Kind::kConnection || kind == Kind::kError) &&
         answer.alpn_size <= sizeof answer.alpn;
}

}  // namespace

Deadline Deadline::in_ms(int timeout_ms) {
  Deadline deadline;
  deadline.at_ms_ = now_ms() + timeout_ms;
  return deadline;
}

int Deadline::left_ms() const {
  return static_cast<int>(std::max<std::int64_t>(0, at_ms_ - now_ms()));
}

bool Deadline::pause(int pause_ms) const {
  const int left = std::min(pause_ms, left_ms());
  if (left == 0) return false;
  const timespec duration{0, left * 1'000'000L};
  ::nanosleep(&duration, nullptr);
  return true;
}

bool wait_for(int fd, short events, const Deadline& deadline) {
  pollfd wanted{fd, events, 0};
  for (;;) {
    const int left = deadline.left_ms();
    if (::poll(&wanted, 1, left) > 0) return true;
    if (left == 0) return false;
  }
}

const char* broker_path() {
  const char* path = configured_path();
  return path != nullptr ? path : kDefaultPath;
}

void use_channel(int fd) {
  given_channel = fd;
}

int prepare_call(Call& call) {
  if (call.theirs) return 0;
  std::array<int, 2> pair{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0) return errno;
  call.answers.reset(pair[0]);
  call.theirs.reset(pair[1]);
  return 0;
}

int place_call(Request request, std::span<const std::uint8_t> payload, int subject,
               const Deadline& deadline, Call& call) {
  request.payload_size = static_cast<std::uint16_t>(payload.size());
  const Order order{.request = request, .payload = payload, .subject = subject};
  std::string_view place = "the channel that was given";
  int error = EPIPE;
  if (given_channel >= 0) error = call_on_channel(order, call);
  const bool goes_by_path = given_channel < 0 || configured_path() != nullptr;
  if (error != 0 && is_gone(error) && goes_by_path) {
    place = broker_path();
    error = call_at(broker_path(), order, deadline, call);
  }
  if (error == 0) return 0;
  if (error == ENAMETOOLONG) {
    fail(error, "", {"the path of the broker is too long for a socket"});
  } else if (is_gone(error)) {
    fail(ECONNREFUSED, "broker_gone", {"no broker answers at ", place});
  } else if (is_busy(error)) {
    fail(ECONNREFUSED, "broker_busy", {"too many ask the broker at ", place, " at once"});
  } else {
    fail(error, "", {"the broker at ", place, " cannot be asked"});
  }
  return errno;
}

Arrived receive(int answers, Take take) {
  Arrived arrived;
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(kDescriptorRoom * sizeof(int))> control{};
  iovec part{&arrived.answer, sizeof arrived.answer};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (take != Take::kDrop) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
  }
  const int flags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC | (take == Take::kPeek ? MSG_PEEK : 0);
  ssize_t size = 0;
  do {
    size = ::recvmsg(answers, &message, flags);
    // ECONNRESET: it closed without having read everything of ours. That is told before what it
    // had sent, which is still there.
  } while (size < 0 && (errno == EINTR || errno == ECONNRESET));
  if (size < 0) {
    arrived.arrival = errno == EAGAIN ? Arrival::kNone : Arrival::kGone;
    return arrived;
  }
  Descriptors found = descriptors_of(message);
  // A message of no bytes looks the same; none of ours is empty.
  if (size == 0 && found.count == 0) {
    arrived.arrival = Arrival::kGone;
    return arrived;
  }
  const bool is_cut = (message.msg_flags & MSG_TRUNC) != 0;
  const bool has_fewer = (message.msg_flags & MSG_CTRUNC) != 0 && take != Take::kDrop;
  arrived.arrival = Arrival::kMalformed;
  if (size != sizeof(Answer) || is_cut || !is_ours(arrived.answer)) return arrived;
  if (has_fewer && found.count == 0) {
    arrived.arrival = Arrival::kNoDescriptor;
    return arrived;
  }
  const bool may_bring = arrived.answer.header.kind == Kind::kConnection;
  if (has_fewer || found.count > (may_bring ? 1U : 0U)) return arrived;
  arrived.arrival = Arrival::kMessage;
  arrived.fd = std::move(found.fds[0]);
  return arrived;
}

Arrived await_answer(int answers, const Deadline& deadline) {
  for (;;) {
    Arrived arrived = receive(answers, Take::kWhole);
    if (arrived.arrival != Arrival::kNone || !wait_for(answers, POLLIN, deadline)) return arrived;
  }
}

bool tell(int answers, Kind kind, std::uint64_t number) {
  Request request;
  request.header.kind = kind;
  request.number = number;
  const Deadline deadline = Deadline::in_ms(kTellTimeoutMs);
  for (;;) {
    if (::send(answers, &request, sizeof request, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return true;
    if (errno != EAGAIN && errno != EINTR) return false;
    if (!wait_for(answers, POLLOUT, deadline)) return false;
  }
}

}  // namespace broker

int ktlsb_use_broker(const char* path) {
  const std::string_view chosen(path != nullptr ? path : "");
  if (chosen.size() >= broker::chosen_path.size()) {
    return broker::fail(ENAMETOOLONG, "", {"the path of the broker is too long for a socket"});
  }
  broker::chosen_path = {};
  chosen.copy(broker::chosen_path.data(), chosen.size());
  return 0;
}
