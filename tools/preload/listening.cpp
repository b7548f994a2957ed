#include "tools/preload/listening.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/preload/channel.h"
#include "tools/preload/descriptors.h"
#include "tools/preload/failing.h"
#include "tools/preload/filters.h"
#include "tools/preload/options.h"
#include "tools/preload/remembered.h"
#include "tools/preload/replacing.h"
#include "tools/preload/say.h"
#include "tools/preload/setting.h"
#include "tools/preload/sockets.h"
#include "userspace/broker/client_error.h"
#include "userspace/broker/client_message.h"
#include "userspace/broker/ktls_bridge_client.h"

namespace preload {
namespace {

using broker::Arrival;
using broker::Arrived;
using broker::Deadline;

using Message = broker::Kind;

// A broker that is being started or restarted is waited for: by whoever starts to listen, and by
// whoever accepts after the broker has gone. An event loop is not to stand still.
constexpr int kStartTimeoutMs = 1000;
constexpr int kLoopTimeoutMs = 50;
constexpr int kRegisterTimeoutMs = 5000;
// A broker that is that busy frees the port a little later.
constexpr int kStopTimeoutMs = 1000;
constexpr unsigned kBacklogMax = 4096;

// Has the broker accept from `socket`. 0 and the channel on which connections come; or an errno.
int register_socket(int socket, unsigned backlog, int patience_ms, ktls::UniqueFd& channel) {
  broker::Request request;
  request.header.kind = Message::kListen;
  request.backlog = backlog;
  broker::Call call;
  const int refused = place_call(request, {}, socket, Deadline::in_ms(patience_ms), call);
  if (refused != 0) return refused;
  const Arrived arrived =
      broker::await_answer(call.answers.get(), Deadline::in_ms(kRegisterTimeoutMs));
  if (arrived.arrival == Arrival::kMessage && arrived.answer.header.kind == Message::kDone) {
    channel = std::move(call.answers);
    return 0;
  }
  if (arrived.arrival == Arrival::kMessage && arrived.answer.header.kind == Message::kError) {
    broker::fail(arrived.answer);
    return errno;
  }
  broker::fail(arrived.arrival == Arrival::kNone ? ETIMEDOUT : ECONNREFUSED, "broker_gone",
               {"the broker did not answer about the listening socket"});
  return errno;
}

// Whoever gets the channel by exec or SCM_RIGHTS knows by its name what it is.
void name_channel(int channel, int socket, const sockaddr_in6& local) {
  broker::ListenName name;
  static_cast<void>(::getrandom(name.secret.data(), name.secret.size(), 0));
  const std::uint64_t cookie = cookie_of(socket);
  std::memcpy(name.cookie.data(), &cookie, sizeof cookie);
  name.local = local;
  sockaddr_un address{};
  const socklen_t size = broker::address_of_name(name, address);
  // Without the name the programs that this one runs do not know it, and read nothing from it.
  static_cast<void>(::bind(channel, reinterpret_cast<const sockaddr*>(&address), size));
}

// The listener's entry, with all numbers that the socket has here.
Wrapped* enter_listener(int fd) {
  Wrapped* wrapped = find(fd);
  if (wrapped == nullptr) {
    wrapped = make(Kind::kFresh);
    if (wrapped == nullptr) return nullptr;
    if (!enter(fd, *wrapped)) {
      discard(*wrapped);
      return nullptr;
    }
  }
  return wrapped;
}

// The numbers that the same socket has besides, which nobody has told us of.
void enter_duplicates(int fd, Wrapped& wrapped) {
  const std::uint64_t cookie = cookie_of(fd);
  for_each_descriptor([&](int other) {
    if (find(other) == nullptr && is_socket(other) && cookie_of(other) == cookie) {
      static_cast<void>(enter(other, wrapped));
    }
  });
}

// Takes a listening socket to where it can neither be accepted from in the clear nor be mistaken.
int refuse_to_listen(int fd, int error, std::string_view why) {
  ::shutdown(fd, SHUT_RD);
  say({"this program cannot listen: ", why});
  errno = error;
  return -1;
}

// 0, or an errno: EBADF where another thread has closed it meanwhile.
int place_channel(int fd, Wrapped* wrapped, unsigned backlog, int copy, ktls::UniqueFd channel) {
  if (find(fd) != wrapped) return EBADF;
  sockaddr_in6 local{};
  socklen_t size = sizeof local;
  static_cast<void>(::getsockname(copy, reinterpret_cast<sockaddr*>(&local), &size));
  name_channel(channel.get(), copy, local);
  ::fcntl(channel.get(), F_SETFL, ::fcntl(fd, F_GETFL));
  wrapped->local = local;
  wrapped->backlog = backlog;
  wrapped->copy = copy;
  wrapped->is_owner = true;
  const int error = replace_file(*wrapped, channel.get(), Kind::kListener);
  follow_inheritance(*wrapped);
  return error;
}

int status_of(const Wrapped& wrapped) {
  int status = 0;
  for_each_descriptor_of(wrapped, [&](int number) { status = ::fcntl(number, F_GETFL); });
  return status;
}

// 0: the channel was replaced, or was there; else an errno.
int register_again(Wrapped& listener, int patience_ms) {
  ktls::UniqueFd channel;
  if (listener.copy < 0) return ECONNABORTED;
  const int refused = register_socket(listener.copy, listener.backlog, patience_ms, channel);
  if (refused != 0) return refused;
  const Changing changing;
  name_channel(channel.get(), listener.copy, listener.local);
  listener.error.store(0);
  listener.is_owner = true;
  ::fcntl(channel.get(), F_SETFL, status_of(listener));
  return replace_file(listener, channel.get(), Kind::kListener);
}

// EAGAIN where it does not block, or its SO_RCVTIMEO is over; EINTR as accept(2). A system call of
// the kind that is begun again after a handler with SA_RESTART, as accept is, and poll is not.
int await_message(int channel) {
  char first = 0;
  const ssize_t size = ::recv(channel, &first, sizeof first, MSG_PEEK);
  return size >= 0 || errno == ECONNRESET ? 0 : errno;
}

// A TCP connection has the options of its listening socket.
void inherit_options(int fd, Wrapped& connection, int listening) {
  remember_options_of(connection, listening);
  if (kind_of(connection) == Kind::kDirect) {
    restore_delay(connection, fd);
    return;
  }
  const int keeps_alive = socket_option(listening, SO_KEEPALIVE);
  static_cast<void>(::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &keeps_alive, sizeof keeps_alive));
}

// The connection that came is the program's from now on.
int take_connection(int channel, const Wrapped& listener, Arrived arrived, int flags) {
  const broker::Answer& answer = arrived.answer;
  // Where it cannot be told the broker is gone, which the next call sees.
  broker::tell(channel, Message::kTaken, answer.number);
  const int fd = arrived.fd.get();
  const int status = ::fcntl(fd, F_GETFL) & ~O_NONBLOCK;
  ::fcntl(fd, F_SETFL, status | ((flags & SOCK_NONBLOCK) != 0 ? O_NONBLOCK : 0));
  ::fcntl(fd, F_SETFD, (flags & SOCK_CLOEXEC) != 0 ? FD_CLOEXEC : 0);
  const Changing changing;
  const bool is_relayed = (answer.flags & broker::kIsRelayed) != 0;
  Wrapped* const wrapped = make(is_relayed ? Kind::kRelayed : Kind::kDirect);
  if (wrapped == nullptr || !enter(fd, *wrapped)) {
    if (wrapped != nullptr) discard(*wrapped);
    errno = ENOBUFS;
    return -1;
  }
  wrapped->local = answer.local;
  wrapped->remote = answer.remote;
  if (listener.copy >= 0) inherit_options(fd, *wrapped, listener.copy);
  return arrived.fd.release();
}

// Whether a descriptor can be made: one that comes in a message and has no place is lost.
bool has_descriptor_left() {
  const int spare = ::fcntl(0, F_DUPFD_CLOEXEC, 0);
  if (spare >= 0) ::close(spare);
  if (spare < 0 && errno == EBADF) {
    // Number 0 is free.
    return true;
  }
  return spare >= 0;
}

void close_copy(const Wrapped& listener) {
  const Changing changing;
  if (listener.copy >= 0) close_internal(listener.copy);
}

// The broker closes its copy of the socket.
void await_stop(int channel) {
  if (!broker::tell(channel, Message::kStop, 0)) return;
  const Deadline deadline = Deadline::in_ms(kStopTimeoutMs);
  for (;;) {
    // Connections on the way are closed here.
    const Arrived arrived = broker::await_answer(channel, deadline);
    const bool is_over =
        arrived.arrival == Arrival::kGone || arrived.arrival == Arrival::kNone ||
        (arrived.arrival == Arrival::kMessage && arrived.answer.header.kind == Message::kDone);
    if (is_over || deadline.left_ms() == 0) break;
  }
}

// Other processes may go on listening. If this was the last one, the broker's copy is closed when
// it answers, so that the port is free.
void leave_to_others(int fd, const Wrapped& listener) {
  broker::Request request;
  request.header.kind = Message::kRelease;
  broker::Call call;
  const int refused = place_call(request, {}, listener.copy, Deadline::in_ms(0), call);
  ::close(fd);
  close_copy(listener);
  if (refused != 0) return;
  // The end of what we say on it tells the broker that they are closed.
  ::shutdown(call.answers.get(), SHUT_WR);
  static_cast<void>(broker::await_answer(call.answers.get(), Deadline::in_ms(kStopTimeoutMs)));
}

// Nobody will ever connect: accept() waits as on any listener that nobody knows of, and a loop that
// waits for it is not kept busy.
void listen_in_vain(Wrapped& listener) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return;
  const ktls::UniqueFd quiet(ends[0]);
  const Changing changing;
  // Its other end is open for as long as this process.
  if (make_internal(ends[1]) < 0) ::close(ends[1]);
  ::fcntl(quiet.get(), F_SETFL, status_of(listener));
  static_cast<void>(replace_file(listener, quiet.get(), Kind::kListener));
}

