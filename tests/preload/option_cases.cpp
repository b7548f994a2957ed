// What a socket says of itself, and what it is told.
#include <cerrno>
#include <ctime>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/preload/socket_suite.h"

namespace suite {
namespace {

std::string option(int fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  const int result = ::getsockopt(fd, level, name, &value, &size);
  return result == 0 ? std::to_string(value) : outcome(result);
}

std::string set(int fd, int level, int name, int value) {
  const std::string result = outcome(::setsockopt(fd, level, name, &value, sizeof value));
  return result + "," + option(fd, level, name);
}

std::string text_of(const sockaddr_in& address) {
  char text[INET_ADDRSTRLEN] = "";
  ::inet_ntop(AF_INET, &address.sin_addr, text, sizeof text);
  return text;
}

void names() {
  const Pair pair = pair_of();
  sockaddr_in at[4] = {};
  socklen_t size = sizeof at[0];
  const auto name = [](sockaddr_in& address) { return reinterpret_cast<sockaddr*>(&address); };
  say("getsockname", outcome(::getsockname(pair.client, name(at[0]), &size)));
  say("size", size);
  say("getpeername", outcome(::getpeername(pair.client, name(at[1]), &size)));
  say("getsockname", outcome(::getsockname(pair.server, name(at[2]), &size)));
  say("getpeername", outcome(::getpeername(pair.server, name(at[3]), &size)));
  for (const sockaddr_in& each : at) {
    say("address", text_of(each));
    say("family", each.sin_family == AF_INET);
  }
  say("of_each_other", at[0].sin_port == at[3].sin_port && at[1].sin_port == at[2].sin_port);
  say("port", at[1].sin_port == htons(uint16_t(port(0))));
  size = 4;
  say("short", outcome(::getpeername(pair.client, name(at[0]), &size)));
  say("whole_size", size);
  size = sizeof at[0];
  say("listener", outcome(::getsockname(pair.listener, name(at[0]), &size)));
  say("listener's_port", at[0].sin_port == at[1].sin_port);
}

void name_from_accept() {
  const int listening = listener();
  const int client = connected();
  sockaddr_in from{};
  sockaddr_in own{};
  socklen_t size = sizeof from;
  const int server = ::accept(listening, reinterpret_cast<sockaddr*>(&from), &size);
  say("accept", server >= 0);
  say("size", size);
  must(::getsockname(client, reinterpret_cast<sockaddr*>(&own), &size), "getsockname");
  say("is_the_client", own.sin_port == from.sin_port);
  const int other = connected();
  size = 4;
  say("short", ::accept(listening, reinterpret_cast<sockaddr*>(&from), &size) >= 0);
  say("whole_size", size);
  ::close(other);
}

void kinds() {
  const Pair pair = pair_of();
  const int fresh = tcp_socket(AF_INET);
  for (const int fd : {pair.listener, pair.server, pair.client, fresh}) {
    say("SO_TYPE", option(fd, SOL_SOCKET, SO_TYPE));
    say("SO_DOMAIN", option(fd, SOL_SOCKET, SO_DOMAIN));
    say("SO_PROTOCOL", option(fd, SOL_SOCKET, SO_PROTOCOL));
    say("SO_ACCEPTCONN", option(fd, SOL_SOCKET, SO_ACCEPTCONN));
    say("SO_ERROR", option(fd, SOL_SOCKET, SO_ERROR));
    struct stat status {};
    must(::fstat(fd, &status), "fstat");
    say("socket", S_ISSOCK(status.st_mode));
  }
}

void tcp_options() {
  const Pair pair = pair_of();
  for (const int fd : {pair.client, pair.server}) {
    say("TCP_NODELAY", set(fd, IPPROTO_TCP, TCP_NODELAY, 1));
    say("TCP_CORK", set(fd, IPPROTO_TCP, TCP_CORK, 1));
    say("TCP_CORK", set(fd, IPPROTO_TCP, TCP_CORK, 0));
    say("TCP_KEEPIDLE", set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 77));
    say("TCP_USER_TIMEOUT", set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 5000));
    say("TCP_DEFER_ACCEPT", option(pair.listener, IPPROTO_TCP, TCP_DEFER_ACCEPT));
    say("IP_TOS", set(fd, IPPROTO_IP, IP_TOS, 0x10));
    say("SO_KEEPALIVE", set(fd, SOL_SOCKET, SO_KEEPALIVE, 1));
    say("SO_REUSEADDR", set(fd, SOL_SOCKET, SO_REUSEADDR, 1));
    say("SO_OOBINLINE", set(fd, SOL_SOCKET, SO_OOBINLINE, 1));
    say("unknown", option(fd, IPPROTO_TCP, 9999));
    say("wrong_level", option(fd, 9999, 1));
  }
  say("talk", talk(pair.client, pair.server));
}

