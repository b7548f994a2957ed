// Each function that waits.
#include <cerrno>
#include <ctime>

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/preload/symbols.h"

namespace symbols {
namespace {

constexpr int kShortMs = 30;

// Which of reading ("r") and writing ("w") is possible, after at most so long.
using Wait = std::function<std::string(int fd, bool writing, int timeout_ms)>;

timespec duration(int milliseconds) {
  return {milliseconds / 1000, (milliseconds % 1000) * 1'000'000L};
}

void check_ends(const Wait& wait, int fd, int peer) {
  check_equal("idle", wait(fd, false, kShortMs), "");
  check_equal("writable", wait(fd, true, suite::kPatienceMs), "w");
  check("write", suite::write_all(peer, "x"));
  check_equal("readable", wait(fd, false, suite::kPatienceMs), "r");
  check_equal("data", suite::read_some(fd, 1), "x");
  check_equal("read_off", wait(fd, false, kShortMs), "");
}

void check_waiting(const Wait& wait) {
  const int listening = suite::listener();
  check_equal("listener", wait(listening, false, kShortMs), "");
  const int client = suite::tcp_socket(AF_INET, SOCK_NONBLOCK);
  check_equal("connect", suite::outcome(suite::start_connect(client, AF_INET, suite::port(0))),
              "EINPROGRESS");
  check_equal("connected", wait(client, true, suite::kPatienceMs), "w");
  check_equal("listener", wait(listening, false, suite::kPatienceMs), "r");
  const int server = suite::must(::accept(listening, nullptr, nullptr), "accept");
  check_equal("taken", wait(listening, false, 0), "");
  check_ends(wait, server, client);
  suite::set_blocking(client, true);
  check_ends(wait, client, server);
  ::close(client);
  check_equal("ended", wait(server, false, suite::kPatienceMs), "r");
  const Ends ends = unix_pair();
  check_ends(wait, ends.in, ends.out);
}

using Poll = std::function<int(pollfd*, nfds_t, int timeout_ms)>;

void check_poll(const Poll& call) {
  check_waiting([&](int fd, bool writing, int timeout_ms) {
    pollfd one{fd, short(writing ? POLLOUT : POLLIN), 0};
    const int count = call(&one, 1, timeout_ms);
    check("count", count == (one.revents != 0 ? 1 : 0));
    return std::string((one.revents & POLLIN) != 0 ? "r" : "") +
           ((one.revents & POLLOUT) != 0 ? "w" : "");
  });
  const Connection pair(1);
  const Ends ends = unix_pair();
  pollfd all[] = {{pair.server, POLLIN, 0}, {-1, POLLIN, 0}, {ends.in, POLLOUT, 0}};
  check("several", call(all, 3, suite::kPatienceMs) == 1 && all[2].revents == POLLOUT);
  check("none", call(all, 1, 0) == 0);
}

void of_poll() {
  check_poll(the(&::poll));
}

void of_poll_chk() {
  const auto call = the<int(pollfd*, nfds_t, int, size_t)>();
  check_poll([call](pollfd* all, nfds_t count, int timeout_ms) {
    return call(all, count, timeout_ms, count * sizeof *all);
  });
}

void of_ppoll() {
  const auto call = the(&::ppoll);
  check_poll([call](pollfd* all, nfds_t count, int timeout_ms) {
    const timespec limit = duration(timeout_ms);
    return call(all, count, &limit, nullptr);
  });
}

void of_ppoll_chk() {
  const auto call = the<int(pollfd*, nfds_t, const timespec*, const sigset_t*, size_t)>();
  check_poll([call](pollfd* all, nfds_t count, int timeout_ms) {
    const timespec limit = duration(timeout_ms);
    return call(all, count, &limit, nullptr, count * sizeof *all);
  });
}

using Select = std::function<int(int, fd_set*, fd_set*, int timeout_ms)>;

void check_select(const Select& call) {
  check_waiting([&](int fd, bool writing, int timeout_ms) {
    fd_set reads;
    fd_set writes;
    FD_ZERO(&reads);
    FD_ZERO(&writes);
    FD_SET(fd, writing ? &writes : &reads);
    const int count = call(fd + 1, &reads, &writes, timeout_ms);
    const std::string ready =
        std::string(FD_ISSET(fd, &reads) ? "r" : "") + (FD_ISSET(fd, &writes) ? "w" : "");
    check("count", count == int(ready.size()));
    return ready;
  });
}

void of_select() {
  const auto call = the(&::select);
  check_select([call](int count, fd_set* reads, fd_set* writes, int timeout_ms) {
    timeval limit{timeout_ms / 1000, (timeout_ms % 1000) * 1000L};
    return call(count, reads, writes, nullptr, &limit);
  });
}

void of_pselect() {
  const auto call = the(&::pselect);
  check_select([call](int count, fd_set* reads, fd_set* writes, int timeout_ms) {
    const timespec limit = duration(timeout_ms);
    return call(count, reads, writes, nullptr, &limit, nullptr);
  });
}

using EpollWait = std::function<int(int, epoll_event*, int, int timeout_ms)>;

// A set that lives as long as the test does, into which each descriptor is put once.
std::string wait_by_epoll(const EpollWait& wait, int fd, bool writing, int timeout_ms) {
  const int set = suite::must(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
  epoll_event event{};
  event.events = writing ? EPOLLOUT : EPOLLIN;
  event.data.fd = fd;
  suite::must(::epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), "add");
  epoll_event found[2] = {};
  const int count = wait(set, found, 2, timeout_ms);
  ::close(set);
  check("count", count == 0 || count == 1);
  check("data", count != 1 || found[0].data.fd == fd);
  return std::string((found[0].events & EPOLLIN) != 0 ? "r" : "") +
         ((found[0].events & EPOLLOUT) != 0 ? "w" : "");
}

bool has_nothing_to_read(int fd) {
  char byte = 0;
  return ::recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == -1 && errno == EAGAIN;
}

// epoll may wake for nothing, as for a ticket, which reading takes away.
void check_epoll(const EpollWait& wait) {
  check_waiting([&](int fd, bool writing, int timeout_ms) {
    std::string ready = wait_by_epoll(wait, fd, writing, timeout_ms);
    const bool in_vain = ready == "r" && has_nothing_to_read(fd);
    return in_vain ? wait_by_epoll(wait, fd, writing, timeout_ms) : ready;
  });
}

void of_epoll_wait() {
  check_epoll(the(&::epoll_wait));
}

void of_epoll_pwait() {
  const auto call = the(&::epoll_pwait);
  check_epoll([call](int set, epoll_event* events, int count, int timeout_ms) {
    return call(set, events, count, timeout_ms, nullptr);
  });
}

void of_epoll_pwait2() {
  const auto call = the(&::epoll_pwait2);
  check_epoll([call](int set, epoll_event* events, int count, int timeout_ms) {
    const timespec limit = duration(timeout_ms);
    return call(set, events, count, &limit, nullptr);
  });
}

int next_of(int set, int timeout_ms) {
  epoll_event event{};
  return ::epoll_wait(set, &event, 1, timeout_ms) == 1 ? int(event.events) : 0;
}

void of_epoll_ctl() {
  const auto call = the(&::epoll_ctl);
  const int set = suite::must(::epoll_create1(0), "epoll_create1");
  epoll_event event{};
  const auto control = [&](int operation, int fd, unsigned events) {
    event.events = events;
    event.data.fd = fd;
    return suite::outcome(call(set, operation, fd, &event));
  };
  const int listening = suite::tcp_socket(AF_INET);
  suite::bind_to(listening, 0, AF_INET);
  check_equal("before_listen", control(EPOLL_CTL_ADD, listening, EPOLLIN), "0");
  suite::must(::listen(listening, 4), "listen");
  const int client = suite::tcp_socket(AF_INET, SOCK_NONBLOCK);
  suite::start_connect(client, AF_INET, suite::port(0));
  check("listener", next_of(set, suite::kPatienceMs) == EPOLLIN);
  const int server = suite::must(::accept(listening, nullptr, nullptr), "accept");
  check_equal("del", control(EPOLL_CTL_DEL, listening, 0), "0");
  check_equal("add", control(EPOLL_CTL_ADD, client, EPOLLOUT), "0");
  check("connected", next_of(set, suite::kPatienceMs) == EPOLLOUT);
  check_equal("mod", control(EPOLL_CTL_MOD, client, EPOLLIN), "0");
  check("idle", next_of(set, kShortMs) == 0 || has_nothing_to_read(client));
  check("write", suite::write_all(server, "x"));
  check("readable", next_of(set, suite::kPatienceMs) == EPOLLIN);
  check_equal("twice", control(EPOLL_CTL_ADD, client, EPOLLIN), "EEXIST");
  check_equal("del", control(EPOLL_CTL_DEL, client, 0), "0");
  check_equal("no_more", control(EPOLL_CTL_MOD, client, EPOLLIN), "ENOENT");
  const Ends ends = pipe_pair();
  check_equal("pipe", control(EPOLL_CTL_ADD, ends.out, EPOLLOUT), "0");
  check("pipe", next_of(set, suite::kPatienceMs) == EPOLLOUT);
  check_equal("itself", control(EPOLL_CTL_ADD, set, EPOLLIN), "EINVAL");
  ::close(ends.out);
  check_equal("closed", control(EPOLL_CTL_ADD, ends.out, EPOLLIN), "EBADF");
}

}  // namespace

std::span<const suite::Case> waiting() {
  static constexpr suite::Case kCases[] = {
      {"poll", of_poll},
      {"__poll_chk", of_poll_chk},
      {"ppoll", of_ppoll},
      {"__ppoll_chk", of_ppoll_chk},
      {"select", of_select},
      {"pselect", of_pselect},
      {"epoll_wait", of_epoll_wait},
      {"epoll_pwait", of_epoll_pwait},
      {"epoll_pwait2", of_epoll_pwait2},
      {"epoll_ctl", of_epoll_ctl},
  };
  return kCases;
}

}  // namespace symbols