// The broker is gone: told once, then another one is looked for, where there may be one.
int find_broker_again(int fd, Wrapped& listener) {
  if (listener.error.exchange(ECONNABORTED) == 0) {
    if (!has_broker_path()) {
      listen_in_vain(listener);
      listener.error.store(0);
    }
    return fail_with(ECONNABORTED);
  }
  const bool waits = is_blocking(fd);
  const int error = register_again(listener, waits ? kStartTimeoutMs : kLoopTimeoutMs);
  if (error == 0) return 0;
  return fail_with(waits ? ECONNABORTED : EAGAIN);
}

}  // namespace

bool is_to_be_wrapped(int fd) {
  if (!wraps_any_port()) return false;
  const int domain = socket_option(fd, SO_DOMAIN);
  if ((domain != AF_INET && domain != AF_INET6) || socket_option(fd, SO_TYPE) != SOCK_STREAM) {
    return false;
  }
  sockaddr_in6 local{};
  socklen_t size = sizeof local;
  return ::getsockname(fd, reinterpret_cast<sockaddr*>(&local), &size) == 0 &&
         wraps_port(port_of(local));
}

int begin_listening(int fd, unsigned backlog) {
  if (is_broken()) return refuse_to_listen(fd, EACCES, "what is to be TLS cannot be read");
  if (!may_make_connections()) {
    return refuse_to_listen(fd, EACCES, "its system call filter forbids what TLS needs");
  }
  int copy = -1;
  Wrapped* wrapped = nullptr;
  {
    const Changing changing;
    wrapped = enter_listener(fd);
    if (wrapped != nullptr) enter_duplicates(fd, *wrapped);
    if (wrapped != nullptr) copy = make_internal_copy(fd);
  }
  if (copy < 0) return refuse_to_listen(fd, EMFILE, "no descriptor or no memory is left for TLS");
  ktls::UniqueFd channel;
  const unsigned wanted = std::clamp(backlog, 1U, kBacklogMax);
  int error = register_socket(copy, wanted, kStartTimeoutMs, channel);
  const Changing changing;
  if (error == 0) error = place_channel(fd, wrapped, wanted, copy, std::move(channel));
  if (error == 0) return 0;
  close_internal(copy);
  return refuse_to_listen(fd, error, ktlsb_error_text());
}