void time_limits() {
  const Pair pair = pair_of();
  timeval limit{0, 50'000};
  timeval back{};
  socklen_t size = sizeof back;
  char byte = 0;
  say("SO_RCVTIMEO",
      outcome(::setsockopt(pair.server, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit)));
  say("get", outcome(::getsockopt(pair.server, SOL_SOCKET, SO_RCVTIMEO, &back, &size)));
  say("is", back.tv_sec == 0 && back.tv_usec >= 50'000 && back.tv_usec < 60'000);
  say("read", outcome(::read(pair.server, &byte, 1)));
  say("recv", outcome(::recv(pair.server, &byte, 1, 0)));
  say("SO_SNDTIMEO",
      outcome(::setsockopt(pair.server, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit)));
  const std::string data = pattern(1, 1 << 20);
  std::string last = "never";
  for (int count = 0; count < 200 && last == "never"; ++count) {
    if (::send(pair.server, data.data(), data.size(), 0) < 0) {
      last = error_name(errno);
    }
  }
  say("send", last);
  say("listener",
      outcome(::setsockopt(pair.listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit)));
  say("accept", outcome(::accept(pair.listener, nullptr, nullptr)));
}

void lingering() {
  const Pair pair = pair_of();
  const linger wanted{1, 5};
  linger back{};
  socklen_t size = sizeof back;
  say("SO_LINGER",
      outcome(::setsockopt(pair.server, SOL_SOCKET, SO_LINGER, &wanted, sizeof wanted)));
  say("get", outcome(::getsockopt(pair.server, SOL_SOCKET, SO_LINGER, &back, &size)));
  say("is", back.l_onoff * 10 + back.l_linger);
  write_all(pair.server, "lingers");
  say("close", outcome(::close(pair.server)));
  say("client", read_all(pair.client));
}

void descriptor_flags() {
  const Pair pair = pair_of();
  for (const int fd : {pair.listener, pair.client, pair.server}) {
    say("FD_CLOEXEC", ::fcntl(fd, F_GETFD));
    say("F_SETFD", outcome(::fcntl(fd, F_SETFD, FD_CLOEXEC)));
    say("FD_CLOEXEC", ::fcntl(fd, F_GETFD));
    say("F_GETFL", ::fcntl(fd, F_GETFL) & (O_NONBLOCK | O_ACCMODE));
    set_blocking(fd, false);
    say("F_GETFL", ::fcntl(fd, F_GETFL) & (O_NONBLOCK | O_ACCMODE));
    say("F_SETOWN", outcome(::fcntl(fd, F_SETOWN, ::getpid())));
    say("F_GETOWN", ::fcntl(fd, F_GETOWN) == ::getpid());
    say("isatty", ::isatty(fd));
  }
}

// What is set before, where a program has it from its configuration.
void options_before() {
  const int listening = tcp_socket(AF_INET);
  bind_to(listening, 0, AF_INET);
  say("TCP_NODELAY", set(listening, IPPROTO_TCP, TCP_NODELAY, 1));
  say("SO_KEEPALIVE", set(listening, SOL_SOCKET, SO_KEEPALIVE, 1));
  must(::listen(listening, 4), "listen");
  say("TCP_NODELAY", option(listening, IPPROTO_TCP, TCP_NODELAY));
  const int client = tcp_socket(AF_INET);
  say("TCP_NODELAY", set(client, IPPROTO_TCP, TCP_NODELAY, 1));
  say("SO_KEEPALIVE", set(client, SOL_SOCKET, SO_KEEPALIVE, 1));
  must(start_connect(client, AF_INET, port(0)), "connect");
  const int server = must(::accept(listening, nullptr, nullptr), "accept");
  for (const int fd : {server, client}) {
    say("TCP_NODELAY", option(fd, IPPROTO_TCP, TCP_NODELAY));
    say("SO_KEEPALIVE", option(fd, SOL_SOCKET, SO_KEEPALIVE));
  }
}

}  // namespace

std::span<const Case> option_cases() {
  static constexpr Case kCases[] = {
      {"getsockname and getpeername", names},
      {"the address that accept tells", name_from_accept},
      {"what kind of socket", kinds},
      {"options of TCP, IP and the socket", tcp_options},
      {"options set before listen and connect", options_before},
      {"SO_RCVTIMEO and SO_SNDTIMEO", time_limits},
      {"SO_LINGER", lingering},
      {"fcntl's flags", descriptor_flags},
  };
  return kCases;
}

}  // namespace suite
