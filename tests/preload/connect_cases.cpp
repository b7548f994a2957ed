// Connecting and accepting: blocking or not, by IPv4 and IPv6, and to what is not there.
#include <cerrno>
#include <thread>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/preload/socket_suite.h"

namespace suite {
namespace {

int socket_error(int fd) {
  int number = -1;
  socklen_t size = sizeof number;
  must(::getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &size), "SO_ERROR");
  return number;
}

void blocking() {
  const Pair pair = pair_of();
  say("talk", talk(pair.client, pair.server));
  close_pair(pair);
}

void blocking_on_threads() {
  const int listening = listener();
  std::string got;
  std::thread server([&] {
    const int fd = must(::accept(listening, nullptr, nullptr), "accept");
    got = read_all(fd);
    write_all(fd, got);
    ::close(fd);
  });
  const int client = connected();
  say("written", write_all(client, "from a thread") ? 1 : 0);
  say("shutdown", outcome(::shutdown(client, SHUT_WR)));
  say("read", read_all(client));
  server.join();
  ::close(client);
  ::close(listening);
}

void non_blocking_accept() {
  const int listening = listener(0, SOCK_NONBLOCK);
  say("early", outcome(::accept(listening, nullptr, nullptr)));
  const int client = connected();
  say("poll", poll_names(await(listening, POLLIN)));
  const int server = must(::accept(listening, nullptr, nullptr), "accept");
  say("again", outcome(::accept(listening, nullptr, nullptr)));
  // accept() does not inherit O_NONBLOCK on Linux.
  say("inherits", (::fcntl(server, F_GETFL) & O_NONBLOCK) != 0);
  say("talk", talk(client, server));
}

void non_blocking_connect() {
  const int listening = listener();
  const int client = tcp_socket(AF_INET, SOCK_NONBLOCK);
  say("connect", outcome(start_connect(client, AF_INET, port(0))));
  say("poll", poll_names(await(client, POLLOUT)));
  say("SO_ERROR", error_name(socket_error(client)));
  const int server = must(::accept(listening, nullptr, nullptr), "accept");
  char byte = 0;
  say("early_read", outcome(::recv(client, &byte, 1, 0)));
  set_blocking(client, true);
  say("talk", talk(client, server));
}

void connect_again() {
  const int listening = listener();
  const int client = tcp_socket(AF_INET, SOCK_NONBLOCK);
  say("first", outcome(start_connect(client, AF_INET, port(0))));
  await(client, POLLOUT);
  // The call after the end of the attempt says how that went, and the next that it is over.
  say("second", outcome(start_connect(client, AF_INET, port(0))));
  say("third", outcome(start_connect(client, AF_INET, port(0))));
  const int other = connected();
  say("blocking", outcome(start_connect(other, AF_INET, port(0))));
  ::close(listening);
}

// The two that its queue holds are connected, and nobody answers a third.
void connect_under_way() {
  listen_without_accepting();
  int clients[4];
  for (int& client : clients) {
    client = tcp_socket(AF_INET, SOCK_NONBLOCK);
    say("connect", outcome(start_connect(client, AF_INET, unserved_port())));
  }
  const int last = clients[3];
  say("again", outcome(start_connect(last, AF_INET, unserved_port())));
  say("SO_ERROR", error_name(socket_error(last)));
  say("poll", poll_names(await(last, POLLOUT | POLLIN, 50)));
  sockaddr_in peer{};
  socklen_t size = sizeof peer;
  say("peer", outcome(::getpeername(last, reinterpret_cast<sockaddr*>(&peer), &size)));
  say("write", outcome(::send(last, "x", 1, MSG_NOSIGNAL)));
  say("read", outcome(::recv(last, &size, 1, 0)));
  say("close", outcome(::close(last)));
}

void refused_when_blocking() {
  const int client = tcp_socket(AF_INET);
  say("connect", outcome(start_connect(client, AF_INET, unserved_port())));
  say("SO_ERROR", error_name(socket_error(client)));
  const int listening = listener();
  say("elsewhere", outcome(start_connect(client, AF_INET, port(0))));
  const int server = must(::accept(listening, nullptr, nullptr), "accept");
  say("talk", talk(client, server));
}

void refused_when_not_blocking() {
  const int client = tcp_socket(AF_INET, SOCK_NONBLOCK);
  say("connect", outcome(start_connect(client, AF_INET, unserved_port())));
  say("poll", poll_names(await(client, POLLOUT)));
  say("SO_ERROR", error_name(socket_error(client)));
  say("again", error_name(socket_error(client)));
  say("close", outcome(::close(client)));
}

void ipv6() {
  const int listening = tcp_socket(AF_INET6);
  bind_to(listening, 0, AF_INET6);
  must(::listen(listening, 8), "listen");
  const int client = tcp_socket(AF_INET6);
  say("connect", outcome(start_connect(client, AF_INET6, port(0), "::1")));
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  const int server =
      must(::accept(listening, reinterpret_cast<sockaddr*>(&address), &size), "accept");
  char text[INET6_ADDRSTRLEN];
  ::inet_ntop(AF_INET6, &reinterpret_cast<sockaddr_in6&>(address).sin6_addr, text, sizeof text);
  say("family", address.ss_family == AF_INET6);
  say("size", size);
  say("from", text);
  say("talk", talk(client, server));
}

void v4_mapped() {
  const int listening = tcp_socket(AF_INET6);
  bind_to(listening, 0, AF_INET6, true);
  must(::listen(listening, 8), "listen");
  const int four = tcp_socket(AF_INET);
  const int six = tcp_socket(AF_INET6);
  say("by_IPv4", outcome(start_connect(four, AF_INET, port(0))));
  say("by_IPv6", outcome(start_connect(six, AF_INET6, port(0))));
  for (const int client : {four, six}) {
    sockaddr_in6 address{};
    socklen_t size = sizeof address;
    const int server =
        must(::accept(listening, reinterpret_cast<sockaddr*>(&address), &size), "accept");
    char text[INET6_ADDRSTRLEN] = "";
    ::inet_ntop(AF_INET6, &address.sin6_addr, text, sizeof text);
    say("from", text);
    say("talk", talk(client, server));
    size = sizeof address;
    must(::getpeername(client, reinterpret_cast<sockaddr*>(&address), &size), "getpeername");
    say("client's_family", address.sin6_family == AF_INET6 ? "IPv6" : "IPv4");
  }
}

sockaddr_in own_address(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  must(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  return address;
}

void bind_client(int client, int which) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + static_cast<in_addr_t>(which));
  say("bind", outcome(::bind(client, reinterpret_cast<sockaddr*>(&address), sizeof address)));
}

