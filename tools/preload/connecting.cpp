#include "tools/preload/connecting.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/time.h>
#include <unistd.h>

#include "ktls/base/unique_fd.h"
#include "tools/preload/epoll_sets.h"
#include "tools/preload/failing.h"
#include "tools/preload/filters.h"
#include "tools/preload/names.h"
#include "tools/preload/options.h"
#include "tools/preload/replacing.h"
#include "tools/preload/say.h"
#include "tools/preload/setting.h"
#include "tools/preload/sockets.h"
#include "tools/preload/twins.h"
#include "userspace/broker/client_error.h"
#include "userspace/broker/client_message.h"
#include "userspace/broker/client_records.h"
#include "userspace/broker/ktls_bridge_client.h"

namespace preload {
namespace {

struct Peer {
  sockaddr_in6 address{};  // or a sockaddr_in: sin6_family tells
  socklen_t size = 0;
  HostName name;
};

const sockaddr* plain(const sockaddr_in6& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

// One line that says what became of a connection.
void complain(std::string_view host, const sockaddr_in6& remote, std::string_view text,
              std::string_view reason) {
  std::array<char, 5> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), port_of(remote));
  const std::string_view port(digits.data(), static_cast<std::size_t>(end.ptr - digits.data()));
  const bool is_ipv6 = host.find(':') != std::string_view::npos;
  say({is_ipv6 ? "[" : "", host, is_ipv6 ? "]:" : ":", port, ": no TLS connection: ", text,
       reason.empty() ? "" : " (", reason, reason.empty() ? "" : ")"});
}

// Who connects to such an address dissolves a connection (connect(2)).
bool is_unspecified(const sockaddr* address, socklen_t size) {
  return address != nullptr && size >= sizeof address->sa_family && address->sa_family == AF_UNSPEC;
}

bool is_tcp(int fd) {
  const int domain = socket_option(fd, SO_DOMAIN);
  return (domain == AF_INET || domain == AF_INET6) && socket_option(fd, SO_TYPE) == SOCK_STREAM;
}

// Of enum tcp_state; -1: the kernel does not tell.
int state_of(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  return ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_state : -1;
}

// EISCONN or EALREADY of a TCP socket that listens, is connected or on its way to be; 0: it is none
// of that. One that was reset has no state that would tell, and is asked to connect by an address
// that is too short for it, never by the one that is to be reached by TLS.
int refusal_of(int fd) {
  const int state = state_of(fd);
  if (state == TCP_SYN_SENT || state == TCP_SYN_RECV) return EALREADY;
  if (state >= 0 && state != TCP_CLOSE) return EISCONN;
  const sa_family_t family = AF_INET;
  const auto* const none = reinterpret_cast<const sockaddr*>(&family);
  // 0: meanwhile another thread's connection has come about.
  if (::connect(fd, none, sizeof family) == 0) return EISCONN;
  return errno == EISCONN || errno == EALREADY ? errno : 0;
}

// Whether a connection of `fd` to this address is to be TLS; then `peer` tells of it.
bool is_to_be_wrapped(int fd, const sockaddr* address, socklen_t size, Peer& peer) {
  if (!wraps_any_peer() || address == nullptr || size < sizeof(sockaddr_in)) return false;
  if (address->sa_family != AF_INET && address->sa_family != AF_INET6) return false;
  peer.size = std::min<socklen_t>(size, sizeof peer.address);
  std::memcpy(&peer.address, address, peer.size);
  {
    const Changing changing;
    if (!choose_name(address, size, peer.name)) return false;
  }
  return is_tcp(fd);
}

int first_descriptor_of(const Wrapped& wrapped) {
  int first = -1;
  for_each_descriptor_of(wrapped, [&](int fd) {
    if (first < 0) first = fd;
  });
  return first;
}

// What is to be said of a connection that came to nothing; no text: nothing.
struct Verdict {
  int error = 0;
  std::string_view text;
};

Verdict refuse(std::string_view text) {
  return {ECONNREFUSED, text};
}

// What the broker's answer means. `tcp`: the socket that it was asked about.
Verdict judge(const broker::Arrived& arrived, int tcp) {
  switch (arrived.arrival) {
    case broker::Arrival::kMessage:
      break;
    case broker::Arrival::kNone:
    case broker::Arrival::kGone:
      return refuse("the broker ended during the handshake");
    case broker::Arrival::kNoDescriptor:
      return refuse("no descriptor is left for the stream that is relayed");
    case broker::Arrival::kMalformed:
      return refuse("the broker's answer made no sense");
  }
  const broker::Answer& answer = arrived.answer;
  if (answer.header.kind == broker::Kind::kError) {
    if ((answer.flags & broker::kNotConnected) != 0) {
      return {answer.error == 0 ? ECONNREFUSED : static_cast<int>(answer.error), {}};
    }
    const std::string_view text = broker::text_of(answer.text);
    return refuse(text.empty() ? "the broker does not say why" : text);
  }
  const bool is_relayed = (answer.flags & broker::kIsRelayed) != 0;
  const bool is_tls = broker::kind_of(tcp) == broker::StreamKind::kKernelTls;
  if (answer.header.kind == broker::Kind::kConnection && is_relayed == arrived.fd.valid() &&
      (is_relayed || is_tls)) {
    return {};
  }
  return refuse("the broker answered without a TLS connection");
}

// The connection takes the numbers. `fd`: one of them. 0, or an errno.
int take_over(int fd, Wrapped& pending, const broker::Arrived& arrived) {
  const int tcp = pending.copy;
  const bool is_relayed = arrived.fd.valid();
  const int connection = is_relayed ? arrived.fd.get() : tcp;
  if (is_relayed) {
    take_options(tcp, connection);
    pending.local = arrived.answer.local;
    pending.remote = arrived.answer.remote;
  } else {
    restore_delay(pending, tcp);
  }
  // Which the program may have changed since connect(2).
  take_status(fd, connection);
  const int error = replace_file(pending, connection, is_relayed ? Kind::kRelayed : Kind::kDirect);
  if (error != 0) return error;
  close_internal(tcp);
  pending.copy = -1;
  forget_sets_of(pending);
  return 0;
}

// The TCP socket takes the numbers back, and never carries anything.
void give_up(int fd, Wrapped& pending, int error) {
  const int tcp = pending.copy;
  ::shutdown(tcp, SHUT_RDWR);
  take_status(fd, tcp);
  pending.error.store(error);
  // Without a number for it the program keeps the socket of the answer, on which nothing comes.
  if (replace_file(pending, tcp, Kind::kFailed) != 0) change_kind(pending, Kind::kFailed);
  close_internal(tcp);
  pending.copy = -1;
}

// SO_SNDTIMEO is what limits connect(2), and SO_RCVTIMEO the waiting for an answer.
void limit_waiting(int fd, const Wrapped& pending) {
  timeval limit{};
  socklen_t size = sizeof limit;
  if (::getsockopt(pending.copy, SOL_SOCKET, SO_SNDTIMEO, &limit, &size) != 0) return;
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

// What connect(2) has to tell of a connection that is not under way any more: once.
int tell_end(Wrapped& wrapped) {
  switch (kind_of(wrapped)) {
    case Kind::kDirect:
    case Kind::kRelayed:
      return wrapped.owes_answer.exchange(false) ? 0 : fail_with(EISCONN);
    case Kind::kFailed: {
      wrapped.owes_answer.store(false);
      const int error = wrapped.error.exchange(0);
      return fail_with(error != 0 ? error : ECONNABORTED);
    }
    default:
      return fail_with(EBADF);  // another thread has closed it
  }
}

// `otherwise`: what Linux answers while it is under way.
int connect_or_wait(int fd, Wrapped& pending, int otherwise) {
  if (await_connection(fd, pending) == 0) return tell_end(pending);
  if (find(fd) != &pending) return fail_with(EBADF);
  if (kind_of(pending) == Kind::kPending) return errno == EINTR ? -1 : fail_with(otherwise);
  pending.owes_answer.store(false);
  return -1;
}

// Of a socket that came to nothing. It may have been bound since: when it is dissolved the kernel
// keeps an address that the program has chosen, and forgets one that it chose itself.
Binding binding_of(int fd, const Wrapped& failed) {
  bool has_one = failed.has_address;
  if (state_of(fd) == TCP_CLOSE) {
    const sockaddr nobody{.sa_family = AF_UNSPEC, .sa_data = {}};
    static_cast<void>(::connect(fd, &nobody, sizeof nobody));
    has_one = has_address(fd);
  }
  return has_one ? Binding::kAddress : Binding::kNone;
}

// The program may try again with a socket that came to nothing, which is another one then.
Verdict renew(int fd, Wrapped& failed) {
  const Twin fresh = make_twin(fd, binding_of(fd, failed));
  if (!fresh.fd) return {fresh.error, fresh.text};
  take_status(fd, fresh.fd.get());
  const Changing changing;
  if (find(fd) != &failed || kind_of(failed) != Kind::kFailed) return {EALREADY, {}};
  failed.error.store(0);
  return {replace_file(failed, fresh.fd.get(), Kind::kFresh), {}};
}

// It is connected in the clear, as its peer wants it: nothing of it is minded any more.
void forget(Wrapped& wrapped) {
  const Changing changing;
  if (kind_of(wrapped) != Kind::kFresh || wrapped.descriptors == 0) return;
  forget_sets_of(wrapped);
  for_each_descriptor_of(wrapped, [](int fd) { leave(fd); });
  discard(wrapped);
}

int connect_plainly(int fd, Wrapped* wrapped, const sockaddr* address, socklen_t size) {
  const int connected = ::connect(fd, address, size);
  if (wrapped == nullptr) return connected;
  const int error = errno;
  const bool is_under_way = error == EINPROGRESS || error == EINTR || error == EALREADY;
  if (connected == 0 ? !is_unspecified(address, size) : is_under_way) {
    forget(*wrapped);
  }
  errno = error;
  return connected;
}

int begin_tcp(int tcp, const Peer& peer) {
  const int status = ::fcntl(tcp, F_GETFL);
  ::fcntl(tcp, F_SETFL, status | O_NONBLOCK);
  const int error = ::connect(tcp, plain(peer.address), peer.size) == 0 ? 0 : errno;
  ::fcntl(tcp, F_SETFL, status);
  return error == EINPROGRESS ? 0 : error;
}

// The socket of the answer takes the numbers, and a copy of `tcp` is the shim's. 0, or an errno,
// when everything is as it was.
int put_in_place(int fd, const Peer& peer, Wrapped& wrapped, int answers, int tcp) {
  const ktls::UniqueFd original(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!original) return errno;
  const int copy = make_internal_copy(tcp);
  if (copy < 0) return errno;
  take_status(fd, answers);
  wrapped.copy = copy;
  wrapped.remote = peer.address;
  wrapped.owes_answer.store(true);
  // Before the broker sets some of its own.
  remember_options_of(wrapped, copy);
  const int error = replace_file(wrapped, answers, Kind::kPending);
  if (error == 0) return 0;
  // Numbers that could not be replaced have it still.
  static_cast<void>(replace_file(wrapped, original.get(), Kind::kFresh));
  wrapped.owes_answer.store(false);
  wrapped.copy = -1;
  close_internal(copy);
  return error;
}

// Has `tcp`, a twin of the program's socket, on its way to the peer: at no time is there a number
// to which threads, or other processes, may write the TCP socket of a connection. `error` 0, or
// everything is as it was.
Verdict start(int fd, const Peer& peer, Wrapped*& wrapped, const broker::Call& call,
              ktls::UniqueFd& tcp) {
  const Changing changing;
  wrapped = enter_fresh(fd);
  if (wrapped == nullptr) return {ENOMEM, {}};
  // Another thread connects it as well.
  if (kind_of(*wrapped) != Kind::kFresh) return {EALREADY, {}};
  wrapped->has_address = has_address(fd);
  Twin twin = make_twin(fd, Binding::kSame);
  if (!twin.fd) return {twin.error, twin.text};
  tcp = std::move(twin.fd);
  if (const int error = begin_tcp(tcp.get(), peer); error != 0) return {error, {}};
  return {put_in_place(fd, peer, *wrapped, call.answers.get(), tcp.get()), {}};
}

int ask_broker(int tcp, const Peer& peer, broker::Call& call) {
  broker::Request request;
  request.header.kind = broker::Kind::kConnect;
  const std::string_view name = peer.name.view();
  const std::span payload(reinterpret_cast<const std::uint8_t*>(name.data()), name.size());
  return broker::place_call(request, payload, tcp, broker::Deadline::in_ms(0), call);
}

// There will be no answer. Whoever connects hears of it at once, and others that it has failed.
void drop_start(int fd, Wrapped& wrapped) {
  const Changing changing;
  if (find(fd) != &wrapped || kind_of(wrapped) != Kind::kPending) return;
  give_up(fd, wrapped, ECONNREFUSED);
  wrapped.error.store(0);
  wrapped.owes_answer.store(false);
}

int connect_by_tls(int fd, const Peer& peer) {
  if (is_broken() || !may_make_connections()) return fail_with(ECONNREFUSED);
  if (const int error = refusal_of(fd); error != 0) return fail_with(error);
  broker::Call call;
  if (const int error = broker::prepare_call(call); error != 0) return fail_with(error);
  Wrapped* wrapped = nullptr;
  ktls::UniqueFd tcp;
  if (const Verdict verdict = start(fd, peer, wrapped, call, tcp); verdict.error != 0) {
    if (!verdict.text.empty()) complain(peer.name.view(), peer.address, verdict.text, {});
    return fail_with(verdict.error);
  }
  if (ask_broker(tcp.get(), peer, call) != 0) {
    drop_start(fd, *wrapped);
    complain(peer.name.view(), peer.address, ktlsb_error_text(), ktlsb_error_reason());
    return fail_with(ECONNREFUSED);
  }
  tcp.reset();
  if (!is_blocking(fd)) return fail_with(EINPROGRESS);
  call = {};
  return connect_or_wait(fd, *wrapped, EINPROGRESS);
}

int connect_new(int fd, Wrapped* wrapped, const sockaddr* address, socklen_t size) {
  Peer peer;
  if (!is_to_be_wrapped(fd, address, size, peer)) {
    return connect_plainly(fd, wrapped, address, size);
  }
  const int before = errno;
  const int connected = connect_by_tls(fd, peer);
  if (connected == 0) errno = before;
  return connected;
}

int connect_again(int fd, Wrapped& failed, const sockaddr* address, socklen_t size) {
  if (failed.owes_answer.load()) return tell_end(failed);
  const int before = errno;
  if (const Verdict verdict = renew(fd, failed); verdict.error != 0) {
    if (Peer peer; !verdict.text.empty() && is_to_be_wrapped(fd, address, size, peer)) {
      complain(peer.name.view(), peer.address, verdict.text, {});
    }
    return fail_with(verdict.error);
  }
  errno = before;
  if (is_unspecified(address, size)) return 0;
  return connect_new(fd, &failed, address, size);
}

}  // namespace

int connect_socket(int fd, Wrapped* wrapped, const sockaddr* address, socklen_t size) {
  if (wrapped == nullptr) return connect_new(fd, wrapped, address, size);
  const bool is_dissolved = is_unspecified(address, size);
  switch (kind_of(*wrapped)) {
    case Kind::kFresh:
      return connect_new(fd, wrapped, address, size);
    case Kind::kPending:
      if (is_dissolved) return fail_with(EOPNOTSUPP);
      return connect_or_wait(fd, *wrapped, EALREADY);
    case Kind::kDirect:
    case Kind::kRelayed:
      // EOPNOTSUPP: as of kernel TLS.
      return is_dissolved ? fail_with(EOPNOTSUPP) : tell_end(*wrapped);
    case Kind::kListener:
      return fail_with(EISCONN);
    case Kind::kFailed:
      return connect_again(fd, *wrapped, address, size);
    case Kind::kInternal:
      return fail_with(EBADF);
    case Kind::kEpoll:
      break;
  }
  return ::connect(fd, address, size);
}

bool is_connection_wrapped(int fd, const sockaddr* address, socklen_t size) {
  Peer peer;
  return is_to_be_wrapped(fd, address, size, peer);
}

bool may_become_tls(int fd) {
  return is_tcp(fd) && state_of(fd) == TCP_CLOSE;
}

Wrapped* enter_fresh(int fd) {
  if (Wrapped* const known = find(fd); known != nullptr) return known;
  Wrapped* const wrapped = make(Kind::kFresh);
  if (wrapped == nullptr) return nullptr;
  if (enter(fd, *wrapped)) return wrapped;
  discard(*wrapped);
  return nullptr;
}

bool settle(Wrapped& pending) {
  const ErrnoKept kept;
  broker::Arrived arrived;
  Verdict verdict;
  HostName host;
  sockaddr_in6 remote{};
  {
    const Changing changing;
    if (kind_of(pending) != Kind::kPending || pending.descriptors == 0) return true;
    const int fd = first_descriptor_of(pending);
    // Other processes that have it find the answer there as well, and each its own descriptor.
    const bool has_others = pending.is_shared.load();
    arrived = broker::receive(fd, has_others ? broker::Take::kPeek : broker::Take::kWhole);
    if (arrived.arrival == broker::Arrival::kNone) return false;
    remote = pending.remote;
    static_cast<void>(choose_name(plain(remote), sizeof remote, host));
    verdict = judge(arrived, pending.copy);
    if (verdict.error == 0 && take_over(fd, pending, arrived) != 0) {
      verdict = refuse("the connection cannot take the place of the socket");
    }
    if (verdict.error != 0) give_up(fd, pending, verdict.error);
  }
  if (!verdict.text.empty()) {
    const std::string_view name = broker::text_of(arrived.answer.name);
    complain(name.empty() ? host.view() : name, remote, verdict.text,
             broker::text_of(arrived.answer.reason));
  }
  return true;
}

int await_connection(int fd, Wrapped& pending) {
  const int before = errno;
  while (!settle(pending)) {
    if (!is_blocking(fd)) return fail_with(EAGAIN);
    limit_waiting(fd, pending);
    // As connect(2) it goes on after a handler that was installed with SA_RESTART, unless there is
    // a limit of time.
    char any = 0;
    if (::recv(fd, &any, sizeof any, MSG_PEEK) < 0 && (errno == EAGAIN || errno == EINTR)) {
      return -1;
    }
  }
  if (find(fd) != &pending) return fail_with(EBADF);
  switch (kind_of(pending)) {
    case Kind::kDirect:
    case Kind::kRelayed:
      errno = before;
      return 0;
    case Kind::kFailed: {
      const int error = pending.error.exchange(0);
      return fail_with(error != 0 ? error : ECONNABORTED);
    }
    default:
      return fail_with(EBADF);
  }
}

}  // namespace preload
