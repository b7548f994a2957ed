// Each function that asks or tells something of a socket, stdio, and what would get around the
// shim.
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/preload/symbols.h"

namespace symbols {
namespace {

void of_shutdown() {
  const auto call = the(&::shutdown);
  for (const bool client_first : {true, false}) {
    const Connection pair;
    const int one = client_first ? pair.client : pair.server;
    const int other = client_first ? pair.server : pair.client;
    check("write", suite::write_all(one, "before"));
    check_equal("SHUT_WR", suite::outcome(call(one, SHUT_WR)), "0");
    check_equal("data", suite::read_all(other), "before");
    check("write", suite::write_all(other, "after"));
    check_equal("data", suite::read_some(one, 5), "after");
    check_equal("SHUT_RDWR", suite::outcome(call(other, SHUT_RDWR)), "0");
    check_equal("end", suite::read_all(one), "");
  }
  const Ends ends = unix_pair();
  check("unix", call(ends.out, SHUT_WR) == 0 && suite::read_all(ends.in).empty());
  check_equal("pipe", suite::outcome(call(pipe_pair().in, SHUT_WR)), "ENOTSOCK");
  const Connection pair;
  check_equal("wrong", suite::outcome(call(pair.server, 9)), "EINVAL");
  ::close(pair.client);
  check_equal("closed", suite::outcome(call(pair.client, SHUT_WR)), "EBADF");
}

void of_ioctl() {
  const auto call = the(&::ioctl);
  const Connection pair;
  const Ends pipes = pipe_pair();
  const std::pair<int, int> all[] = {
      {pair.server, pair.client}, {pair.client, pair.server}, {pipes.in, pipes.out}};
  for (const auto& [fd, peer] : all) {
    int number = -1;
    check("FIONREAD", call(fd, FIONREAD, &number) == 0 && number == 0);
    check("write", suite::write_all(peer, "12345"));
    suite::await(fd, POLLIN);
    check("FIONREAD", call(fd, FIONREAD, &number) == 0 && number == 5);
    check_equal("data", suite::read_some(fd, 5), "12345");
    number = 1;
    char byte = 0;
    check("FIONBIO", call(fd, FIONBIO, &number) == 0);
    check("does_not_block", ::read(fd, &byte, 1) == -1 && errno == EAGAIN);
    number = 0;
    check("FIONBIO", call(fd, FIONBIO, &number) == 0);
  }
  int number = 1;
  check("listener", call(pair.listener, FIONBIO, &number) == 0);
  check("does_not_block", ::accept(pair.listener, nullptr, nullptr) == -1 && errno == EAGAIN);
  ::close(pipes.in);
  check_equal("closed", suite::outcome(call(pipes.in, FIONREAD, &number)), "EBADF");
}

using Name = std::function<int(int, sockaddr*, socklen_t*)>;

void check_name(const Name& call, bool peer) {
  const Connection pair;
  sockaddr_in name{};
  socklen_t size = sizeof name;
  const auto ask = [&](int fd) {
    name = {};
    size = sizeof name;
    return suite::outcome(call(fd, reinterpret_cast<sockaddr*>(&name), &size));
  };
  for (const int fd : {pair.client, pair.server}) {
    check_equal("answer", ask(fd), "0");
    check("is_of_TCP", size == sizeof name && name.sin_family == AF_INET);
    check("is_loopback", name.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    check("port",
          (name.sin_port == htons(uint16_t(suite::port(0)))) == (peer == (fd == pair.client)));
  }
  check_equal("listener", ask(pair.listener), peer ? "ENOTCONN" : "0");
  check("port", peer || name.sin_port == htons(uint16_t(suite::port(0))));
  check_equal("fresh", ask(suite::tcp_socket(AF_INET)), peer ? "ENOTCONN" : "0");
  check_equal("unix", ask(unix_pair().in), "0");
  check("unix", name.sin_family == AF_UNIX);
  check_equal("pipe", ask(pipe_pair().in), "ENOTSOCK");
  ::close(pair.client);
  check_equal("closed", ask(pair.client), "EBADF");
}

void of_getsockname() {
  check_name(the(&::getsockname), false);
}

void of_getpeername() {
  check_name(the(&::getpeername), true);
}

void of_getsockopt() {
  const auto call = the(&::getsockopt);
  const Connection pair;
  const auto ask = [&](int fd, int level, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    const int result = call(fd, level, name, &value, &size);
    return result == 0 ? std::to_string(value) : suite::outcome(result);
  };
  for (const int fd : {pair.client, pair.server, pair.listener}) {
    check_equal("SO_TYPE", ask(fd, SOL_SOCKET, SO_TYPE), std::to_string(SOCK_STREAM));
    check_equal("SO_DOMAIN", ask(fd, SOL_SOCKET, SO_DOMAIN), std::to_string(AF_INET));
    check_equal("SO_PROTOCOL", ask(fd, SOL_SOCKET, SO_PROTOCOL), std::to_string(IPPROTO_TCP));
    check_equal("SO_ERROR", ask(fd, SOL_SOCKET, SO_ERROR), "0");
    check_equal("SO_ACCEPTCONN", ask(fd, SOL_SOCKET, SO_ACCEPTCONN),
                fd == pair.listener ? "1" : "0");
    check_equal("TCP_NODELAY", ask(fd, IPPROTO_TCP, TCP_NODELAY), "0");
    check_equal("unknown", ask(fd, IPPROTO_TCP, 9999), "ENOPROTOOPT");
  }
  check_equal("unix", ask(unix_pair().in, SOL_SOCKET, SO_DOMAIN), std::to_string(AF_UNIX));
  check_equal("pipe", ask(pipe_pair().in, SOL_SOCKET, SO_TYPE), "ENOTSOCK");
  ::close(pair.client);
  check_equal("closed", ask(pair.client, SOL_SOCKET, SO_TYPE), "EBADF");
}

void of_setsockopt() {
  const auto call = the(&::setsockopt);
  const Connection pair;
  const auto set = [&](int fd, int level, int name, int value = 1) {
    return suite::outcome(call(fd, level, name, &value, sizeof value));
  };
  for (const int fd : {pair.client, pair.server}) {
    check_equal("TCP_NODELAY", set(fd, IPPROTO_TCP, TCP_NODELAY), "0");
    check_equal("SO_KEEPALIVE", set(fd, SOL_SOCKET, SO_KEEPALIVE), "0");
    check_equal("IP_TOS", set(fd, IPPROTO_IP, IP_TOS, 16), "0");
    int value = 0;
    socklen_t size = sizeof value;
    check("it_is_set",
          ::getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &size) == 0 && value == 1);
    check_equal("unknown", set(fd, IPPROTO_TCP, 9999), "ENOPROTOOPT");
    // TLS copies what is sent, so that nobody is told of pages which are free again.
    check_equal("SO_ZEROCOPY", set(fd, SOL_SOCKET, SO_ZEROCOPY), wrapped() ? "EOPNOTSUPP" : "0");
    const timeval limit{0, 30'000};
    check("SO_RCVTIMEO", call(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    char byte = 0;
    check("read", ::read(fd, &byte, 1) == -1 && errno == EAGAIN);
  }
  check_equal("listener", set(pair.listener, SOL_SOCKET, SO_KEEPALIVE), "0");
  check_equal("unix", set(unix_pair().in, SOL_SOCKET, SO_PASSCRED), "0");
  check_equal("pipe", set(pipe_pair().in, SOL_SOCKET, SO_KEEPALIVE), "ENOTSOCK");
  ::close(pair.client);
  check_equal("closed", set(pair.client, SOL_SOCKET, SO_KEEPALIVE), "EBADF");
}

void of_fdopen() {
  const auto call = the(&::fdopen);
  const Connection pair;
  FILE* stream = call(pair.server, "r+");
  check("stream", stream != nullptr);
  check("write", suite::write_all(pair.client, "a line\nrest"));
  char room[16] = {};
  check("fgets", std::fgets(room, sizeof room, stream) != nullptr);
  check_equal("line", room, "a line\n");
  check("fread", std::fread(room, 1, 4, stream) == 4);
  check("fputs", std::fputs("reply", stream) >= 0 && std::fclose(stream) == 0);
  check_equal("reply", suite::read_all(pair.client), "reply");
  const Ends ends = pipe_pair();
  stream = call(ends.out, "w");
  check("pipe", std::fputs("p", stream) >= 0 && std::fclose(stream) == 0);
  check_equal("pipe", suite::read_all(ends.in), "p");
  check("mode", call(pair.client, "?") == nullptr && errno == EINVAL);
  ::close(ends.in);
  check("closed", call(ends.in, "r") == nullptr && errno == EBADF);
}

void of_fileno() {
  const auto call = the(&::fileno);
  const Connection pair;
  for (const int fd : {pair.client, pair.server, pipe_pair().in}) {
    FILE* stream = ::fdopen(fd, "r");
    check("number", call(stream) == fd);
    std::fclose(stream);
  }
  check("stdin", call(stdin) == 0);
  char room[4] = {};
  FILE* memory = ::fmemopen(room, sizeof room, "r");
  check("memory", call(memory) == -1 && errno == EBADF);
  std::fclose(memory);
}

// A stream of libc's own whose descriptor a connection has taken.
FILE* stream_taken_by(int connection) {
  FILE* const stream = std::fopen("/dev/null", "r+");
  suite::must(::dup2(connection, ::fileno(stream)), "dup2");
  ::close(connection);
  return stream;
}

void check_number_is_free_of_it() {
  const int zero = suite::must(::open("/dev/zero", O_RDONLY | O_CLOEXEC), "open");
  char byte = 1;
  check("the_next_file", ::read(zero, &byte, 1) == 1 && byte == 0);
  ::close(zero);
}

void of_fclose() {
  const auto call = the(&::fclose);
  const Connection pair;
  FILE* const stream = ::fdopen(pair.server, "r+");
  check("write", std::fputs("bye", stream) >= 0 && call(stream) == 0);
  check_equal("peer", suite::read_all(pair.client), "bye");
  const Connection other(1);
  check("taken", call(stream_taken_by(other.server)) == 0);
  check_equal("other", suite::read_all(other.client), "");
  check_number_is_free_of_it();
}

void of_freopen() {
  const auto call = the(&::freopen);
  const Connection pair;
  FILE* const stream = call("/dev/zero", "r", stream_taken_by(pair.server));
  check("zero", stream != nullptr && std::fgetc(stream) == 0);
  check_equal("peer", suite::read_all(pair.client), "");
  check("close", std::fclose(stream) == 0);
  check_number_is_free_of_it();
}

void of_daemon() {
  const auto call = the(&::daemon);
  const Connection pair;
  const pid_t parent = suite::must(::fork(), "fork");
  if (parent == 0) {
    ::dup2(pair.server, STDIN_FILENO);
    ::close(pair.server);
    ::close(pair.client);
    if (call(1, 0) != 0) ::_exit(1);
    char byte = 0;
    // Nothing is there any more but the end of /dev/null.
    ::_exit(::read(STDIN_FILENO, &byte, 1) == 0 ? 0 : 1);
  }
  int status = 1;
  check("parent", ::waitpid(parent, &status, 0) == parent && status == 0);
  ::close(pair.server);
  check_equal("peer", suite::read_all(pair.client), "");
}

// Permits all but `forbidden`, which is EPERM; -1 permits all.
struct Filter {
  explicit Filter(int forbidden)
      : steps{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
              BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, unsigned(forbidden), 0, 1),
              BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
              BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)} {}
  sock_filter steps[4];
  sock_fprog program{4, steps};
};

// After a filter that forbids what TLS needs there is no connection rather than a plain one.
int talks_under(const std::function<long(const sock_fprog*)>& install, int forbidden) {
  const Filter filter(forbidden);
  const int listening = suite::listener(1);
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (install(&filter.program) != 0) {
    return 3;
  }
  const int client = suite::tcp_socket(AF_INET);
  if (suite::start_connect(client, AF_INET, suite::port(1)) != 0) {
    return 2;
  }
  const int server = ::accept(listening, nullptr, nullptr);
  return server >= 0 && suite::talk(client, server) == "both_ways" ? 0 : 1;
}

void check_filters(const std::function<long(const sock_fprog*)>& install) {
  check_equal("harmless", suite::ending(suite::child([&] { return talks_under(install, -1); })),
              "exit_0");
  check_equal("harmful",
              suite::ending(suite::child([&] { return talks_under(install, SYS_recvmsg); })),
              wrapped() ? "exit_2" : "exit_0");
}

void of_prctl() {
  const auto call = the(&::prctl);
  char name[16] = {};
  check("PR_SET_NAME", call(PR_SET_NAME, "a name", 0, 0, 0) == 0);
  check("PR_GET_NAME", call(PR_GET_NAME, name, 0, 0, 0) == 0);
  check_equal("name", name, "a name");
  check_equal("unknown", suite::outcome(call(99999, 0, 0, 0, 0)), "EINVAL");
  check_filters([call](const sock_fprog* program) {
    return call(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0);
  });
}

// What has a number is what its function is.
void check_numbers(long (*call)(long, ...)) {
  const int listening = suite::listener(2);
  const int client = suite::tcp_socket(AF_INET);
  // Whose address it is: a connection to an address alone is none of --connect's.
  addrinfo* found = nullptr;
  check("getaddrinfo", ::getaddrinfo("localhost", nullptr, nullptr, &found) == 0);
  ::freeaddrinfo(found);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(uint16_t(suite::port(2)));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  check_equal("connect", suite::outcome(call(SYS_connect, client, &address, sizeof address)), "0");
  const int server = suite::must(call(SYS_accept4, listening, nullptr, nullptr, 0), "accept4");
  check("write", call(SYS_write, client, "question", 8) == 8);
  char room[16] = {};
  suite::await(server, POLLIN);
  check("read", call(SYS_read, server, room, sizeof room) == 8);
  check_equal("data", room, "question");
  check("sendto", call(SYS_sendto, server, "reply", 5, 0, nullptr, 0) == 5);
  suite::await(client, POLLIN);
  check("recvfrom", call(SYS_recvfrom, client, room, 5, 0, nullptr, nullptr) == 5);
  const int copy = suite::must(call(SYS_dup, server), "dup");
  check("close", call(SYS_close, server) == 0);
  check_equal("talk", suite::talk(client, copy), "both_ways");
  check("shutdown", call(SYS_shutdown, copy, SHUT_WR) == 0);
  check_equal("end", suite::read_all(client), "");
}

void of_syscall() {
  const auto call = the(&::syscall);
  check_numbers(call);
  check("SYS_getpid", call(SYS_getpid) == ::getpid());
  check_equal("unknown", suite::outcome(call(99999)), "ENOSYS");
  char parameters[256] = {};
  const long ring = call(SYS_io_uring_setup, 4, parameters);
  check("io_uring_setup", !wrapped() || (ring == -1 && errno == ENOSYS));
  const Connection pair;
  check("SYS_write", call(SYS_write, pipe_pair().out, "x", 1) == 1);
  check("close_range", call(SYS_close_range, pair.server, pair.server, 0) == 0);
  check_equal("end", suite::read_all(pair.client), "");
  check_filters([call](const sock_fprog* program) {
    return call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, program);
  });
}

}  // namespace

std::span<const suite::Case> asking() {
  static constexpr suite::Case kCases[] = {
      {"shutdown", of_shutdown},       {"ioctl", of_ioctl},
      {"getsockname", of_getsockname}, {"getpeername", of_getpeername},
      {"getsockopt", of_getsockopt},   {"setsockopt", of_setsockopt},
      {"fdopen", of_fdopen},           {"fileno", of_fileno},
      {"fileno_unlocked", of_fileno},  {"prctl", of_prctl},
      {"syscall", of_syscall},         {"fclose", of_fclose},
      {"freopen", of_freopen},         {"freopen64", of_freopen},
      {"daemon", of_daemon},
  };
  return kCases;
}

}  // namespace symbols