sockaddr_in accepted_from(int listening, int client) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  const int server =
      must(::accept(listening, reinterpret_cast<sockaddr*>(&address), &size), "accept");
  char text[INET_ADDRSTRLEN];
  say("from", ::inet_ntop(AF_INET, &address.sin_addr, text, sizeof text));
  say("is_its_own", address.sin_port == own_address(client).sin_port);
  say("talk", talk(client, server));
  return address;
}

void bound_client() {
  const int listening = listener();
  const int client = tcp_socket(AF_INET);
  bind_client(client, 1);
  const in_port_t bound = own_address(client).sin_port;
  must(start_connect(client, AF_INET, port(0)), "connect");
  say("port", accepted_from(listening, client).sin_port == bound);
}

// Which port it has after the first attempt is for the kernel to choose.
void bound_client_that_was_refused() {
  const int listening = listener();
  for (const bool is_bound_before : {true, false}) {
    const int client = tcp_socket(AF_INET);
    if (is_bound_before) bind_client(client, 1);
    say("nowhere", outcome(start_connect(client, AF_INET, unserved_port())));
    if (!is_bound_before) bind_client(client, 2);
    must(start_connect(client, AF_INET, port(0)), "connect");
    accepted_from(listening, client);
  }
}

// Of MPTCP the kernel does no TLS.
void mptcp() {
  const int listening = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_MPTCP);
  if (listening < 0) {
    say("here", "is_none");
    return;
  }
  const int set = must(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT;
  must(::epoll_ctl(set, EPOLL_CTL_ADD, listening, &event), "add");
  bind_to(listening, 0, AF_INET);
  must(::listen(listening, 8), "listen");
  say("idle", ::epoll_wait(set, &event, 1, 0));
  say("poll", poll_names(await(listening, POLLIN | POLLOUT, 0)));
  for (const int protocol : {IPPROTO_TCP, IPPROTO_MPTCP}) {
    const int client = must(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, protocol), "socket");
    say("connect", outcome(start_connect(client, AF_INET, port(0))));
    say("connected", poll_names(await(client, POLLOUT)));
    must(::epoll_wait(set, &event, 1, kPatienceMs), "epoll_wait");
    say("listener", epoll_names(event.events));
    const int server = must(::accept(listening, nullptr, nullptr), "accept");
    say("talk", talk(client, server));
    ::close(client);
    say("end", read_all(server));
  }
  const int refused = must(::socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP), "socket");
  say("nowhere", outcome(start_connect(refused, AF_INET, unserved_port())));
  say("again", outcome(start_connect(refused, AF_INET, unserved_port())));
}