int listen_again(Wrapped& listener, int backlog) {
  return ::listen(listener.copy, backlog);
}

int accept_from(int fd, Wrapped& listener, sockaddr* address, socklen_t* address_size, int flags) {
  if ((flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != 0) return fail_with(EINVAL);
  const ErrnoOnSuccess keeps;
  listener.is_parents.store(false);
  for (;;) {
    if (listener.is_read_ended.load()) return fail_with(EINVAL);
    if (listener.error.load() != 0 && find_broker_again(fd, listener) != 0) return -1;
    if (const int error = await_message(fd); error != 0) return fail_with(error);
    if (!has_descriptor_left()) return -1;
    Arrived arrived = broker::receive(fd, broker::Take::kWhole);
    switch (arrived.arrival) {
      case Arrival::kMessage:
        break;
      case Arrival::kNone:
        continue;  // another thread or process was faster
      case Arrival::kNoDescriptor:
        broker::tell(fd, Message::kTaken, arrived.answer.number);
        return fail_with(ECONNABORTED);
      default:
        if (listener.is_read_ended.load()) return fail_with(EINVAL);
        if (find_broker_again(fd, listener) != 0) return -1;
        continue;
    }
    if (arrived.answer.header.kind != Message::kConnection) {
      if (arrived.answer.header.kind == Message::kError) broker::fail(arrived.answer);
      return fail_with(ECONNABORTED);
    }
    const sockaddr_in6 remote = arrived.answer.remote;
    const int connection = take_connection(fd, listener, std::move(arrived), flags);
    // As accept(2): whoever gives no room is told nothing.
    if (connection >= 0) static_cast<void>(tell_address(remote, address, address_size));
    return keeps.answer(connection);
  }
}

void end_listening(int fd, Wrapped& listener) {
  const bool is_shared = listener.is_shared.load() || !listener.is_owner;
  if (is_shared && listener.copy >= 0) {
    leave_to_others(fd, listener);
    return;
  }
  if (listener.error.load() == 0) await_stop(fd);
  ::close(fd);
  close_copy(listener);
}

void follow_inheritance(const Wrapped& listener) {
  if (listener.copy < 0) return;
  bool is_inherited = false;
  for_each_descriptor_of(listener, [&](int number) {
    if ((::fcntl(number, F_GETFD) & FD_CLOEXEC) == 0) is_inherited = true;
  });
  ::fcntl(listener.copy, F_SETFD, is_inherited ? 0 : FD_CLOEXEC);
}

}  // namespace preload
