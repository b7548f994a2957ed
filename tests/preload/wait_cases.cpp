// Waiting: poll, select and epoll, of listeners and connections, registered early and late.
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/preload/socket_suite.h"

namespace suite {
namespace {

constexpr int kShortMs = 50;

class Epoll {
 public:
  Epoll() : fd_(must(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {}
  ~Epoll() { ::close(fd_); }
  Epoll(const Epoll&) = delete;
  Epoll& operator=(const Epoll&) = delete;

  int control(int operation, int fd, unsigned events) const {
    epoll_event event{};
    event.events = events;
    event.data.u64 = kData;
    return ::epoll_ctl(fd_, operation, fd, &event);
  }

  void add(int fd, unsigned events) const { must(control(EPOLL_CTL_ADD, fd, events), "add"); }

  int number() const { return fd_; }

  std::string wait(int timeout_ms = kPatienceMs) const {
    epoll_event events[4] = {};
    const int count = must(::epoll_wait(fd_, events, 4, timeout_ms), "epoll_wait");
    std::string names = count == 0 ? "nothing" : "";
    for (int index = 0; index < count; ++index) {
      names += names.empty() ? "" : "+";
      names += epoll_names(events[index].events);
      names += events[index].data.u64 == kData ? "" : "(other data)";
    }
    return names;
  }

 private:
  static constexpr uint64_t kData = 0x1234'5678'9ABC'DEF0;
  int fd_;
};

// As programs must, which epoll may wake for nothing: a readiness is one if there is something to
// read.
std::string wait_to_read(const Epoll& epoll, int fd, int timeout_ms) {
  char byte = 0;
  std::string names = epoll.wait(timeout_ms);
  for (int count = 0; count < 5 && names != "nothing"; ++count) {
    if (::recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN) {
      return names;
    }
    names = epoll.wait(timeout_ms);
  }
  return names;
}

// Likewise, of a client that nobody has sent anything.
std::string wait_to_write(const Epoll& epoll, int fd) {
  char byte = 0;
  const std::string names = epoll.wait();
  const bool in_vain =
      names == "IN|OUT" && ::recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == -1 && errno == EAGAIN;
  return in_vain ? "OUT" : names;
}

void by_poll() {
  const int listening = listener();
  say("idle_listener", poll_names(await(listening, POLLIN | POLLOUT, 0)));
  const int client = connected();
  say("listener", poll_names(await(listening, POLLIN | POLLOUT)));
  const int server = must(::accept(listening, nullptr, nullptr), "accept");
  say("taken", poll_names(await(listening, POLLIN, 0)));
  say("idle", poll_names(await(server, POLLIN, kShortMs)));
  say("writable", poll_names(await(server, POLLIN | POLLOUT)));
  write_all(client, "x");
  say("readable", poll_names(await(server, POLLIN)));
  say("read", read_some(server, 1));
  say("read_off", poll_names(await(server, POLLIN, kShortMs)));
  ::shutdown(client, SHUT_WR);
  await(server, POLLRDHUP);
  say("half", poll_names(await(server, POLLIN | POLLOUT | POLLRDHUP)));
  ::shutdown(server, SHUT_WR);
  await(client, POLLRDHUP);
  await(server, 0);
  say("client", poll_names(await(client, POLLIN | POLLRDHUP)));
  say("both", poll_names(await(server, POLLIN | POLLOUT | POLLRDHUP)));
  const int number = ::dup(server);
  ::close(number);
  say("closed", poll_names(await(number, POLLIN)));
}

void poll_of_many() {
  const Pair pair = pair_of();
  int pipes[2];
  must(::pipe(pipes), "pipe");
  pollfd all[] = {{pair.listener, POLLIN, 0}, {pair.server, POLLIN, 0}, {-1, POLLIN, 0},
                  {pipes[0], POLLIN, 0},      {pair.client, POLLIN, 0}, {pair.client, POLLOUT, 0}};
  say("ready", ::poll(all, 6, 0));
  write_all(pipes[1], "x");
  write_all(pair.client, "x");
  await(pair.server, POLLIN);
  say("ready", ::poll(all, 6, kPatienceMs));
  for (const pollfd& each : all) {
    say("is", poll_names(each.revents));
  }
  const timespec limit{kPatienceMs / 1000, 0};
  say("ppoll", ::ppoll(all + 1, 1, &limit, nullptr));
  const timespec none{0, 0};
  say("ppoll", ::ppoll(all, 1, &none, nullptr));
}

void by_select() {
  const int listening = listener();
  const int client = connected();
  const auto ready = [](int fd, bool reading, bool writing, bool by_pselect = false) {
    fd_set reads;
    fd_set writes;
    FD_ZERO(&reads);
    FD_ZERO(&writes);
    if (reading) {
      FD_SET(fd, &reads);
    }
    if (writing) {
      FD_SET(fd, &writes);
    }
    timeval limit{0, kShortMs * 1000L};
    const timespec precise{kPatienceMs / 1000, 0};
    const int count = by_pselect ? ::pselect(fd + 1, &reads, &writes, nullptr, &precise, nullptr)
                                 : ::select(fd + 1, &reads, &writes, nullptr, &limit);
    return outcome(count) + (FD_ISSET(fd, &reads) ? "r" : "") + (FD_ISSET(fd, &writes) ? "w" : "");
  };
  say("listener", ready(listening, true, true, true));
  const int server = must(::accept(listening, nullptr, nullptr), "accept");
  say("taken", ready(listening, true, false));
  say("idle", ready(server, true, false));
  say("writable", ready(server, true, true));
  write_all(client, "x");
  say("readable", ready(server, true, false, true));
  read_some(server, 1);
  say("read_off", ready(server, true, false));
  ::shutdown(client, SHUT_WR);
  say("ended", ready(server, true, false, true));
}

void epoll_level() {
  const int listening = listener();
  const Epoll epoll;
  epoll.add(listening, EPOLLIN);
  say("idle", epoll.wait(0));
  const int client = connected();
  say("listener", epoll.wait());
  say("again", epoll.wait());
  const int server = must(::accept(listening, nullptr, nullptr), "accept");
  say("taken", epoll.wait(0));
  epoll.add(server, EPOLLIN);
  say("idle", epoll.wait(kShortMs));
  write_all(client, "xy");
  say("readable", epoll.wait());
  read_some(server, 1);
  say("half_read", epoll.wait());
  read_some(server, 1);
  say("read_off", epoll.wait(kShortMs));
  must(epoll.control(EPOLL_CTL_MOD, server, EPOLLOUT), "modify");
  say("writable", epoll.wait());
  must(epoll.control(EPOLL_CTL_DEL, server, 0), "delete");
  say("deleted", epoll.wait(0));
  say("twice", outcome(epoll.control(EPOLL_CTL_DEL, server, 0)));
  epoll.add(server, EPOLLIN);
  say("exists", outcome(epoll.control(EPOLL_CTL_ADD, server, EPOLLIN)));
  ::close(server);
  say("closed", epoll.wait(0));
}

void epoll_edge() {
  const int listening = listener(0, SOCK_NONBLOCK);
  const Epoll epoll;
  epoll.add(listening, EPOLLIN | EPOLLET);
  const int client = connected();
  say("listener", epoll.wait());
  say("no_edge", epoll.wait(0));
  const int server = must(::accept(listening, nullptr, nullptr), "accept");
  const int second = connected();
  say("second", epoll.wait());
  ::close(second);
  epoll.add(server, EPOLLIN | EPOLLOUT | EPOLLET);
  say("writable", epoll.wait());
  say("no_edge", epoll.wait(kShortMs));
  write_all(client, "xy");
  say("readable", epoll.wait());
  say("no_edge", epoll.wait(kShortMs));
  read_some(server, 1);
  say("no_edge", epoll.wait(kShortMs));
  write_all(client, "z");
  say("edge", epoll.wait());
  say("read", read_some(server, 2));
  must(epoll.control(EPOLL_CTL_MOD, server, EPOLLIN | EPOLLOUT | EPOLLET), "modify");
  say("armed", epoll.wait());
}

// Many servers make their epoll set before they listen.
void epoll_before_listen() {
  for (const unsigned edge : {0U, unsigned(EPOLLET)}) {
    const int fd = tcp_socket(AF_INET, SOCK_NONBLOCK);
    bind_to(fd, 0, AF_INET);
    const Epoll epoll;
    epoll.add(fd, EPOLLIN | edge);
    must(::listen(fd, 8), "listen");
    // A fresh socket is reported as hung up, which an edge remembers.
    epoll.wait(0);
    say("idle", epoll.wait(0));
    const int client = connected();
    say("listener", epoll.wait());
    say("accepts", ::accept(fd, nullptr, nullptr) >= 0);
    ::close(client);
    ::close(fd);
  }
}

void epoll_before_connect() {
  const int listening = listener();
  for (const unsigned edge : {0U, unsigned(EPOLLET)}) {
    const int client = tcp_socket(AF_INET, SOCK_NONBLOCK);
    const Epoll epoll;
    epoll.add(client, EPOLLIN | EPOLLOUT | edge);
    say("fresh", epoll.wait(0));
    say("connect", outcome(start_connect(client, AF_INET, port(0))));
    await(client, POLLOUT);
    say("connected", wait_to_write(epoll, client));
    const int server = must(::accept(listening, nullptr, nullptr), "accept");
    must(epoll.control(EPOLL_CTL_MOD, client, EPOLLIN | edge), "modify");
    say("idle", wait_to_read(epoll, client, kShortMs));
    write_all(server, "x");
    say("readable", wait_to_read(epoll, client, kPatienceMs));
    ::close(client);
    ::close(server);
  }
}

void epoll_during_connect() {
  const int listening = listener();
  for (const unsigned edge : {0U, unsigned(EPOLLET)}) {
    const int client = tcp_socket(AF_INET, SOCK_NONBLOCK);
    const Epoll epoll;
    say("connect", outcome(start_connect(client, AF_INET, port(0))));
    epoll.add(client, EPOLLOUT | edge);
    say("connected", epoll.wait());
    const int server = must(::accept(listening, nullptr, nullptr), "accept");
    must(epoll.control(EPOLL_CTL_MOD, client, EPOLLIN | EPOLLRDHUP | edge), "modify");
    write_all(server, "x");
    say("readable", wait_to_read(epoll, client, kPatienceMs));
    say("read", read_some(client, 1));
    ::shutdown(server, SHUT_WR);
    say("ended", wait_to_read(epoll, client, kPatienceMs));
    ::close(client);
    ::close(server);
  }
}

void epoll_oneshot() {
  const Pair pair = pair_of();
  const Epoll epoll;
  epoll.add(pair.server, EPOLLIN | EPOLLONESHOT);
  write_all(pair.client, "x");
  say("first", epoll.wait());
  say("second", epoll.wait(0));
  must(epoll.control(EPOLL_CTL_MOD, pair.server, EPOLLIN | EPOLLONESHOT), "modify");
  say("armed", epoll.wait());
  epoll.add(pair.listener, EPOLLIN | EPOLLONESHOT);
  const int other = connected();
  say("listener", epoll.wait());
  say("once", epoll.wait(0));
  ::close(other);
}

void epoll_rdhup() {
  const Pair pair = pair_of();
  const Epoll epoll;
  epoll.add(pair.server, EPOLLRDHUP | EPOLLET);
  say("idle", epoll.wait(kShortMs));
  ::shutdown(pair.client, SHUT_WR);
  say("half", epoll.wait());
  must(epoll.control(EPOLL_CTL_MOD, pair.server, EPOLLIN | EPOLLOUT | EPOLLRDHUP), "modify");
  say("all", epoll.wait());
  say("read", long(read_all(pair.server).size()));
  say("write", write_all(pair.server, "still") ? 1 : 0);
  say("reads", read_some(pair.client, 5));
}

void epoll_of_copies() {
  const Pair pair = pair_of();
  const Epoll epoll;
  const Epoll other;
  const int copy = ::dup(pair.server);
  epoll.add(pair.server, EPOLLIN);
  epoll.add(copy, EPOLLIN);
  other.add(copy, EPOLLIN);
  write_all(pair.client, "x");
  await(copy, POLLIN);
  say("both", epoll.wait());
  say("other", other.wait());
  must(epoll.control(EPOLL_CTL_DEL, copy, 0), "delete");
  say("one", epoll.wait());
  say("read", read_some(copy, 1));
  say("read_off", epoll.wait(kShortMs));
}

// A registration that was told of stays silent, whatever becomes of the socket.
void oneshot_before() {
  const int listening = tcp_socket(AF_INET, SOCK_NONBLOCK);
  bind_to(listening, 0, AF_INET);
  const Epoll epoll;
  epoll.add(listening, EPOLLIN | EPOLLONESHOT);
  say("fresh", epoll.wait());
  must(::listen(listening, 8), "listen");
  const int client = tcp_socket(AF_INET, SOCK_NONBLOCK);
  const Epoll clients;
  clients.add(client, EPOLLOUT | EPOLLONESHOT);
  say("fresh", clients.wait());
  say("connect", outcome(start_connect(client, AF_INET, port(0))));
  await(client, POLLOUT);
  await(listening, POLLIN);
  say("listener", epoll.wait(kShortMs));
  say("client", clients.wait(kShortMs));
  must(epoll.control(EPOLL_CTL_MOD, listening, EPOLLIN | EPOLLONESHOT), "modify");
  must(clients.control(EPOLL_CTL_MOD, client, EPOLLOUT | EPOLLONESHOT), "modify");
  say("listener", epoll.wait());
  say("client", clients.wait());
  say("client", clients.wait(0));
}

// What never fired fires once, though the socket changes in between.
void oneshot_during_connect() {
  const int listening = listener();
  const int client = tcp_socket(AF_INET, SOCK_NONBLOCK);
  const Epoll epoll;
  say("connect", outcome(start_connect(client, AF_INET, port(0))));
  epoll.add(client, EPOLLOUT | EPOLLONESHOT);
  say("connected", epoll.wait());
  say("once", epoll.wait(kShortMs));
  const int server = must(::accept(listening, nullptr, nullptr), "accept");
  must(epoll.control(EPOLL_CTL_MOD, client, EPOLLIN | EPOLLONESHOT), "modify");
  write_all(server, "x");
  say("readable", epoll.wait());
  say("once", epoll.wait(kShortMs));
}

void epoll_exclusive() {
  constexpr unsigned kExclusive = EPOLLIN | EPOLLOUT | EPOLLEXCLUSIVE;
  const int fd = tcp_socket(AF_INET, SOCK_NONBLOCK);
  bind_to(fd, 0, AF_INET);
  const Epoll early;
  const Epoll late;
  early.add(fd, kExclusive);
  must(::listen(fd, 8), "listen");
  late.add(fd, kExclusive);
  say("idle", early.wait(0) + late.wait(0));
  say("modify", outcome(late.control(EPOLL_CTL_MOD, fd, EPOLLIN)));
  const int client = tcp_socket(AF_INET, SOCK_NONBLOCK);
  say("connect", outcome(start_connect(client, AF_INET, port(0))));
  const Epoll clients;
  say("refused", outcome(clients.control(EPOLL_CTL_ADD, client, kExclusive | EPOLLRDHUP)));
  clients.add(client, EPOLLOUT | EPOLLEXCLUSIVE);
  say("modify", outcome(clients.control(EPOLL_CTL_MOD, client, EPOLLOUT)));
  say("connected", clients.wait());
  say("listener", early.wait() + "," + late.wait());
  say("accepts", ::accept(fd, nullptr, nullptr) >= 0);
  say("taken", early.wait(0) + "," + late.wait(0));
  say("delete", outcome(late.control(EPOLL_CTL_DEL, fd, 0)));
}

// A listener is never writable.
void epoll_writable_listener() {
  const int early = tcp_socket(AF_INET, SOCK_NONBLOCK);
  bind_to(early, 0, AF_INET);
  const Epoll epoll;
  epoll.add(early, EPOLLIN | EPOLLOUT);
  must(::listen(early, 8), "listen");
  epoll.add(listener(1), EPOLLOUT);
  say("idle", epoll.wait(0));
  must(epoll.control(EPOLL_CTL_MOD, early, EPOLLOUT | EPOLLIN | EPOLLET), "modify");
  say("idle", epoll.wait(0));
  const int client = connected();
  say("listener", epoll.wait());
  ::close(client);
}

void note_signal(int) {}

// A signal that only the wait lets through ends it; `fd` has nothing to tell.
void wait_for_signal(int fd) {
  sigset_t all;
  ::sigemptyset(&all);
  ::sigaddset(&all, SIGUSR1);
  sigset_t none;
  ::sigprocmask(SIG_BLOCK, &all, &none);
  struct sigaction action {};
  action.sa_handler = note_signal;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGUSR1, &action, nullptr);
  const Epoll epoll;
  epoll.add(fd, EPOLLIN | EPOLLOUT);
  pollfd one{fd, POLLIN | POLLOUT, 0};
  fd_set set;
  FD_ZERO(&set);
  FD_SET(fd, &set);
  const timespec limit{kPatienceMs / 1000, 0};
  const timespec at_once{0, 0};
  epoll_event event{};
  ::raise(SIGUSR1);
  say("blocked", outcome(::ppoll(&one, 1, &at_once, &all)));
  say("ppoll", outcome(::ppoll(&one, 1, &limit, &none)));
  ::raise(SIGUSR1);
  say("pselect", outcome(::pselect(fd + 1, &set, nullptr, nullptr, &limit, &none)));
  ::raise(SIGUSR1);
  say("blocked", outcome(::epoll_pwait(epoll.number(), &event, 1, 0, &all)));
  say("epoll_pwait", outcome(::epoll_pwait(epoll.number(), &event, 1, kPatienceMs, &none)));
  ::raise(SIGUSR1);
  say("epoll_pwait2", outcome(::epoll_pwait2(epoll.number(), &event, 1, &limit, &none)));
  say("epoll_pwait2", outcome(::epoll_pwait2(epoll.number(), &event, 1, &at_once, &none)));
}

// The two that the queue of a silent one holds are connected as TCP connects, a third is not.
void signal_during_connect() {
  listen_without_accepting();
  int client = -1;
  for (int count = 0; count < 4; ++count) {
    client = tcp_socket(AF_INET, SOCK_NONBLOCK);
    say("connect", outcome(start_connect(client, AF_INET, unserved_port())));
  }
  wait_for_signal(client);
}

void signal_and_listener() {
  wait_for_signal(listener());
}

// Of the program's bits as many are looked at as there are descriptors to be had.
void select_of_all_numbers() {
  rlimit limit{};
  must(::getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
  limit.rlim_cur = limit.rlim_max;
  must(::setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
  const Pair pair = pair_of();
  struct {
    fd_set set;
    unsigned char behind[1 << 16];
  } bits{};
  std::memset(bits.behind, 0xA5, sizeof bits.behind);
  FD_SET(pair.server, &bits.set);
  write_all(pair.client, "x");
  timeval patience{kPatienceMs / 1000, 0};
  say("select", outcome(::select(int(limit.rlim_cur), &bits.set, nullptr, nullptr, &patience)));
  say("readable", FD_ISSET(pair.server, &bits.set));
  long changed = 0;
  for (const unsigned char each : bits.behind) {
    changed += each != 0xA5;
  }
  say("changed", changed);
}

}  // namespace

std::span<const Case> wait_cases() {
  static constexpr Case kCases[] = {
      {"poll", by_poll},
      {"poll of many", poll_of_many},
      {"select and pselect", by_select},
      {"epoll, level", epoll_level},
      {"epoll, edge", epoll_edge},
      {"epoll, registered before listen", epoll_before_listen},
      {"epoll, registered before connect", epoll_before_connect},
      {"epoll, registered during connect", epoll_during_connect},
      {"EPOLLONESHOT", epoll_oneshot},
      {"EPOLLONESHOT, registered before", oneshot_before},
      {"EPOLLONESHOT, registered during connect", oneshot_during_connect},
      {"EPOLLEXCLUSIVE", epoll_exclusive},
      {"EPOLLRDHUP", epoll_rdhup},
      {"epoll, a listener asked to be writable", epoll_writable_listener},
      {"a signal while a listener is waited for", signal_and_listener},
      {"a signal while a connection is under way", signal_during_connect},
      {"select of all numbers there may be", select_of_all_numbers},
      {"epoll of copies", epoll_of_copies},
  };
  return kCases;
}

}  // namespace suite
