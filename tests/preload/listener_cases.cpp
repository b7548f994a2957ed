// Listeners: several, copied, closed and opened again, shared by threads, interrupted by signals.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <mutex>
#include <thread>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/preload/socket_suite.h"

namespace suite {
namespace {

std::string serves(int listening, int index = 0) {
  const int client = connected(index);
  const int server = ::accept(listening, nullptr, nullptr);
  if (server < 0) {
    return error_name(errno);
  }
  std::string result = talk(client, server);
  ::close(client);
  ::close(server);
  return result;
}

void accept4_flags() {
  const int listening = listener();
  for (const int flags : {0, int(SOCK_NONBLOCK), int(SOCK_CLOEXEC), SOCK_NONBLOCK | SOCK_CLOEXEC}) {
    const int client = connected();
    const int server = must(::accept4(listening, nullptr, nullptr, flags), "accept4");
    say("O_NONBLOCK", (::fcntl(server, F_GETFL) & O_NONBLOCK) != 0);
    say("FD_CLOEXEC", (::fcntl(server, F_GETFD) & FD_CLOEXEC) != 0);
    say("talk", talk(client, server));
    ::close(client);
    ::close(server);
  }
  say("wrong", outcome(::accept4(listening, nullptr, nullptr, 1)));
}

void several_listeners() {
  int listening[kPorts];
  for (int index = 0; index < kPorts; ++index) {
    listening[index] = listener(index, SOCK_NONBLOCK);
  }
  const int client = connected(2);
  await(listening[2], POLLIN);
  for (const int each : listening) {
    say("accept", outcome(std::min(1, ::accept(each, nullptr, nullptr))));
  }
  ::close(client);
  for (int index = 0; index < kPorts; ++index) {
    await(listening[index], POLLIN, 0);
    set_blocking(listening[index], true);
    say("serves", serves(listening[index], index));
  }
}

void second_listen() {
  const int fd = listener();
  say("again", outcome(::listen(fd, 16)));
  const int client = connected();
  say("while_one_waits", outcome(::listen(fd, 4)));
  const int server = must(::accept(fd, nullptr, nullptr), "accept");
  say("talk", talk(client, server));
  say("serves", serves(fd));
}

void close_and_bind_again() {
  for (int round = 0; round < 3; ++round) {
    const int fd = listener();
    say("serves", serves(fd));
    say("close", outcome(::close(fd)));
    const int refused = tcp_socket(AF_INET);
    say("closed", outcome(start_connect(refused, AF_INET, port(0))));
    ::close(refused);
  }
}

void close_with_connections() {
  const Pair pair = pair_of();
  say("close", outcome(::close(pair.listener)));
  say("talk", talk(pair.client, pair.server));
  const int fd = listener();
  say("serves", serves(fd));
  say("talk", talk(pair.client, pair.server));
}

void close_with_unaccepted() {
  const int fd = listener();
  const int client = connected();
  say("close", outcome(::close(fd)));
  char byte = 0;
  const ssize_t got = ::read(client, &byte, 1);
  say("client", got == 0 ? "end" : error_name(errno));
  const int next = listener();
  say("serves", serves(next));
}

int reusing(int index) {
  const int fd = tcp_socket(AF_INET, SOCK_NONBLOCK);
  const int on = 1;
  must(::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), "SO_REUSEPORT");
  bind_to(fd, index, AF_INET);
  must(::listen(fd, 64), "listen");
  return fd;
}

void reuse_port() {
  constexpr int kClients = 24;
  const int both[] = {reusing(0), reusing(0)};
  std::vector<int> clients;
  clients.reserve(kClients);
  int served[2] = {};
  for (int count = 0; count < kClients; ++count) {
    clients.push_back(connected());
  }
  for (int total = 0; total < kClients; ++total) {
    pollfd ready[] = {{both[0], POLLIN, 0}, {both[1], POLLIN, 0}};
    if (must(::poll(ready, 2, kPatienceMs), "poll") == 0) {
      break;
    }
    const int which = (ready[0].revents & POLLIN) != 0 ? 0 : 1;
    const int server = must(::accept(both[which], nullptr, nullptr), "accept");
    write_all(server, "s");
    ++served[which];
  }
  say("served", served[0] + served[1]);
  say("both", served[0] > 0 && served[1] > 0);
  size_t answered = 0;
  for (const int client : clients) {
    answered += read_some(client, 1).size();
  }
  say("answered", long(answered));
}

void in_use() {
  const int fd = listener();
  const int other = tcp_socket(AF_INET);
  sockaddr_in address{};
  socklen_t size = sizeof address;
  must(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  say("bind", outcome(::bind(other, reinterpret_cast<sockaddr*>(&address), size)));
  say("serves", serves(fd));
}

void copies() {
  const int fd = listener();
  const int copied = ::dup(fd);
  const int second = ::dup2(fd, 200);
  const int third = ::dup3(fd, 201, O_CLOEXEC);
  const int fourth = ::fcntl(fd, F_DUPFD, 210);
  const int fifth = ::fcntl(fd, F_DUPFD_CLOEXEC, 220);
  say("numbers", std::to_string(second) + "," + std::to_string(third) + "," +
                     std::to_string(fourth) + "," + std::to_string(fifth));
  say("FD_CLOEXEC",
      std::to_string(::fcntl(second, F_GETFD)) + std::to_string(::fcntl(third, F_GETFD)) +
          std::to_string(::fcntl(fourth, F_GETFD)) + std::to_string(::fcntl(fifth, F_GETFD)));
  for (const int each : {fd, copied, second, third, fourth, fifth}) {
    say("serves", serves(each));
    say("close", outcome(::close(each)));
  }
  const int refused = tcp_socket(AF_INET);
  say("closed", outcome(start_connect(refused, AF_INET, port(0))));
}

void copy_before_listen() {
  const int fd = tcp_socket(AF_INET);
  bind_to(fd, 0, AF_INET);
  const int copy = ::dup(fd);
  must(::listen(fd, 8), "listen");
  say("copy", serves(copy));
  say("original", serves(fd));
  say("close", outcome(::close(fd)));
  say("copy", serves(copy));
}

// A listener's number taken by another, as programs do that start anew.
void copy_over() {
  const int first = listener(0);
  const int second = listener(1);
  say("dup2", ::dup2(second, first) == first);
  say("serves", serves(first, 1));
  const int refused = tcp_socket(AF_INET);
  say("closed", outcome(start_connect(refused, AF_INET, port(0))));
  say("itself", ::dup2(first, first) == first);
  say("dup3_itself", outcome(::dup3(first, first, 0)));
  say("serves", serves(second, 1));
}

void backlog() {
  constexpr size_t kClients = 80;
  const int fd = listener(0, 0, 128);
  std::vector<int> clients;
  for (size_t index = 0; index < kClients; ++index) {
    clients.push_back(tcp_socket(AF_INET, SOCK_NONBLOCK));
    start_connect(clients.back(), AF_INET, port(0));
  }
  long connections = 0;
  for (const int client : clients) {
    connections += (await(client, POLLOUT) & (POLLOUT | POLLERR | POLLHUP)) == POLLOUT;
  }
  say("connected", connections);
  std::vector<int> seen;
  for (size_t index = 0; index < kClients; ++index) {
    write_all(clients[index], std::string(1, char(index)));
  }
  for (size_t index = 0; index < kClients; ++index) {
    const int server = must(::accept(fd, nullptr, nullptr), "accept");
    const std::string got = read_some(server, 1);
    seen.push_back(got.empty() ? -1 : uint8_t(got[0]));
    ::close(server);
  }
  std::sort(seen.begin(), seen.end());
  long right = 0;
  for (size_t index = 0; index < kClients; ++index) {
    right += seen[index] == int(index);
  }
  say("once_each", right);
}

void threads() {
  constexpr int kThreads = 4;
  constexpr int kClients = 20;
  const int fd = listener();
  std::atomic<int> served = 0;
  std::vector<std::thread> workers;
  workers.reserve(kThreads);
  for (int index = 0; index < kThreads; ++index) {
    workers.emplace_back([&] {
      while (served.fetch_add(1) < kClients) {
        const int server = must(::accept(fd, nullptr, nullptr), "accept");
        write_all(server, read_all(server));
        ::close(server);
      }
    });
  }
  int right = 0;
  for (int index = 0; index < kClients; ++index) {
    const int client = connected();
    const std::string word = "client " + std::to_string(index);
    write_all(client, word);
    ::shutdown(client, SHUT_WR);
    errno = 0;
    if (const std::string got = read_all(client); got == word) {
      ++right;
    } else {
      say("wrong", std::to_string(got.size()) + "_bytes_" + error_name(errno));
    }
    ::close(client);
  }
  for (std::thread& worker : workers) {
    worker.join();
  }
  say("right", right);
}

std::atomic<int> signals_seen = 0;

void signal_handler(bool restart) {
  struct sigaction action {};
  action.sa_handler = [](int) { ++signals_seen; };
  action.sa_flags = restart ? SA_RESTART : 0;
  must(::sigaction(SIGUSR1, &action, nullptr), "sigaction");
}

// Signals this thread until what it waits in has ended, however late it has begun to wait.
std::string interrupted(const std::function<long()>& wait) {
  std::atomic<bool> over = false;
  const pthread_t self = ::pthread_self();
  std::thread other([&] {
    while (!over) {
      ::pthread_kill(self, SIGUSR1);
      ::usleep(20'000);
    }
  });
  std::string result = outcome(wait());
  over = true;
  other.join();
  return result;
}

void signals() {
  signal_handler(false);
  const Pair pair = pair_of();
  char byte = 0;
  pollfd one{pair.server, POLLIN, 0};
  say("accept", interrupted([&] { return ::accept(pair.listener, nullptr, nullptr); }));
  say("read", interrupted([&] { return ::read(pair.server, &byte, 1); }));
  say("recv", interrupted([&] { return ::recv(pair.server, &byte, 1, 0); }));
  say("poll", interrupted([&] { return ::poll(&one, 1, -1); }));
  const std::string much = pattern(1, 64 << 20);
  const std::string sent =
      interrupted([&] { return ::write(pair.client, much.data(), much.size()); });
  say("write_in_part", std::stoul("0" + sent) > 0 && std::stoul("0" + sent) < much.size());
  say("seen", signals_seen > 0);
}

void signals_that_restart() {
  signal_handler(true);
  const Pair pair = pair_of();
  std::thread other([&] {
    while (signals_seen < 3) {
      ::usleep(10'000);
    }
    write_all(pair.client, "x");
  });
  char byte = 0;
  say("read", interrupted([&] { return ::read(pair.server, &byte, 1); }));
  other.join();
  signals_seen = 0;
  int client = -1;
  std::thread connecting([&] {
    while (signals_seen < 3) {
      ::usleep(10'000);
    }
    client = connected();
  });
  say("accept",
      interrupted([&] { return std::min(::accept(pair.listener, nullptr, nullptr), 1); }));
  connecting.join();
}

void shutdown_of_listener() {
  const int fd = listener();
  std::thread other([&] {
    ::usleep(50'000);
    say("shutdown", outcome(::shutdown(fd, SHUT_RDWR)));
  });
  const std::string result = outcome(::accept(fd, nullptr, nullptr));
  other.join();
  say("accept", result);
  say("again", outcome(::accept(fd, nullptr, nullptr)));
}

}  // namespace

std::span<const Case> listener_cases() {
  static constexpr Case kCases[] = {
      {"accept4 and its flags", accept4_flags},
      {"several listeners", several_listeners},
      {"a second listen", second_listen},
      {"close and bind again at once", close_and_bind_again},
      {"a listener closed before its connection", close_with_connections},
      {"a listener closed before it accepts", close_with_unaccepted},
      {"SO_REUSEPORT", reuse_port},
      {"an address in use", in_use},
      {"copies of a listener", copies},
      {"a copy made before listen", copy_before_listen},
      {"a listener's number taken by dup2", copy_over},
      {"a backlog of 80", backlog},
      {"threads that accept from one listener", threads},
      {"EINTR", signals},
      {"SA_RESTART", signals_that_restart},
      {"shutdown of a listener", shutdown_of_listener},
  };
  return kCases;
}

}  // namespace suite