void closed_before_accept() {
  const int listening = listener();
  const int client = connected();
  say("written", write_all(client, "and away") ? 1 : 0);
  say("close", outcome(::close(client)));
  const int server = must(::accept(listening, nullptr, nullptr), "accept");
  say("read", read_all(server));
}

void not_a_connection() {
  char byte = 0;
  const int fresh = tcp_socket(AF_INET);
  const int listening = listener();
  sockaddr_in address{};
  socklen_t size = sizeof address;
  say("fresh_read", outcome(::read(fresh, &byte, 1)));
  say("fresh_write", outcome(::send(fresh, &byte, 1, MSG_NOSIGNAL)));
  say("fresh_accept", outcome(::accept(fresh, nullptr, nullptr)));
  say("fresh_peer", outcome(::getpeername(fresh, reinterpret_cast<sockaddr*>(&address), &size)));
  say("fresh_shutdown", outcome(::shutdown(fresh, SHUT_RDWR)));
  say("listener_read", outcome(::read(listening, &byte, 1)));
  say("listener_write", outcome(::send(listening, &byte, 1, MSG_NOSIGNAL)));
  say("listener_peer",
      outcome(::getpeername(listening, reinterpret_cast<sockaddr*>(&address), &size)));
  say("listener_connect", outcome(start_connect(listening, AF_INET, port(1))));
  const Pair pair = pair_of(1);
  say("connection_accept", outcome(::accept(pair.server, nullptr, nullptr)));
  say("connection_listen", outcome(::listen(pair.server, 1)));
  ::close(pair.client);
  say("closed_read", outcome(::read(pair.client, &byte, 1)));
  say("closed_close", outcome(::close(pair.client)));
}

}  // namespace

std::span<const Case> connect_cases() {
  static constexpr Case kCases[] = {
      {"a blocking connect and accept", blocking},
      {"a server on a thread", blocking_on_threads},
      {"a non-blocking accept", non_blocking_accept},
      {"a non-blocking connect", non_blocking_connect},
      {"connect once more", connect_again},
      {"connect while it is under way", connect_under_way},
      {"a refused connection, blocking", refused_when_blocking},
      {"a refused connection, non-blocking", refused_when_not_blocking},
      {"IPv6", ipv6},
      {"IPv4 mapped into IPv6", v4_mapped},
      {"a client with an address of its own", bound_client},
      {"a client that is bound, and refused at first", bound_client_that_was_refused},
      {"MPTCP", mptcp},
      {"a client that closes before it is accepted", closed_before_accept},
      {"calls on what is no connection", not_a_connection},
  };
  return kCases;
}

}  // namespace suite
