// Each function that makes, closes or describes descriptors.
#include <cerrno>

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/preload/symbols.h"

namespace symbols {
namespace {

constexpr int kHigh = 300;

// What is wrongly ended is so at once; what ends may take its time.
bool is_open(int peer) {
  constexpr int kMomentMs = 50;
  return (suite::await(peer, POLLIN | POLLRDHUP, kMomentMs) & (POLLIN | POLLRDHUP)) == 0;
}

bool has_ended(int peer) {
  return suite::read_all(peer).empty();
}

void check_port_is_free() {
  const int client = suite::tcp_socket(AF_INET);
  check_equal("port", suite::outcome(suite::start_connect(client, AF_INET, suite::port(0))),
              "ECONNREFUSED");
  ::close(client);
}

// `close_one` closes that descriptor and no other that matters.
void check_closing(const std::function<int(int)>& close_one) {
  const Connection pair;
  suite::must(::dup2(pair.server, kHigh), "dup2");
  ::close(pair.server);
  check_equal("close", suite::outcome(close_one(kHigh)), "0");
  check("peer", has_ended(pair.client));
  check("it_is_closed", ::fcntl(kHigh, F_GETFD) == -1 && errno == EBADF);
  suite::must(::dup2(pair.listener, kHigh), "dup2");
  ::close(pair.listener);
  check_equal("listener", suite::outcome(close_one(kHigh)), "0");
  check_port_is_free();
  const Ends ends = pipe_pair();
  suite::must(::dup2(ends.out, kHigh), "dup2");
  ::close(ends.out);
  check_equal("pipe", suite::outcome(close_one(kHigh)), "0");
  check_equal("pipe's_end", suite::read_all(ends.in), "");
  const Connection next;
  check_equal("afterwards", suite::talk(next.client, next.server), "both_ways");
}

void of_close() {
  const auto call = the(&::close);
  check_closing(call);
  check_equal("closed", suite::outcome(call(kHigh)), "EBADF");
  const Connection pair(1);
  const int copy = ::dup(pair.server);
  check("one_of_two", call(pair.server) == 0);
  check("peer", is_open(pair.client));
  check_equal("talk", suite::talk(pair.client, copy), "both_ways");
}

void of_closefrom() {
  const auto call = the(&::closefrom);
  check_closing([call](int fd) {
    call(fd);
    return 0;
  });
  const pid_t child = suite::child([&] {
    call(3);
    const Connection pair(1);
    return suite::talk(pair.client, pair.server) == "both_ways" ? 0 : 1;
  });
  check_equal("all", suite::ending(child), "exit_0");
}

void of_close_range() {
  const auto call = the(&::close_range);
  check_closing([call](int fd) { return call(unsigned(fd), unsigned(fd) + 10, 0); });
  const Connection pair(1);
  check("CLOEXEC", call(unsigned(pair.server), unsigned(pair.server), CLOSE_RANGE_CLOEXEC) == 0);
  check("FD_CLOEXEC", ::fcntl(pair.server, F_GETFD) == FD_CLOEXEC);
  check_equal("talk", suite::talk(pair.client, pair.server), "both_ways");
  check_equal("wrong", suite::outcome(call(9, 8, 0)), "EINVAL");
  const pid_t child = suite::child([&] {
    call(3, ~0U, 0);
    const Connection fresh(2);
    return suite::talk(fresh.client, fresh.server) == "both_ways" ? 0 : 1;
  });
  check_equal("all", suite::ending(child), "exit_0");
}

// `copy` makes a copy, whose FD_CLOEXEC is to be `flag`.
void check_copying(const std::function<int(int)>& copy, int flag = 0) {
  const Connection pair;
  for (const int fd : {pair.server, pair.client}) {
    const int other = suite::must(copy(fd), "copy");
    check("is_another", other != fd);
    check("FD_CLOEXEC", ::fcntl(other, F_GETFD) == flag);
    const int peer = fd == pair.server ? pair.client : pair.server;
    check_equal("talk", suite::talk(other, peer), "both_ways");
    ::close(fd);
    check("peer", is_open(peer));
    check_equal("talk", suite::talk(other, peer), "both_ways");
    suite::must(::dup2(other, fd), "dup2");
    ::close(other);
  }
  const int listening = suite::must(copy(pair.listener), "copy");
  ::close(pair.listener);
  const int client = suite::connected();
  const int server = suite::must(::accept(listening, nullptr, nullptr), "accept");
  check_equal("listener", suite::talk(client, server), "both_ways");
  ::close(listening);
  check_port_is_free();
  const Ends ends = pipe_pair();
  const int out = suite::must(copy(ends.out), "copy");
  check("pipe", suite::write_all(out, "x") && suite::read_some(ends.in, 1) == "x");
  ::close(out);
  ::close(ends.out);
  check_equal("closed", suite::outcome(copy(ends.out)), "EBADF");
}

void check_taking_over(const std::function<int(int, int)>& copy) {
  const Connection pair;
  const Connection other(1);
  check("answer", copy(other.server, pair.server) == pair.server);
  check("taken_over", has_ended(pair.client));
  check_equal("talk", suite::talk(other.client, pair.server), "both_ways");
  const Ends ends = pipe_pair();
  check("pipe_over_connection", copy(ends.out, pair.server) == pair.server);
  check("write", suite::write_all(pair.server, "x") && suite::read_some(ends.in, 1) == "x");
  check("connection_over_pipe", copy(other.server, ends.out) == ends.out);
  check_equal("talk", suite::talk(other.client, ends.out), "both_ways");
  check("over_a_listener", copy(ends.in, pair.listener) == pair.listener);
  check_port_is_free();
  // Numbers that the shim may have for itself are free for the program all the same.
  for (const int number : {500, 900, 1000, 1020}) {
    check("any_number", copy(other.server, number) == number || errno == EBADF);
  }
  check_equal("talk", suite::talk(other.client, other.server), "both_ways");
  const Connection next(2);
  check_equal("afterwards", suite::talk(next.client, next.server), "both_ways");
}

void of_dup() {
  check_copying(the(&::dup));
}

void of_dup2() {
  const auto call = the(&::dup2);
  check_copying([call](int fd) { return call(fd, kHigh); });
  check_taking_over(call);
  const Connection pair;
  check("itself", call(pair.server, pair.server) == pair.server);
  check_equal("talk", suite::talk(pair.client, pair.server), "both_ways");
}

void of_dup3() {
  const auto call = the(&::dup3);
  check_copying([call](int fd) { return call(fd, kHigh, O_CLOEXEC); }, FD_CLOEXEC);
  check_taking_over([call](int from, int to) { return call(from, to, 0); });
  const Connection pair;
  check_equal("itself", suite::outcome(call(pair.server, pair.server, 0)), "EINVAL");
}

void of_fcntl() {
  const auto call = the(&::fcntl64);
  check_copying([call](int fd) { return call(fd, F_DUPFD, kHigh); });
  check_copying([call](int fd) { return call(fd, F_DUPFD_CLOEXEC, kHigh); }, FD_CLOEXEC);
  const Connection pair;
  const Ends ends = pipe_pair();
  for (const int fd : {pair.listener, pair.server, pair.client, ends.in}) {
    check("F_SETFD", call(fd, F_SETFD, FD_CLOEXEC) == 0);
    check("F_GETFD", call(fd, F_GETFD) == FD_CLOEXEC);
    const int flags = call(fd, F_GETFL);
    check("F_SETFL", call(fd, F_SETFL, flags | O_NONBLOCK) == 0);
    check("F_GETFL", call(fd, F_GETFL) == (flags | O_NONBLOCK));
    check("F_SETFL", call(fd, F_SETFL, flags) == 0);
  }
  check("at_least", call(pair.server, F_DUPFD, 400) >= 400);
  check_equal("talk", suite::talk(pair.client, pair.server), "both_ways");
}

}  // namespace

std::span<const suite::Case> descriptors() {
  static constexpr suite::Case kCases[] = {
      {"close", of_close}, {"closefrom", of_closefrom}, {"close_range", of_close_range},
      {"dup", of_dup},     {"dup2", of_dup2},           {"dup3", of_dup3},
      {"fcntl", of_fcntl}, {"fcntl64", of_fcntl},
  };
  return kCases;
}

}  // namespace symbols
