// Each function that makes connections, and that looks names up for them.
#include <cerrno>
#include <cstring>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/preload/symbols.h"

namespace symbols {
namespace {

// The name of a Unix socket that the kernel chose.
struct Name {
  sockaddr_un un{};
  socklen_t size = sizeof un;
  const sockaddr* address() const { return reinterpret_cast<const sockaddr*>(&un); }
};

Name bound_by_itself(int fd) {
  Name name;
  const sa_family_t family = AF_UNIX;
  suite::must(::bind(fd, reinterpret_cast<const sockaddr*>(&family), sizeof family), "bind");
  suite::must(::getsockname(fd, reinterpret_cast<sockaddr*>(&name.un), &name.size), "getsockname");
  return name;
}

void of_listen() {
  const auto call = the(&::listen);
  const int fd = suite::tcp_socket(AF_INET);
  suite::bind_to(fd, 0, AF_INET);
  check_equal("listen", suite::outcome(call(fd, 4)), "0");
  check_equal("again", suite::outcome(call(fd, 8)), "0");
  const int client = suite::connected();
  const int server = suite::must(::accept(fd, nullptr, nullptr), "accept");
  check_equal("talk", suite::talk(client, server), "both_ways");
  check_equal("connection", suite::outcome(call(server, 4)), "EINVAL");
  const int other = suite::must(::socket(AF_UNIX, SOCK_STREAM, 0), "socket");
  bound_by_itself(other);
  check_equal("unix", suite::outcome(call(other, 4)), "0");
  check_equal("pipe", suite::outcome(call(pipe_pair().in, 4)), "ENOTSOCK");
  ::close(other);
  check_equal("closed", suite::outcome(call(other, 4)), "EBADF");
}

using Accept = std::function<int(int, sockaddr*, socklen_t*)>;

void check_accept(const Accept& call) {
  const int listening = suite::listener();
  suite::set_blocking(listening, false);
  check_equal("nothing_yet", suite::outcome(call(listening, nullptr, nullptr)), "EAGAIN");
  suite::set_blocking(listening, true);
  const int client = suite::connected();
  sockaddr_in from{};
  sockaddr_in own{};
  socklen_t size = sizeof from;
  const int server =
      suite::must(call(listening, reinterpret_cast<sockaddr*>(&from), &size), "accept");
  check("size", size == sizeof from && from.sin_family == AF_INET);
  suite::must(::getsockname(client, reinterpret_cast<sockaddr*>(&own), &size), "getsockname");
  check("address", own.sin_port == from.sin_port);
  check_equal("talk", suite::talk(client, server), "both_ways");
  check_equal("connection", suite::outcome(call(server, nullptr, nullptr)), "EINVAL");
  const int other = suite::must(::socket(AF_UNIX, SOCK_STREAM, 0), "socket");
  const Name name = bound_by_itself(other);
  suite::must(::listen(other, 4), "listen");
  const int peer = suite::must(::socket(AF_UNIX, SOCK_STREAM, 0), "socket");
  suite::must(::connect(peer, name.address(), name.size), "connect");
  const int accepted = suite::must(call(other, nullptr, nullptr), "accept");
  check_equal("unix", suite::talk(peer, accepted), "both_ways");
  check_equal("pipe", suite::outcome(call(pipe_pair().in, nullptr, nullptr)), "ENOTSOCK");
  ::close(other);
  check_equal("closed", suite::outcome(call(other, nullptr, nullptr)), "EBADF");
}

void of_accept() {
  check_accept(the(&::accept));
}

void of_accept4() {
  const auto call = the(&::accept4);
  check_accept(
      [call](int fd, sockaddr* address, socklen_t* size) { return call(fd, address, size, 0); });
  const int listening = suite::listener(1);
  const int client = suite::connected(1);
  const int server =
      suite::must(call(listening, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC), "accept4");
  check("O_NONBLOCK", (::fcntl(server, F_GETFL) & O_NONBLOCK) != 0);
  check("FD_CLOEXEC", ::fcntl(server, F_GETFD) == FD_CLOEXEC);
  check_equal("talk", suite::talk(client, server), "both_ways");
}

sockaddr_in address_of(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(uint16_t(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

void of_connect() {
  const auto call = the(&::connect);
  addrinfo* found = nullptr;
  check("getaddrinfo", ::getaddrinfo("localhost", nullptr, nullptr, &found) == 0);
  ::freeaddrinfo(found);
  const int listening = suite::listener();
  const auto connect_to = [&](int fd, int port) {
    const sockaddr_in address = address_of(port);
    return suite::outcome(call(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address));
  };
  const int client = suite::tcp_socket(AF_INET);
  check_equal("connect", connect_to(client, suite::port(0)), "0");
  const int server = suite::must(::accept(listening, nullptr, nullptr), "accept");
  check_equal("talk", suite::talk(client, server), "both_ways");
  check_equal("again", connect_to(client, suite::port(0)), "EISCONN");
  check_equal("listener", connect_to(listening, suite::port(0)), "EISCONN");
  const int other = suite::tcp_socket(AF_INET, SOCK_NONBLOCK);
  check_equal("non_blocking", connect_to(other, suite::port(0)), "EINPROGRESS");
  check("writable", suite::await(other, POLLOUT) == POLLOUT);
  check_equal("refused", connect_to(suite::tcp_socket(AF_INET), suite::unserved_port()),
              "ECONNREFUSED");
  const int datagrams = suite::must(::socket(AF_INET, SOCK_DGRAM, 0), "socket");
  check_equal("udp", connect_to(datagrams, suite::port(0)), "0");
  check_equal("pipe", connect_to(pipe_pair().in, suite::port(0)), "ENOTSOCK");
  ::close(other);
  check_equal("closed", connect_to(other, suite::port(0)), "EBADF");
}

// Only who knows the name of what it connects to gets a connection that is TLS.
void check_name(const in_addr& found) {
  const int listening = suite::listener();
  const int client = suite::tcp_socket(AF_INET);
  sockaddr_in address = address_of(suite::port(0));
  address.sin_addr = found;
  check_equal("connect",
              suite::outcome(
                  ::connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address)),
              "0");
  const int server = suite::must(::accept(listening, nullptr, nullptr), "accept");
  check_equal("talk", suite::talk(client, server), "both_ways");
}

void check_host(const hostent* host) {
  check("found", host != nullptr);
  if (host != nullptr) {
    in_addr address{};
    std::memcpy(&address, host->h_addr_list[0], sizeof address);
    check_name(address);
  }
}

void of_getaddrinfo() {
  const auto call = the(&::getaddrinfo);
  addrinfo hints{};
  addrinfo* found = nullptr;
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  check("found", call("localhost", "80", &hints, &found) == 0);
  check("port", reinterpret_cast<sockaddr_in*>(found->ai_addr)->sin_port == htons(80));
  check_name(reinterpret_cast<sockaddr_in*>(found->ai_addr)->sin_addr);
  ::freeaddrinfo(found);
  hints.ai_flags = AI_NUMERICHOST;
  check("numeric", call("localhost", nullptr, &hints, &found) == EAI_NONAME);
}

void of_gethostbyname() {
  check_host(the(&::gethostbyname)("localhost"));
}

void of_gethostbyname2() {
  check_host(the(&::gethostbyname2)("localhost", AF_INET));
}

void of_gethostbyname_r() {
  char room[4096];
  hostent host{};
  hostent* found = nullptr;
  int number = 0;
  check("answer",
        the(&::gethostbyname_r)("localhost", &host, room, sizeof room, &found, &number) == 0);
  check_host(found);
}

void of_gethostbyname2_r() {
  char room[4096];
  hostent host{};
  hostent* found = nullptr;
  int number = 0;
  check("answer", the(&::gethostbyname2_r)("localhost", AF_INET, &host, room, sizeof room, &found,
                                           &number) == 0);
  check_host(found);
}

}  // namespace

std::span<const suite::Case> making() {
  static constexpr suite::Case kCases[] = {
      {"listen", of_listen},
      {"accept", of_accept},
      {"accept4", of_accept4},
      {"connect", of_connect},
      {"getaddrinfo", of_getaddrinfo},
      {"gethostbyname", of_gethostbyname},
      {"gethostbyname2", of_gethostbyname2},
      {"gethostbyname_r", of_gethostbyname_r},
      {"gethostbyname2_r", of_gethostbyname2_r},
  };
  return kCases;
}

}  // namespace symbols
